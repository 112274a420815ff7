"""Groups statements into loop nests, so that what runs over the same axes is done in one pass.

A nest holds as much as its axes allow: what it reads from another nest lies in memory. What is
cheap is computed again where it is read; what nobody reads yet waits for the nest that does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.ops import MapAttrs
from .expressions import CHEAP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .statements import Statement, Statements


@dataclass(eq=False)
class Group:
    """Statements of one loop nest, in order; those in `again` are computed elsewhere too."""

    statements: list[Statement] = field(default_factory=list)
    again: list[Statement] = field(default_factory=list)

    @property
    def made(self) -> list[Statement]:
        """All that is computed at a point, in an order in which it can be."""
        return sorted([*self.again, *self.statements], key=lambda own: own.order)


def grouped(statements: Statements, hidden: frozenset[str]) -> list[Group]:
    """All statements in loop nests, in the order in which these are run.

    The axes that are `hidden` are the lanes around all of it.
    """
    loops = {own.order: own.loops(hidden) for own in statements.found}
    groups = _scheduled(statements, loops)
    _sink(statements, groups, loops)
    groups = [group for group in groups if group.statements]
    _repeat(statements, groups, loops)
    return groups


def _scheduled(statements: Statements, loops: Mapping[int, object]) -> list[Group]:
    """Again and again the smallest loop nest that can be run, with all that can be run in it."""
    left = list(statements.found)
    made: dict[str, list[Statement]] = {}
    for statement in left:
        made.setdefault(statement.node.name, []).append(statement)
    done: set[int] = set()

    def ready(statement: Statement, inside: Sequence[Statement] = ()) -> bool:
        own = {other.node.name for other in inside if other.kind == "map"}
        for name in (*statement.near, *statement.far):
            at_hand = name in own and name in statement.near
            needed = made.get(statements.root(name), ())
            if not at_hand and any(other.order not in done for other in needed):
                return False
        earlier = made[statement.node.name]
        if statement.kind == "put":  # what it adds to is there
            return all(other.order in done for other in earlier if other.order < statement.order)
        return True

    groups = []
    while left:
        ready_now = [statement for statement in left if ready(statement)]
        first = min(ready_now, key=lambda own: (_depth(loops[own.order]), own.order))
        group = Group()
        for statement in left:
            if loops[statement.order] == loops[first.order] and ready(statement, group.statements):
                group.statements.append(statement)
        done |= {own.order for own in group.statements}
        left = [own for own in left if own.order not in done]
        groups.append(group)
    return groups


def _depth(loops: object) -> int:
    """How many loops there are."""
    assert isinstance(loops, tuple)
    return len(loops[0])


def _readers(statements: Statements) -> dict[str, list[Statement]]:
    """Who reads each value, itself or through a view."""
    readers: dict[str, list[Statement]] = {}
    for own in statements.found:
        for name in (*own.near, *own.far):
            readers.setdefault(statements.root(name), []).append(own)
    return readers


def _sink(statements: Statements, groups: list[Group], loops: Mapping[int, object]) -> None:
    """Move what one later nest alone reads into that nest."""
    readers = _readers(statements)
    place = {own.order: group for group in groups for own in group.statements}
    results = {statements.root(name) for name in statements.flow.results}
    for group in reversed(groups):
        for own in reversed(group.statements):
            name = own.node.name
            homes = {
                id(place[reader.order]): place[reader.order] for reader in readers.get(name, ())
            }
            if own.kind != "map" or name in results or len(homes) != 1:
                continue
            (home,) = homes.values()
            near = {other.node.name for other in group.statements} & set(own.near)
            far = [r for r in readers[name] if name in r.far or name not in r.near]
            if home is group or far or near or loops[home.statements[0].order] != loops[own.order]:
                continue
            group.statements.remove(own)
            home.statements.append(own)
            home.statements.sort(key=lambda other: other.order)
            place[own.order] = home


def _repeat(statements: Statements, groups: list[Group], loops: Mapping[int, object]) -> None:
    """Compute again what is cheap, rather than read it from memory."""
    made = {own.node.name: group for group in groups for own in group.statements}
    for group in groups:
        at_hand = {own.node.name for own in group.statements}
        for reader in list(group.statements):
            for name in reader.near:
                home = made.get(name)
                if name in at_hand or home is None or home is group:
                    continue
                own = next(other for other in home.statements if other.node.name == name)
                inside = {other.node.name for other in home.statements} & set(own.near)
                if (
                    own.kind == "map"
                    and _is_cheap(statements, own)
                    and loops[own.order] == loops[reader.order]
                    and not inside
                ):
                    group.again.append(own)
                    at_hand.add(name)


def _is_cheap(statements: Statements, own: Statement) -> bool:
    """Whether a value is rather computed again than kept."""
    if not isinstance(own.node.attrs, MapAttrs):
        return False
    fn = own.node.attrs.fn
    return fn in CHEAP or (fn == "pow" and statements.flow.numbers.get(own.near[1]) in (2, 3))


def kept(statements: Statements, groups: list[Group]) -> list[str]:
    """Values that must lie in memory: read by another nest, or at other places."""
    found: dict[str, None] = {}
    for group in groups:
        for own in group.made:
            if own.kind in ("copy", "put", "pick", "line") and own.into is not None:
                found[own.node.name] = None
        at_hand = {own.node.name for own in group.made if own.kind == "map"}
        for own in group.made:
            for name in (*own.near, *own.far):
                root = statements.root(name)
                if name in own.far or name not in at_hand:
                    found[root] = None
    made = {own.node.name for own in statements.found}
    return [name for name in found if name in made]
