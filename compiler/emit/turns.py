"""Which nodes belong to which turn of a `repeat`, and in which order turns and nodes are run.

A node's turn is read off its scope: `layer[3].attn` stands in the turn `layer[3]`. What several
turns read, though only one of them computes it, is moved out. A turn that cannot be run in one
piece, because something outside stands between its nodes, is dissolved.
"""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .flow import LEAVES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .flow import Flow

Place = tuple[
    str, ...
]  # the turns that a node stands in, from the outside: layer[3], layer[3].sub[0]
_TURN = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Turn:
    """Nodes and turns in the order in which they are run; the program itself has no scope."""

    scope: str
    items: tuple[str | Turn, ...]

    def names(self) -> Iterator[str]:
        """All nodes, those of inner turns too."""
        for item in self.items:
            if isinstance(item, Turn):
                yield from item.names()
            else:
                yield item


def turns(flow: Flow) -> Turn:
    """The program as a tree of turns. Parameters, inputs and closed values belong to none."""
    places = _moved_out(flow, _written(flow))
    return _Tree(flow, places).turn((), list(places))


def _written(flow: Flow) -> dict[str, Place]:
    known: dict[str, Place] = {}
    places = {}
    for name, node in flow.nodes.items():
        if node.op.name in LEAVES or name in flow.closed:
            continue
        if node.scope not in known:
            ends = [match.end() for match in _TURN.finditer(node.scope)]
            known[node.scope] = tuple(node.scope[:end] for end in ends)
        places[name] = known[node.scope]
    return places


def _shared(one: Place, other: Place) -> int:
    """How many turns the two places share."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _moved_out(flow: Flow, places: dict[str, Place]) -> dict[str, Place]:
    """What several turns read, and needs nothing of the one it stands in, stands outside."""
    depth: dict[str, int] = {}
    for name, place in places.items():
        needs = 0
        for operand in flow.reads[name] if place else ():
            if operand in places:
                needs = max(needs, min(_shared(places[operand], place), depth[operand]))
            elif flow.nodes[operand].op.name in ("param", "state"):
                site = flow.nodes[operand].site or ""
                needs = max(needs, sum(site.startswith(scope) for scope in place))
        depth[name] = needs
    moved = dict(places)
    for name in reversed(places):
        place = places[name]
        if depth[name] == len(place):
            continue
        level = depth[name]
        readers = [user for user in flow.users[name] if user and len(places[user]) > level]
        turns_ = {places[user][level] for user in readers if places[user][:level] == place[:level]}
        follows = any(
            places[user][: level + 1] == place[: level + 1] and moved[user] == place[:level]
            for user in flow.users[name]
            if user
        )
        if len(turns_) > 1 or follows:
            moved[name] = place[:level]
    for name in moved:  # a scan and its results are written together
        if flow.nodes[name].op.name == "item":
            moved[name] = moved[flow.reads[name][0]]
    return moved


class _Tree:
    def __init__(self, flow: Flow, places: dict[str, Place]) -> None:
        self.flow, self.places = flow, places
        self.position = {name: index for index, name in enumerate(places)}

    def turn(self, at: Place, inside: Sequence[str]) -> Turn:
        """The turn at a place, made of these nodes."""
        groups: dict[str | Place, list[str]] = {}
        for name in inside:
            place = self.places[name]
            key = name if len(place) == len(at) else place[: len(at) + 1]
            groups.setdefault(key, []).append(name)
        order = self._order(groups)
        if order is None:
            stuck = next(
                key for key in groups if isinstance(key, tuple) and self._returns(groups[key])
            )
            for name in groups[stuck]:
                self.places[name] = (*at, *self.places[name][len(at) + 1 :])
            return self.turn(at, inside)
        items = [key if isinstance(key, str) else self.turn(key, groups[key]) for key in order]
        return Turn(at[-1] if at else "", tuple(items))

    def _order(self, groups: dict[str | Place, list[str]]) -> list[str | Place] | None:
        """The groups, what they need first, else as written; None if that cannot be."""
        owner = {name: key for key, names in groups.items() for name in names}
        needs = {
            key: {owner[o] for name in names for o in self.flow.reads[name] if o in owner} - {key}
            for key, names in groups.items()
        }
        readers: dict[str | Place, list[str | Place]] = {key: [] for key in groups}
        for key, needed in needs.items():
            for other in needed:
                readers[other].append(key)
        left = {key: len(needed) for key, needed in needs.items()}
        ready = [(self.position[groups[key][0]], key) for key, count in left.items() if not count]
        heapq.heapify(ready)
        order: list[str | Place] = []
        while ready:
            _, key = heapq.heappop(ready)
            order.append(key)
            for reader in readers[key]:
                left[reader] -= 1
                if not left[reader]:
                    heapq.heappush(ready, (self.position[groups[reader][0]], reader))
        return order if len(order) == len(groups) else None

    def _returns(self, names: Sequence[str]) -> bool:
        """Whether something outside reads these nodes and is read by them."""
        own = set(names)
        reached = set()
        waiting = [u for name in names for u in self.flow.users[name] if u and u not in own]
        while waiting:
            name = waiting.pop()
            if name in own:
                return True
            if name not in reached:
                reached.add(name)
                waiting += [user for user in self.flow.users[name] if user]
        return False
