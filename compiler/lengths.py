"""Lengths of ragged axes as values: how many positions each example has, and which those are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dsl import sizes
from ..dsl.core import Axis, DType
from ..dsl.ops import CONST, INPUT, IOTA, MAP, ConstAttrs, InputAttrs, IotaAttrs, MapAttrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..dsl.core import Node
    from ..dsl.ops import Attrs, OpDef
    from ..dsl.source import Span
    from .graph import Edit


class UnsupportedError(Exception):
    """Something that is not done to ragged axes; says what and where."""

    def __init__(self, message: str, span: Span) -> None:
        self.message, self.span = message, span
        super().__init__(message, span)


def lengths_name(symbol: str) -> str:
    """The address of the input that holds the lengths."""
    return f"lengths.{symbol}"


class Lengths:
    """Nodes added to a program, or `inside` the body of a scan, whose inputs have no addresses.

    `over` has the axis of the examples for each ragged size symbol; `inputs` the lengths, by
    symbol, where something needs them.
    """

    def __init__(self, edit: Edit, over: Mapping[str, Axis], *, inside: bool = False) -> None:
        self.edit, self.over, self.inside = edit, over, inside
        self.inputs: dict[str, str] = {}
        self.dependent: set[str] = set()  # values that depend on lengths
        self._lengths: dict[sizes.Size, str] = {}
        self._masks: dict[Axis, str] = {}

    # ---- ragged axes

    def symbols(self, axis: Axis) -> list[str]:
        """The ragged symbols in the size of an axis."""
        return sorted(sizes.symbols(axis.size) & set(self.over))

    def ragged(self, name: str, wanted: Iterable[str] | None = None) -> list[Axis]:
        """The ragged axes of a value, or those among the wanted ones."""
        axes = self.edit.node(name).axes
        chosen = {axis.name for axis in axes} if wanted is None else set(wanted)
        return [axis for axis in axes if axis.name in chosen and self.symbols(axis)]

    def length(self, size: sizes.Size, cause: Node) -> str:
        """The number that a size stands for, in each example."""
        if size not in self._lengths:
            cause = replace(cause, scope="")
            if isinstance(size, int):
                return self.number(size, cause)
            terms = [self._term(monomial, count, cause) for monomial, count in size.terms]
            self._lengths[size] = self._joined("add", terms, cause)
        return self._lengths[size]

    def _term(self, monomial: sizes.Monomial, count: int, cause: Node) -> str:
        factors = [self._atom(atom, cause) for atom in monomial]
        if count != 1 or not factors:
            factors.append(self.number(count, cause))
        return self._joined("mul", factors, cause)

    def _atom(self, atom: sizes.Atom, cause: Node) -> str:
        if isinstance(atom, str):
            return self.input(atom, cause)
        top, bottom = self.length(atom.top, cause), self.number(atom.bottom, cause)
        return self.map("floordiv", cause, top, bottom)

    def input(self, symbol: str, cause: Node) -> str:
        """The lengths themselves, given from outside."""
        if symbol not in self.inputs:
            if symbol not in self.over:
                message = f"a size that mixes `{symbol}` with lengths that examples have themselves"
                raise UnsupportedError(message, cause.span)
            axis = self.over[symbol]
            name = self.add(INPUT, InputAttrs((axis.name,), (axis,), DType.INT), cause)
            if not self.inside:
                self.edit.put(replace(self.edit.node(name), site=lengths_name(symbol)))
            self.inputs[symbol] = name
            self.dependent.add(name)
        return self.inputs[symbol]

    def exists(self, axis: Axis, cause: Node) -> str:
        """True at the positions that an example has."""
        if axis not in self._masks:
            cause = replace(cause, scope="")
            index = self.add(IOTA, IotaAttrs(axis), cause)
            self._masks[axis] = self.map("lt", cause, index, self.length(axis.size, cause))
        return self._masks[axis]

    def only(self, value: str, axes: Iterable[Axis], otherwise: float | bool, cause: Node) -> str:
        """The value where it exists, and a number elsewhere."""
        for axis in axes:
            other = self.number(otherwise, cause)
            value = self.map("where", cause, self.exists(axis, cause), value, other)
        return value

    # ---- adding nodes

    def add(self, op: OpDef, attrs: Attrs, cause: Node, *operands: str) -> str:
        """A node for the sake of another."""
        name = self.edit.add(op, attrs, operands, span=cause.span, scope=cause.scope, made_by="pad")
        if not self.dependent.isdisjoint(operands):
            self.dependent.add(name)
        return name

    def map(self, fn: str, cause: Node, *operands: str) -> str:
        """A pointwise node."""
        return self.add(MAP, MapAttrs(fn), cause, *operands)

    def number(self, value: float | bool, cause: Node) -> str:
        """A constant."""
        return self.add(CONST, ConstAttrs(value), cause)

    def _joined(self, fn: str, values: list[str], cause: Node) -> str:
        whole, *others = values
        for other in others:
            whole = self.map(fn, cause, whole, other)
        return whole
