"""Walks a program and makes every operation blind to what an example does not have.

Needs the size symbols that are ragged, and over which axis. Adds one input for each, `lengths.t`,
if something needs it; then inputs are 0 behind the end. What is computed there is any finite
number, and nothing before sees it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import Body, DType, Node, names
from ....dsl.ops import (
    INPUT,
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    ItemAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    ScatterAttrs,
    StopAttrs,
)
from ....dsl.resize import counted
from ...lengths import Lengths
from ...lift import retyped
from .joining import joined
from .positions import concat, index, reshape
from .reductions import along, contract, reduce
from .refusal import check
from .scans import scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ....dsl.core import Axes
    from ...graph import Edit, Graph
    from .joining import Found


def pad(graph: Graph, ragged: Mapping[str, str]) -> Graph:
    """The graph for examples of several lengths. Raises UnsupportedError."""
    inputs = [n for n in map(graph.node, graph.in_order()) if n.op is INPUT]
    known = {axis.name: axis for node in reversed(inputs) for axis in node.axes}
    over = {symbol: (known[axis],) for symbol, axis in ragged.items() if axis in known}
    with graph.edit() as edit:
        lengths = Lengths(edit, over)
        Pad(lengths).run(graph)
        if lengths.inputs:
            _clear(lengths, [node.name for node in inputs if node.dtype is DType.FLOAT])
    return edit.graph


def _clear(lengths: Lengths, inputs: Sequence[str]) -> None:
    """Read zeros of inputs behind the end: what stands there may be no number, and what comes back
    through it, none either. What all examples share is as long as the longest."""
    edit = lengths.edit
    for name in inputs:
        own, readers = edit.node(name).axis_names, [user for user, _ in edit.users(name)]
        axes = [axis for axis in lengths.ragged(name) if lengths.examples(axis) <= own]
        if axes and readers:
            cleared = lengths.only(name, axes, 0.0, edit.node(name))
            edit.redirect(name, cleared, only=readers)


def pad_counted(graph: Graph) -> Graph:
    """The graph for axes whose sizes nodes of it count, in each example. Raises UnsupportedError.

    The sizes stay, and say how many positions the arrays have.
    """
    body = graph.to_body()
    wanted = counted(body)
    over = {node.name: node.axes for node in _nodes(body) if node.name in wanted}
    with graph.edit() as edit:
        Pad(Lengths(edit, over, counted=True)).run(graph)
    return edit.graph


def _nodes(body: Body) -> Iterator[Node]:
    for step in body.steps:
        yield step.node
        if isinstance(step.node.attrs, ScanAttrs):
            yield from _nodes(step.node.attrs.body)


class Pad:
    """One program, or the body of a scan, on its way."""

    def __init__(self, lengths: Lengths) -> None:
        self.edit: Edit = lengths.edit
        self.lengths = lengths
        self.zero: dict[str, frozenset[str]] = {}  # along which axes a value is 0 behind the end
        self.items: dict[str, list[Found]] = {}  # of the results of each scan

    def run(self, graph: Graph) -> None:
        """Make every operation blind to what does not exist."""
        for name in graph.in_order():
            self._visit(name)

    def _visit(self, name: str) -> None:
        operands = self.edit.operands(name)
        node = self.typed(name)
        self._note(node, operands)
        check(self.lengths, node, operands)
        if name not in self.lengths.joined:  # an input of a body has what it is given
            items = self.items.get(operands[0]) if operands else None
            if isinstance(node.attrs, ItemAttrs) and items is not None:
                self.lengths.joined[name] = items[node.attrs.index]
            else:
                self.lengths.joined[name] = joined(self.lengths, node, operands)
        match node.attrs:
            case ReduceAttrs() as attrs if self.lengths.mixed(operands[0], attrs.axes):
                reduce(self, node, attrs, operands[0])
            case ContractAttrs() as attrs:
                contract(self, node, attrs, operands)
            case AlongAttrs() as attrs if self.lengths.mixed(operands[0], attrs.axes):
                along(self, node, attrs, operands[0])
            case IndexAttrs(how) if axes := self.ragged(operands[:1], (how.axis,)):
                index(self, node, how, operands, axes[0])
            case IndexAttrs(how) if len(operands) == 2:
                index(self, node, how, operands, None)
            case ScatterAttrs(_, over) if axes := self.ragged(operands[1:], over):
                place = self.lengths.only(operands[1], axes, -1, node)
                self.edit.set_operands(name, [operands[0], place, operands[2]])
            case ConcatAttrs(axis, False) if self.ragged(operands, (axis,)):
                concat(self, node, axis, operands)
            case RenameAttrs(pairs):
                reshape(self, node, pairs, operands[0])
            case ScanAttrs() as attrs:
                scan(self, node, attrs, operands)
        self.typed(name)
        if not self.lengths.dependent.isdisjoint(self.edit.operands(name)):
            self.lengths.dependent.add(name)

    def typed(self, name: str) -> Node:
        """The node with the type that its operands give it by now."""
        node = retyped(self.edit.node(name), [self.edit.node(o) for o in self.edit.operands(name)])
        self.edit.put(node)
        return node

    def ragged(self, operands: tuple[str, ...], wanted: tuple[str, ...]) -> Axes:
        """The ragged axes among the wanted ones, on one of the operands at least."""
        found = {axis.name: axis for o in operands for axis in self.lengths.ragged(o, wanted)}
        return tuple(found[name] for name in wanted if name in found)

    def become(self, node: Node, new: str) -> None:
        """Another node in the place of one."""
        self.edit.put(replace(self.edit.node(new), site=node.site))
        self.edit.put(replace(self.edit.node(node.name), site=None))
        self.edit.redirect(node.name, new)
        self.lengths.joined[new] = self.lengths.joined[node.name]

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
        self.zero[node.name] = found & frozenset(names(node.axes))
