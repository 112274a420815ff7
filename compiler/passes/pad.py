"""Gives ragged axes their lengths: a batch of examples of several lengths stands in one array, and
what lies behind an example's end is not seen by reductions, softmax, windows and recurrences.

Needs the size symbols that are ragged, and over which axis. Adds one input for each, `lengths.t`.
What is computed behind the end is anything; it reaches nothing before it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis, DType, Node, names
from ...dsl.ops import (
    CONST,
    INDEX,
    INPUT,
    IOTA,
    MAP,
    REDUCE,
    AlongAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    ScatterAttrs,
    Select,
    Slice,
    StopAttrs,
    Window,
)
from ..graph import Graph
from ..lift import body_inputs, retyped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...dsl.core import Axes
    from ...dsl.ops import Attrs, OpDef
    from ...dsl.source import Span
    from ..graph import Edit

Number = float | bool
NOTHING: dict[str, Number] = {  # what a reduction does not see
    "sum": 0,
    "norm": 0,
    "prod": 1,
    "any": False,
    "all": True,
    "max": -math.inf,
    "min": math.inf,
    "argmax": -math.inf,
    "argmin": math.inf,
    "logsumexp": -math.inf,
}
BEHIND: dict[str, Number] = {  # what stays behind everything else along an axis
    "softmax": -math.inf,
    "log_softmax": -math.inf,
    "rank": -math.inf,
    "sort": math.inf,
    "argsort": math.inf,
}
BACKWARDS = ("cumsum", "cumprod", "cummax")  # they look at what is before, and so need nothing
LARGEST = 2**53  # stands for infinity among ints


class UnsupportedError(Exception):
    """Something that is not done to ragged axes; says what and where."""

    def __init__(self, message: str, span: Span) -> None:
        self.message, self.span = message, span
        super().__init__(message, span)


def lengths_name(symbol: str) -> str:
    """The address of the input that holds the lengths."""
    return f"lengths.{symbol}"


def pad(graph: Graph, ragged: Mapping[str, str]) -> Graph:
    """The graph for examples of several lengths. Raises UnsupportedError."""
    with graph.edit() as edit:
        work = _Pad(edit, ragged)
        for name in graph.in_order():
            work.visit(name)
    return edit.graph


class _Pad:
    """A program, or with `is_body` the body of a scan, whose lengths are inputs."""

    def __init__(self, edit: Edit, ragged: Mapping[str, str], *, is_body: bool = False) -> None:
        self.edit, self.ragged, self.is_body = edit, ragged, is_body
        self.inputs: dict[str, str] = {}  # by symbol
        self.lengths: dict[sizes.Size, str] = {}
        self.masks: dict[Axis, str] = {}
        self.led: set[str] = set()  # values that depend on lengths
        self.zero: dict[str, frozenset[str]] = {}  # along which axes a value is 0 behind the end

    # ---- lengths and masks

    def _is_ragged(self, axis: Axis) -> bool:
        """Whether the axis has another length in each example."""
        return bool(sizes.symbols(axis.size) & set(self.ragged))

    def _ragged(self, name: str, wanted: Iterable[str] | None = None) -> list[Axis]:
        """The ragged axes of a value, of those wanted."""
        chosen = None if wanted is None else set(wanted)
        return [
            axis
            for axis in self.edit.node(name).axes
            if self._is_ragged(axis) and (chosen is None or axis.name in chosen)
        ]

    def _length(self, size: sizes.Size, cause: Node) -> str:
        """The length that a size stands for, in each example."""
        if size not in self.lengths:
            self.lengths[size] = self._count(size, cause)
        return self.lengths[size]

    def _count(self, size: sizes.Size, cause: Node) -> str:
        if isinstance(size, int):
            return self._number(size, cause)
        terms = []
        for monomial, count in size.terms:
            term = self._number(count, cause)
            for atom in monomial:
                if isinstance(atom, str):
                    factor = self._symbol(atom, cause)
                else:
                    top, bottom = self._length(atom.top, cause), self._number(atom.bottom, cause)
                    factor = self._map("floordiv", cause, top, bottom)
                term = factor if (count, term) == (1, terms) else self._map("mul", cause, term, factor)
            terms.append(term)
        total, *others = terms
        for term in others:
            total = self._map("add", cause, total, term)
        return total

    def _symbol(self, symbol: str, cause: Node) -> str:
        if symbol not in self.inputs:
            if symbol not in self.ragged:
                raise UnsupportedError(
                    f"a length that mixes `{symbol}` with one that each example has of its own",
                    cause.span,
                )
            over = self.ragged[symbol]
            axis = Axis(over, sizes.symbol(over))
            name = self._add(INPUT, InputAttrs((over,), (axis,), DType.INT), cause)
            if not self.is_body:
                self.edit.put(replace(self.edit.node(name), site=lengths_name(symbol)))
            self.inputs[symbol] = name
            self.led.add(name)
        return self.inputs[symbol]
