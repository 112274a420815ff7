"""Computes at once what is computed alike from several inputs: of two runs of a model on two
prompts, what they share in form is one run of both, along an axis of their own.

A product with few rows takes little longer with twice as many, since reading the weights is most of
it. So this is done where there are such products, where run-time sizes say that rows are few, and
for what they are made of; it needs contractions. A selection gives each run what it had.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.ops import (
    CONCAT,
    INDEX,
    INPUT,
    RENAME,
    SCAN,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    MapAttrs,
    RenameAttrs,
    Select,
)
from ..bodies import mentions
from ..lift import fitted
from .alike import EVERYWHERE, Alike
from .prune import prune

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...dsl.core import Axis
    from ...dsl.ops import Attrs, OpDef
    from ..context import Context
    from ..graph import Edit, Graph

ROWS = 64  # of each run; twice as many take 0.78 of the time of two products with 16, 0.91 with 64
WEIGHT = 1 << 12  # numbers of what they are multiplied with


def batch(graph: Graph, ctx: Context) -> Graph:
    """The graph with runs put together."""
    if ctx.sizes is None:
        return graph
    alike = Alike(graph)
    few = [colour for colour in alike.members if _pays(alike, colour, ctx.sizes)]
    if not few:
        return graph
    votes = Counter(tuple(sorted(alike.members[colour])) for colour in few)
    runs = max(votes, key=lambda own: (votes[own], own))  # those of the most products
    ends = [colour for colour in few if alike.members[colour].keys() >= set(runs)]
    with graph.edit() as edit:
        _Batched(edit, alike, runs).put(_behind(alike, ends, runs))
    return prune(edit.graph, ctx)


def _pays(alike: Alike, colour: int, known: Mapping[str, int]) -> bool:
    """Whether a colour is a product of few rows of each run with a weight."""
    members, graph = alike.members[colour], alike.graph
    name = next(iter(members.values()))
    attrs = graph.node(name).attrs
    if len(members) < 2 or not isinstance(attrs, ContractAttrs):
        return False
    weight: dict[str, Axis] = {}
    rows: dict[str, Axis] = {}
    for operand in graph.operands(name):
        side = weight if alike.run[operand] == EVERYWHERE else rows
        side.update({axis.name: axis for axis in graph.node(operand).axes})
    if not set(attrs.axes) & set(weight) & set(rows):
        return False
    own = [axis for axis in rows.values() if axis.name not in weight]
    return _numbers(own, known) <= ROWS and _numbers(weight.values(), known) >= WEIGHT


def _behind(alike: Alike, ends: Sequence[int], runs: Sequence[int]) -> list[int]:
    """These colours, sums of them with biases, and those of all that they are made of, in an order
    in which they can be computed; only what differs from run to run."""
    starts = [alike.members[colour][runs[0]] for colour in ends]
    for name in tuple(starts):
        starts += [user for user, _ in alike.graph.users(name) if _is_biased(alike, user, runs)]
    inside = {*starts, *alike.graph.ancestors(starts)}
    found = {alike.colour[name]: None for name in alike.graph.in_order() if name in inside}
    return [colour for colour in found if colour in alike.members]


def _is_biased(alike: Alike, name: str, runs: Sequence[int]) -> bool:
    """Whether a value of each run is another of it, changed by what is the same in all."""
    if not isinstance(alike.graph.node(name).attrs, MapAttrs):
        return False
    own = [operand for operand in alike.graph.operands(name) if alike.run[operand] != EVERYWHERE]
    return len(own) == 1 and alike.members.get(alike.colour[name], {}).keys() >= set(runs)


class _Batched:
    """Puts runs together, along an axis that nothing has yet."""

    def __init__(self, edit: Edit, alike: Alike, runs: Sequence[int]) -> None:
        self.edit, self.alike, self.runs = edit, alike, runs
        nodes = [alike.graph.node(name) for name in alike.graph.in_order()]
        self.axis = "run"
        while any(mentions(node, self.axis) for node in nodes):
            self.axis += "'"
        self.made: dict[int, str] = {}  # by colour

    def put(self, colours: Sequence[int]) -> None:
        """Compute values of these colours for all runs at once, and give each run its own."""
        for colour in colours:
            members = self.alike.members[colour]
            self.made[colour] = self._together([members[run] for run in self.runs])
        own = [
            (self.alike.members[colour][run], self.made[colour], place)
            for colour in colours
            for place, run in enumerate(self.runs)
        ]
        for name, made, place in own:
            if self.edit.node(name).op not in (INPUT, SCAN):
                self._select(name, made, place)
        for name, made, place in own:
            if self.edit.node(name).op is SCAN:
                self._select_items(name, made, place)

    def _together(self, own: Sequence[str]) -> str:
        node = self.edit.node(own[0])
        op, attrs, operands = node.op, node.attrs, list(own)
        if op is INPUT:
            op, attrs = CONCAT, ConcatAttrs(self.axis, new=True)
        else:
            read = self.edit.operands(own[0])
            operands = [self.made.get(self.alike.colour[name], name) for name in read]
            attrs = fitted(attrs, [self.edit.node(name) for name in operands])
        made = self.edit.add(op, attrs, operands, span=node.span, scope=node.scope, made_by="batch")
        if op is CONCAT:  # first, so that each run is a block of memory
            stacked = self.edit.node(made)
            self.edit.put(replace(stacked, axes=(stacked.axes[-1], *stacked.axes[:-1])))
        return made

    def _select_items(self, name: str, made: str, place: int) -> None:
        """Those of a scan that not every run has, or that nothing that is put together reads."""
        known = {self.edit.node(item).attrs: item for item, _ in self.edit.users(made)}
        for item, _ in self.edit.users(name):
            node = self.edit.node(item)
            attrs = fitted(node.attrs, [self.edit.node(made)])
            if attrs not in known:
                known[attrs] = self.edit.add(
                    node.op, attrs, [made], span=node.span, scope=node.scope, made_by="batch"
                )
            self._select(item, known[attrs], place)

    def _select(self, name: str, made: str, place: int) -> None:
        """Make a value what it is of those of all runs; one carry of a scan may be the same."""
        op: OpDef = INDEX
        attrs: Attrs = IndexAttrs(Select(self.axis, place))
        if self.axis not in self.edit.node(made).axis_names:
            op, attrs = RENAME, RenameAttrs()
        axes, dtype = op.infer(attrs, [self.edit.type_of(made)])
        node = self.edit.node(name)
        new = replace(node, op=op, attrs=attrs, axes=axes, dtype=dtype, made_by="batch")
        self.edit.put(new)
        self.edit.set_operands(name, [made])


def _numbers(axes: Iterable[Axis], known: Mapping[str, int]) -> float:
    """How many numbers there are along axes; without end, if that is not known."""
    own = [axis.size for axis in axes]
    if not all(sizes.symbols(size) <= known.keys() for size in own):
        return math.inf
    return math.prod(sizes.evaluate(size, known) for size in own)
