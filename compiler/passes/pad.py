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
from ...dsl.core import Axis, Body, DType, Node, Step
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
    Select,
    Slice,
    Window,
)
from ..lift import body_inputs, retyped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.ops import Attrs, OpDef
    from ..graph import Edit, Graph

NOTHING: dict[str, float | bool] = {
    "sum": 0,
    "norm": 0,
    "any": False,
    "all": True,
    "prod": 1,
    "max": -math.inf,
    "min": math.inf,
    "logsumexp": -math.inf,
    "argmax": -math.inf,
    "argmin": math.inf,
}
BEHIND: dict[str, float] = {
    "softmax": -math.inf,
    "log_softmax": -math.inf,
    "rank": -math.inf,
    "sort": math.inf,
    "argsort": math.inf,
}


class UnsupportedError(Exception):
    """Something that is not done to ragged axes; says what."""


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
    def __init__(self, edit: Edit, ragged: Mapping[str, str]) -> None:
        self.edit, self.ragged = edit, ragged
        self.lengths: dict[sizes.Size, str] = {}
        self.masks: dict[Axis, str] = {}

    # ---- lengths and masks

    def is_ragged(self, axis: Axis) -> bool:
        """Whether the axis has another length in each example."""
        return bool(sizes.symbols(axis.size) & set(self.ragged))

    def length(self, size: sizes.Size, cause: Node) -> str:
        """The length that a size stands for, in each example."""
        if size not in self.lengths:
            self.lengths[size] = self._length(size, cause)
        return self.lengths[size]

    def _length(self, size: sizes.Size, cause: Node) -> str:
        if isinstance(size, int):
            return self.number(size, cause)
        total: str | None = None
        for monomial, count in size.terms:
            term = self.number(count, cause)
            for atom in monomial:
                if isinstance(atom, str):
                    factor = self._symbol(atom, cause)
                else:
                    factor = self.map(
                        "floordiv",
                        [self.length(atom.top, cause), self.number(atom.bottom, cause)],
                        cause,
                    )
                term = self.map("mul", [term, factor], cause)
            total = term if total is None else self.map("add", [total, term], cause)
        assert total is not None
        return total

    def _symbol(self, symbol: str, cause: Node) -> str:
        key = sizes.symbol(symbol)
        if key not in self.lengths:
            if symbol not in self.ragged:
                raise UnsupportedError(
                    f"a length that mixes `{symbol}` with one that examples have of their own"
                )
            over = self.ragged[symbol]
            axis = Axis(over, sizes.symbol(over))
            name = self.add(INPUT, InputAttrs((over,), (axis,), DType.INT), [], cause)
            self.edit.put(replace(self.edit.node(name), site=lengths_name(symbol)))
            self.lengths[key] = name
        return self.lengths[key]

    def exists(self, axis: Axis, cause: Node) -> str:
        """True at the positions that an example has."""
        if axis not in self.masks:
            index = self.add(IOTA, IotaAttrs(axis), [], cause)
            self.masks[axis] = self.map("lt", [index, self.length(axis.size, cause)], cause)
        return self.masks[axis]

    # ---- adding nodes

    def add(self, op: OpDef, attrs: Attrs, operands: list[str], cause: Node) -> str:
        """A node for the sake of another."""
        return self.edit.add(op, attrs, operands, span=cause.span, scope=cause.scope, made_by="pad")

    def map(self, fn: str, operands: list[str], cause: Node) -> str:
        """A pointwise node."""
        return self.add(MAP, MapAttrs(fn), operands, cause)

    def number(self, value: float, cause: Node) -> str:
        """A constant."""
        return self.add(CONST, ConstAttrs(value), [], cause)

    def only(self, value: str, axes: list[Axis], otherwise: float | bool, cause: Node) -> str:
        """The value where it exists, and a number elsewhere."""
        other = self.number(otherwise, cause)
        for axis in axes:
            value = self.map("where", [self.exists(axis, cause), value, other], cause)
        return value

    # ---- the walk

    def visit(self, name: str) -> None:
        """Make one operation blind to what does not exist."""
        operands = self.edit.operands(name)
        node = self._typed(name, operands)
        given = self.edit.node(operands[0]) if operands else node

        def axes(wanted: tuple[str, ...]) -> list[Axis]:
            found = {a.name: a for o in operands for a in self.edit.node(o).axes}
            return [found[n] for n in wanted if n in found and self.is_ragged(found[n])]

        match node.attrs:
            case ReduceAttrs(fn, over) if axes(over):
                self._reduce(node, operands[0], fn, axes(over))
            case ContractAttrs(over) if axes(over):
                self._contract(node, operands, axes(over))
            case AlongAttrs(fn, over) if axes(over):
                self._along(node, operands[0], fn, axes(over))
            case IndexAttrs(how) if axes((how.axis,)):
                self._index(node, operands, how, axes((how.axis,))[0], given)
            case ScanAttrs() if self.is_ragged(node.attrs.axis):
                self._scan(node, node.attrs, operands)
            case ConcatAttrs(axis, False) if axes((axis,)):
                raise UnsupportedError(
                    f"concat along `{axis}`, which has a length for each example"
                )
            case RenameAttrs(pairs):
                for old, new in pairs:
                    if (len(old) > 1 or len(new) > 1) and axes(old):
                        raise UnsupportedError(
                            f"`{old[0]}` has a length for each example and cannot be split or merged"
                        )

        self._typed(name, self.edit.operands(name))

    def _typed(self, name: str, operands: tuple[str, ...]) -> Node:
        """The node with the type that its operands give it by now."""
        node = retyped(self.edit.node(name), [self.edit.node(o) for o in operands])
        self.edit.put(node)
        return node

    def _reduce(self, node: Node, value: str, fn: str, axes: list[Axis]) -> None:
        if fn in NOTHING:
            otherwise = NOTHING[fn]
            if (
                self.edit.node(value).dtype is not DType.FLOAT
                and isinstance(otherwise, float)
                and math.isinf(otherwise)
            ):
                otherwise = int(math.copysign(2**53, otherwise))
            self.edit.set_operands(node.name, [self.only(value, axes, otherwise, node)])
        elif fn in ("mean", "var"):
            assert isinstance(node.attrs, ReduceAttrs)
            mean = self._mean(node, value, node.attrs.axes, axes)
            if fn == "var":
                gap = self.map("sub", [value, mean], node)
                mean = self._mean(node, self.map("mul", [gap, gap], node), node.attrs.axes, axes)
            self._become(node, mean)
        else:
            raise UnsupportedError(
                f"`{fn}` over `{axes[0].name}`, which has a length for each example"
            )

    def _mean(self, node: Node, value: str, over: tuple[str, ...], axes: list[Axis]) -> str:
        """The sum over the number of what exists."""
        total = self.add(REDUCE, ReduceAttrs("sum", over), [self.only(value, axes, 0, node)], node)
        one = self.number(1, node)
        for axis in self.edit.node(value).axes:
            if axis.name in over:
                index = self.add(IOTA, IotaAttrs(axis), [], node)
                one = self.map("where", [self.map("ge", [index, index], node), one, one], node)
        count = self.add(REDUCE, ReduceAttrs("sum", over), [self.only(one, axes, 0, node)], node)
        return self.map("div", [total, count], node)

    def _become(self, node: Node, new: str) -> None:
        made = self.edit.node(new)
        self.edit.put(replace(made, site=node.site))
        self.edit.put(replace(node, site=None))
        self.edit.redirect(node.name, new)

    def _contract(self, node: Node, operands: tuple[str, ...], axes: list[Axis]) -> None:
        new = list(operands)
        for axis in axes:
            place = next(i for i, o in enumerate(new) if axis.name in self.edit.node(o).axis_names)
            new[place] = self.only(new[place], [axis], 0, node)
        self.edit.set_operands(node.name, new)

    def _along(self, node: Node, value: str, fn: str, axes: list[Axis]) -> None:
        if fn in BEHIND:
            self.edit.set_operands(node.name, [self.only(value, axes, BEHIND[fn], node)])
        elif fn == "flip":
            axis = axes[0]
            index = self.add(IOTA, IotaAttrs(axis), [], node)
            last = self.map("sub", [self.length(axis.size, node), self.number(1, node)], node)
            place = self.map(
                "mod", [self.map("sub", [last, index], node), self.length(axis.size, node)], node
            )
            self._become(node, self.add(INDEX, IndexAttrs(Gather(axis.name)), [value, place], node))
        elif fn not in ("cumsum", "cumprod", "cummax"):  # which look back only
            raise UnsupportedError(
                f"`{fn}` along `{axes[0].name}`, which has a length for each example"
            )

    def _index(
        self,
        node: Node,
        operands: tuple[str, ...],
        how: Select | Slice | Gather | Window,
        axis: Axis,
        given: Node,
    ) -> None:
        match how:
            case Select(name, at) if at < 0:
                place = self.map("add", [self.length(axis.size, node), self.number(at, node)], node)
                self._become(
                    node, self.add(INDEX, IndexAttrs(Gather(name)), [operands[0], place], node)
                )
            case Slice(name, start, stop) if not isinstance(start, int) and sizes.symbols(
                start
            ) & set(self.ragged):
                long = Axis(name, sizes.subtract(stop, start))
                index = self.add(IOTA, IotaAttrs(long), [], node)
                place = self.map("add", [self.length(start, node), index], node)
                part = self.add(INDEX, IndexAttrs(Gather(name)), [operands[0], place], node)
                self._become(node, part)
            case Window(fill=fill):
                otherwise = fill if given.dtype is DType.FLOAT else int(fill)
                self.edit.set_operands(
                    node.name, [self.only(operands[0], [axis], otherwise, node), *operands[1:]]
                )

    def _scan(self, node: Node, attrs: ScanAttrs, operands: tuple[str, ...]) -> None:
        """Behind the end the carries stay what they were."""
        alive = self.exists(attrs.axis, node)
        inputs = body_inputs(attrs.body)
        axes = tuple(a for a in self.edit.node(alive).axes if a.name != attrs.axis.name)
        lives = Node(
            "alive",
            INPUT,
            InputAttrs(tuple(a.name for a in axes), axes, DType.BOOL),
            axes,
            DType.BOOL,
            node.span,
            made_by="pad",
        )
        before = attrs.carries + attrs.steps
        ordered = [*inputs[:before], lives, *inputs[before:]]
        rest = [step for step in attrs.body.steps if step.node.op is not INPUT]
        held: list[Step] = []
        results = list(attrs.body.results)
        nodes = {step.node.name: step.node for step in attrs.body.steps}
        for place in range(attrs.carries):
            old, new = inputs[place], nodes[results[place]]
            which, dtype = MAP.infer(
                MapAttrs("where"),
                [(axes, DType.BOOL), (new.axes, new.dtype), (old.axes, old.dtype)],
            )
            keep = Node(
                f"held{place}", MAP, MapAttrs("where"), which, dtype, node.span, made_by="pad"
            )
            held.append(Step(keep, (lives.name, new.name, old.name)))
            results[place] = keep.name
        body = Body((*(Step(n, ()) for n in ordered), *rest, *held), tuple(results))
        new_operands = [*operands[:before], alive, *operands[before:]]
        self.edit.put(replace(node, attrs=replace(attrs, body=body, steps=attrs.steps + 1)))
        self.edit.set_operands(node.name, new_operands)
