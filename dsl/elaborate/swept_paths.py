"""A path whose ends a sweep picks: members differ in their way, so each has a path of its own.

A change that comes to one consumer goes on from there. In the members that another consumer is
picked for it does not, so the ways are laid down apart. Sources may stay together, for a member
changes one of them, as long as each has the way that it has alone.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from .routes import route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..core import Body
    from .planned import Consumer, Detour, Planned

Turn = tuple[str, str, int]  # of a loop, by a swept variable, which
Picked = dict[str, int]  # a turn, by the swept variable that picks it


def exclusive(whole: Detour, body: Body, seen: Callable[[Detour], Detour]) -> Iterator[Detour]:
    """The path, one for each choice of turns that swept variables pick of its consumers; `seen`
    looks at its consumers from where their hops begin."""
    turns: dict[str, set[Turn]] = {}
    for one in _ends(whole):
        for turn in one.turns:
            if turn[1] != "*":
                turns.setdefault(turn[1], set()).add(turn)
    for chosen in product(*(sorted(found) for found in turns.values())):
        picked = {by: turn for _, by, turn in chosen}
        hops = tuple(tuple(c for c in hop if _fits(c.planned, picked)) for hop in whole.hops)
        sources = {a: [p for p in found if _fits(p, picked)] for a, found in whole.sources.items()}
        sources = {address: found for address, found in sources.items() if found}
        if sources and all(hops):
            last = tuple(_in_members(end, chosen) for end in hops[-1])
            new = replace(whole, sources=sources, hops=(*hops[:-1], last))
            yield from _apart(seen(new), body, seen)


def _apart(one: Detour, body: Body, seen: Callable[[Detour], Detour]) -> Iterator[Detour]:
    """The path; or one for each source that a swept variable picks, should any of them have
    another way by itself than together with the others."""
    swept = [a for a, found in one.sources.items() if any(map(_picked, found))]
    others = frozenset(one.sources) - set(swept)
    alike = all(_same_ways(frozenset([address, *others]), one, body) for address in swept)
    if len(swept) < 2 or alike:
        yield one
        return
    for address in swept:
        sources = {a: one.sources[a] for a in (address, *sorted(others))}
        own = one.sources[address][0].turns
        hops = tuple(tuple(_in_members(end, own) for end in hop) for hop in one.hops)
        yield seen(replace(one, sources=sources, hops=hops))


def _in_members(end: Consumer, turns: tuple[Turn, ...]) -> Consumer:
    """A consumer in the members alone in which swept variables pick these turns."""
    more = tuple(turn for turn in turns if turn[1] != "*" and turn not in end.planned.turns)
    return replace(end, planned=replace(end.planned, turns=(*end.planned.turns, *more)))


def _same_ways(start: frozenset[str], one: Detour, body: Body) -> bool:
    """Whether some sources have the same way to the first consumers as all of them together, on
    which none of the others is."""
    alone = route(body, start, one.hops[0], one.through)
    together = route(body, frozenset(one.sources), one.hops[0], one.through, only=start)
    others = {
        step.node.name
        for step in body.steps
        if step.node.site in one.sources and step.node.site not in start
    }
    return alone.reads == together.reads and others.isdisjoint(alone.reads)


def _ends(whole: Detour) -> Iterable[Planned]:
    return [consumer.planned for hop in whole.hops for consumer in hop]


def _picked(one: Planned) -> Picked:
    """The turns at which a planned write or consumer stands, by the variables that pick them."""
    return {by: turn for _, by, turn in one.turns if by != "*"}


def _fits(one: Planned, picked: Mapping[str, int]) -> bool:
    """Whether it is meant when variables pick these turns."""
    return all(picked.get(by, turn) == turn for by, turn in _picked(one).items())
