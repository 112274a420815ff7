"""Gives ragged axes their lengths: a batch of examples of several lengths stands in one array, and
what lies behind an example's end is not seen by reductions, softmax, windows and recurrences.

Needs the size symbols that are ragged, and over which axis. Adds one input for each, `lengths.t`,
if something needs it. What is computed behind the end is any finite number; nothing before sees it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis, Body, DType, names
from ...dsl.ops import (
    INDEX,
    INPUT,
    IOTA,
    MAP,
    REDUCE,
    AlongAttrs,
    ConcatAttrs,
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
from ..causality import hides
from ..graph import Graph
from ..lengths import Lengths, UnsupportedError
from ..lift import body_inputs, retyped, settled
from ..show import called

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.core import Node
    from ...dsl.ops import Attrs
    from ..graph import Edit

NOTHING: dict[str, float | bool] = {  # what a reduction does not see
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
BEHIND: dict[str, float] = {  # what stays behind all else
    "softmax": -math.inf,
    "log_softmax": -math.inf,
    "rank": -math.inf,
    "sort": math.inf,
    "argsort": math.inf,
}
BACKWARDS = ("cumsum", "cumprod", "cummax")  # they look at what is before only
LARGEST = 2**53  # does for infinity among ints


def pad(graph: Graph, ragged: Mapping[str, str]) -> Graph:
    """The graph for examples of several lengths. Raises UnsupportedError."""
    inputs = [n for n in map(graph.node, graph.in_order()) if n.op is INPUT]
    known = {axis.name: axis for node in reversed(inputs) for axis in node.axes}
    over = {symbol: known[axis] for symbol, axis in ragged.items() if axis in known}
    with graph.edit() as edit:
        _Pad(edit, Lengths(edit, over)).run(graph)
    return edit.graph


class _Pad:
    def __init__(self, edit: Edit, lengths: Lengths) -> None:
        self.edit, self.lengths = edit, lengths
        self.zero: dict[str, frozenset[str]] = {}  # along which axes a value is 0 behind the end

    def run(self, graph: Graph) -> None:
        """Make every operation blind to what does not exist."""
        for name in graph.in_order():
            self._visit(name)

    def _visit(self, name: str) -> None:
        operands = self.edit.operands(name)
        node = self._typed(name)
        self._note(node, operands)
        self._check(node, operands)
        attrs = node.attrs
        match attrs:
            case ReduceAttrs() if self._ragged(operands, attrs.axes):
                self._reduce(node, attrs, operands[0])
            case ContractAttrs() if self._ragged(operands, attrs.axes):
                self._contract(node, attrs, operands)
            case AlongAttrs() if self._ragged(operands, attrs.axes):
                self._along(node, attrs, operands[0])
            case IndexAttrs(how) if axes := self._ragged(operands[:1], (how.axis,)):
                self._index(node, how, operands, axes[0])
            case ScatterAttrs(_, over) if axes := self._ragged(operands[1:], over):
                index = self.lengths.only(operands[1], axes, -1, node)
                self.edit.set_operands(name, [operands[0], index, operands[2]])
            case ScanAttrs():
                self._scan(node, attrs, operands)
        self._typed(name)
        if not self.lengths.dependent.isdisjoint(self.edit.operands(name)):
            self.lengths.dependent.add(name)

    def _typed(self, name: str) -> Node:
        """The node with the type that its operands give it by now."""
        node = retyped(self.edit.node(name), [self.edit.node(o) for o in self.edit.operands(name)])
        self.edit.put(node)
        return node

    def _ragged(self, operands: tuple[str, ...], wanted: tuple[str, ...]) -> list[Axis]:
        found = {axis.name: axis for o in operands for axis in self.lengths.ragged(o, wanted)}
        return [found[name] for name in wanted if name in found]

    def _become(self, node: Node, new: str) -> None:
        """Another node in the place of one."""
        self.edit.put(replace(self.edit.node(new), site=node.site))
        self.edit.put(replace(self.edit.node(node.name), site=None))
        self.edit.redirect(node.name, new)

    # ---- what is known, and what cannot be

    def _note(self, node: Node, operands: tuple[str, ...]) -> None:
        """Which values are 0 behind the end as their operands are."""
        zero = [self.zero.get(o, frozenset()) for o in operands]
        match node.attrs:
            case MapAttrs("mul") | ContractAttrs():
                found = frozenset().union(*zero)
            case MapAttrs("neg") | StopAttrs():
                found = zero[0]
            case MapAttrs("div"):
                found = zero[0] - self.edit.node(operands[1]).axis_names
            case RenameAttrs(pairs):
                turned = {old[0]: new[0].name for old, new in pairs if len(old) == len(new) == 1}
                mixed = {name for old, _ in pairs for name in old} - set(turned)
                found = frozenset(turned.get(axis, axis) for axis in zero[0] - mixed)
            case _:
                return
        self.zero[node.name] = found & node.axis_names

    def _check(self, node: Node, operands: tuple[str, ...]) -> None:
        """Reject what is not done to ragged axes, or to examples with axes of their own length."""
        attrs = node.attrs
        for operand in operands:
            for axis in self.lengths.ragged(operand):
                over = [self.lengths.over[symbol].name for symbol in self.lengths.symbols(axis)]
                mixed = [b for b in over if b in _mixed(attrs)]
                if mixed and axis.name not in _mixed(attrs):
                    raise self._not(node, axis)
        match attrs:
            case ConcatAttrs(name, False) if axes := self._ragged(operands, (name,)):
                raise self._not(node, axes[0])
            case RenameAttrs(pairs):
                for old, new in pairs:
                    if (len(old) > 1 or len(new) > 1) and (axes := self._ragged(operands, old)):
                        raise self._not(node, axes[0])

    def _not(self, node: Node, axis: Axis) -> UnsupportedError:
        over = ", ".join(self.lengths.over[symbol].name for symbol in self.lengths.symbols(axis))
        message = (
            f"`{axis.name}` has a length for each `{over}`: {called(node)} is not built for it"
        )
        return UnsupportedError(message, node.span)

    # ---- operations

    def _reduce(self, node: Node, attrs: ReduceAttrs, value: str) -> None:
        axes = self._ragged((value,), attrs.axes)
        if attrs.fn in NOTHING:
            fill = _fill(NOTHING[attrs.fn], attrs.fn, self.edit.node(value).dtype)
            self.edit.set_operands(node.name, [self.lengths.only(value, axes, fill, node)])
        elif attrs.fn == "mean":
            self._become(node, self._mean(node, value, attrs.axes))
        elif attrs.fn == "var":
            gap = self.lengths.map("sub", node, value, self._mean(node, value, attrs.axes))
            square = self.lengths.map("mul", node, gap, gap)
            self._become(node, self._mean(node, square, attrs.axes))
        else:
            raise self._not(node, axes[0])

    def _mean(self, node: Node, value: str, over: tuple[str, ...]) -> str:
        """The sum over the number of what exists."""
        lengths, axes = self.lengths, self._ragged((value,), over)
        total = lengths.only(value, axes, 0, node)
        count = lengths.only(lengths.number(1, node), axes, 0, node)
        for axis in self.edit.node(value).axes:
            if axis.name in over and axis.name not in self.edit.node(count).axis_names:
                index = lengths.add(IOTA, IotaAttrs(axis), node)
                here = lengths.map("ge", node, index, index)
                count = lengths.map("mul", node, count, here)
        total, count = (
            lengths.add(REDUCE, ReduceAttrs("sum", over), node, v) for v in (total, count)
        )
        return lengths.map("div", node, total, count)

    def _contract(self, node: Node, attrs: ContractAttrs, operands: tuple[str, ...]) -> None:
        """One factor is 0 behind the end; the smallest one is made so, if none is yet."""
        read = list(operands)
        for axis in self._ragged(operands, attrs.axes):
            having = [at for at, o in enumerate(read) if axis.name in self.edit.node(o).axis_names]
            if not any(axis.name in self.zero.get(read[at], ()) for at in having):
                least = min(having, key=lambda at: len(self.edit.node(read[at]).axes))
                read[least] = self.lengths.only(read[least], [axis], 0, node)
        self.edit.set_operands(node.name, read)

    def _along(self, node: Node, attrs: AlongAttrs, value: str) -> None:
        axes = self._ragged((value,), attrs.axes)
        lone = len(attrs.axes) == 1
        if attrs.fn in BEHIND and (lone or attrs.fn in ("softmax", "log_softmax")):
            if attrs.fn == "softmax":
                self.zero[node.name] = frozenset(names(tuple(axes)))
            seen = [axis for axis in axes if not (lone and hides(self.edit, value, axis))]
            fill = _fill(BEHIND[attrs.fn], attrs.fn, self.edit.node(value).dtype)
            self.edit.set_operands(node.name, [self.lengths.only(value, seen, fill, node)])
        elif attrs.fn == "flip" and lone:
            self._flip(node, value, axes[0])
        elif attrs.fn not in BACKWARDS or not lone:
            raise self._not(node, axes[0])

    def _flip(self, node: Node, value: str, axis: Axis) -> None:
        lengths = self.lengths
        count = lengths.map("max", node, lengths.length(axis.size, node), lengths.number(1, node))
        index = lengths.add(IOTA, IotaAttrs(axis), node)
        last = lengths.map("sub", node, count, lengths.number(1, node))
        place = lengths.map("mod", node, lengths.map("sub", node, last, index), count)
        self._become(node, lengths.add(INDEX, IndexAttrs(Gather(axis.name)), node, value, place))

    def _index(
        self,
        node: Node,
        how: Select | Slice | Gather | Window,
        operands: tuple[str, ...],
        axis: Axis,
    ) -> None:
        lengths, value = self.lengths, operands[0]
        match how:
            case Select(name, at) if at < 0:
                end = lengths.length(axis.size, node)
                place = lengths.map("add", node, end, lengths.number(at, node))
                self._gather(node, name, value, place)
            case Slice(name, start, stop) if lengths.symbols(Axis(name, start)):
                part = Axis(name, sizes.subtract(stop, start))
                index = lengths.add(IOTA, IotaAttrs(part), node)
                place = lengths.map("add", node, lengths.length(start, node), index)
                self._gather(node, name, value, place)
            case Gather(name, None):
                index = operands[1]
                if index in lengths.dependent and lengths.ragged(index):
                    self._gather(node, name, value, index)
            case Window(offset=offset) if lengths.symbols(Axis(axis.name, offset)):
                raise self._not(node, axis)
            case Gather(fill=float(fill)) | Window(fill=fill):
                dtype = self.edit.node(value).dtype
                number = bool(fill) if dtype is DType.BOOL else fill
                number = int(fill) if dtype is DType.INT else number
                shown = lengths.only(value, [axis], number, node)
                self.edit.set_operands(node.name, [shown, *operands[1:]])

    def _gather(self, node: Node, axis: str, value: str, place: str) -> None:
        """What is behind the end may say any place; it says the first."""
        place = self.lengths.only(place, self.lengths.ragged(place), 0, node)
        new = self.lengths.add(INDEX, IndexAttrs(Gather(axis)), node, value, place)
        self._become(node, new)

    # ---- recurrences

    def _scan(self, node: Node, attrs: ScanAttrs, operands: tuple[str, ...]) -> None:
        """Inside as outside; along a ragged axis, carries stay what they were behind the end."""
        graph = Graph.from_body(attrs.body)
        inputs = body_inputs(attrs.body)
        with graph.edit() as inner:
            lengths = Lengths(inner, self.lengths.over, inside=True)
            pairs = zip(inputs, operands, strict=True)
            lengths.dependent |= {own.name for own, o in pairs if o in self.lengths.dependent}
            _Pad(inner, lengths).run(graph)
            alive = self._hold(inner, node, attrs) if self.lengths.symbols(attrs.axis) else None
        body = inner.graph.to_body()
        extra = [self.lengths.input(symbol, node) for symbol in lengths.inputs]
        new_operands = [*operands, *extra]
        if alive is not None:
            place = attrs.carries + attrs.steps
            body = _moved(body, alive, place)
            new_operands.insert(place, self.lengths.exists(attrs.axis, node))
            attrs = replace(attrs, steps=attrs.steps + 1)
        attrs = replace(attrs, body=body)
        types = [(own.axes, own.dtype) for own in body_inputs(body)]
        self.edit.put(replace(node, attrs=replace(attrs, body=settled(attrs, types))))
        self.edit.set_operands(node.name, new_operands)

    def _hold(self, inner: Edit, node: Node, attrs: ScanAttrs) -> str:
        """Let the carries of a body change only where an input that is given back is true."""
        over = tuple(self.lengths.over[s] for s in self.lengths.symbols(attrs.axis))
        given = InputAttrs(names(over), over, DType.BOOL)
        alive = inner.add(INPUT, given, span=node.span, made_by="pad")
        results = list(inner.results)
        for place, carry in enumerate(body_inputs(attrs.body)[: attrs.carries]):
            if results[place] != carry.name:
                read = [alive, results[place], carry.name]
                results[place] = inner.add(
                    MAP, MapAttrs("where"), read, span=node.span, made_by="pad"
                )
        inner.set_results(results)
        return alive


def _mixed(attrs: Attrs) -> frozenset[str]:
    """Axes whose positions an operation does not keep by themselves."""
    match attrs:
        case ReduceAttrs(_, axes) | ContractAttrs(axes) | AlongAttrs(_, axes):
            return frozenset(axes)
        case IndexAttrs(how):
            return frozenset((how.axis,))
        case ScatterAttrs(axis, over):
            return frozenset((axis, *over))
        case RenameAttrs(pairs):
            return frozenset(name for old, _ in pairs for name in old)
        case ConcatAttrs(axis) | ScanAttrs(Axis(axis)):
            return frozenset((axis,))
    return frozenset()


def _fill(number: float | bool, fn: str, dtype: DType) -> float | bool:
    """The number in the dtype of what it stands beside, if the function keeps that."""
    if (
        not math.isinf(number)
        or dtype is DType.FLOAT
        or fn in ("logsumexp", "softmax", "log_softmax")
    ):
        return number
    return number > 0 if dtype is DType.BOOL else int(math.copysign(LARGEST, number))


def _moved(body: Body, name: str, place: int) -> Body:
    """The body with one of its inputs as the one in that place."""
    inputs = [step for step in body.steps if step.node.op is INPUT]
    moved = next(step for step in inputs if step.node.name == name)
    inputs.remove(moved)
    inputs.insert(place, moved)
    return replace(body, steps=(*inputs, *(s for s in body.steps if s.node.op is not INPUT)))
