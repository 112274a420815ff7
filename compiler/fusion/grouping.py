"""Groups what a function computes into regions, each one kernel.

A region grows from what reads a value towards what made it, as long as nothing outside stands
between its members, and as long as all that it computes lies along the same rows. What several
members read is read once; what nobody outside reads is never in memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ..emit.forms import Fused, Piece
from .members import attended, member, volume
from .region import Region, body_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..emit.flow import Flow
    from ..emit.functions import Call
    from ..emit.recognise.selection import Plan
    from .members import Member

    Worth = Callable[[Region], object]

ROW = 1 << 14  # numbers in a row, at the most: the nearest cache holds a few such
GIVEN = 6  # values that a region gives, at the most


def fused(flow: Flow, items: Sequence[str | Call], plan: Plan, worth: Worth) -> Plan:
    """The plan of a function with regions in the place of what they compute.

    `worth` says of a region whether it is taken.
    """
    grouping = _Grouping(flow, items, plan)
    pieces = dict(plan.pieces)
    for region in grouping.regions():
        if not worth(region):
            continue
        for name in region.inside:
            del pieces[name]
        first, *others = region.gives
        node = flow.nodes[first]
        pieces[first] = Piece(node, Fused(region, 0), region.reads)
        for at, name in enumerate(others, 1):
            pieces[name] = Piece(flow.nodes[name], Fused(region, at), (first,))
    if pieces.keys() == plan.pieces.keys() and all(
        pieces[name] is plan.pieces[name] for name in pieces
    ):
        return plan
    uses = Counter(plan.uses)
    for piece in plan.pieces.values():
        uses.subtract(piece.reads)
    for piece in pieces.values():
        uses.update(piece.reads)
    order = {name: at for at, name in enumerate(plan.pieces)}
    pieces = {name: pieces[name] for name in sorted(pieces, key=order.__getitem__)}
    groups = {name: group for name, group in plan.groups.items() if name in pieces}
    return replace(plan, pieces=pieces, uses=+uses, groups=groups, named=plan.named & pieces.keys())


class _Grouping:
    def __init__(self, flow: Flow, items: Sequence[str | Call], plan: Plan) -> None:
        self.flow, self.plan = flow, plan
        self.members: dict[str, Member] = {}
        self.segment: dict[str, int] = {}
        taken = attended(flow)
        calls = 0
        for item in items:
            if not isinstance(item, str):
                calls += 1
            elif item in plan.pieces and item not in flow.closed:
                self.segment[item] = calls
                found = None if item in taken else member(flow, plan.pieces[item])
                if found is not None and not found.nodes & taken:
                    self.members[item] = found
        self.order = self._ordered()
        self.place = {name: at for at, name in enumerate(self.order)}
        self.above = self._ancestors()
        self.home: dict[str, set[str]] = {}

    def _ordered(self) -> list[str]:
        """The pieces, each after what it reads: the second value of a call may stand before it."""
        found: dict[str, None] = {}
        entered: set[str] = set()
        for name in self.segment:
            waiting = [name]
            while waiting:
                entered.add(waiting[-1])
                reads = self.plan.pieces[waiting[-1]].reads
                left = [r for r in reads if r in self.segment and r not in entered]
                if left:
                    waiting += left
                else:
                    found[waiting.pop()] = None
        return list(found)

    def _ancestors(self) -> list[int]:
        """For each piece, as bits, those of its segment that it is computed from."""
        found: list[int] = []
        for name in self.order:
            bits = 0
            for read in self.plan.pieces[name].reads:
                at = self.place.get(read)
                if at is not None and at < len(found) and self.segment[read] == self.segment[name]:
                    bits |= found[at] | 1 << at
            found.append(bits)
        return found

    def regions(self) -> Iterator[Region]:
        """All regions, in the order in which they begin."""
        members = [name for name in self.order if name in self.members]
        for name in members:
            own, whole = self.members[name], {name}
            for read in own.reads:
                other = self.home.get(read)
                if other is not None and not other <= whole and self._fits(whole | other):
                    whole |= other
            for one in whole:
                self.home[one] = whole
        seen: set[int] = set()
        for name in members:
            whole = self.home[name]
            if id(whole) in seen:
                continue
            seen.add(id(whole))
            region = self._made(sorted(whole, key=self.place.__getitem__))
            if region is not None:
                yield region

    def _fits(self, names: set[str]) -> bool:
        """Whether pieces can be one region."""
        own = [self.members[name] for name in names]
        if len({self.segment[name] for name in names}) > 1:
            return False
        lanes = _lanes(own)
        rows = {name: size for one in own for name, size in one.axes.items() if name not in lanes}
        known = all(isinstance(size, int) for size in rows.values())
        if not lanes or not known or volume(rows) > ROW:
            return False
        places = [self.place[name] for name in names]
        bits = sum(1 << at for at in places)
        return not any(
            not bits >> at & 1
            and self.above[at] & bits
            and any(self.above[other] >> at & 1 for other in places)
            for at in range(min(places) + 1, max(places))
        )

    def _made(self, names: list[str]) -> Region | None:
        """The region of these pieces, without views at its border."""
        pieces = self.plan.pieces
        while names:
            inside = Counter(read for name in names for read in pieces[name].reads)
            gives = [name for name in names if self.plan.uses[name] > inside[name]]
            gone = {
                name
                for name in names
                if self.members[name].is_view
                and (name in gives or not set(self.members[name].reads) & set(names))
            }
            if not gone:
                break
            names = [name for name in names if name not in gone]
        if not names or not 0 < len(gives) <= GIVEN:
            return None
        own = [self.members[name] for name in names]
        if not _lanes(own):
            return None
        nodes = frozenset[str]().union(*(one.nodes for one in own))
        body, reads = body_of(self.flow, nodes, gives)
        passed = sum(volume(self.flow.nodes[name].axes) for name in (*reads, *gives))
        largest = max(volume(self.flow.nodes[name].axes) for name in nodes)
        spared = (sum(one.passes for one in own) - passed) / largest
        moved = tuple(
            at
            for at, name in enumerate(reads)
            if self.flow.nodes[name].dtype is DType.FLOAT and name not in self.flow.closed
        )
        return Region(body, reads, tuple(gives), moved, tuple(names), spared)


def _lanes(own: Sequence[Member]) -> frozenset[str]:
    """The axes along which nothing in a region mixes, and that all of its values have."""
    every = frozenset.intersection(*(one.least for one in own))
    return every - frozenset(name for one in own for name in one.mixed)
