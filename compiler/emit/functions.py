"""Turns that are equal but for their parameters become one function, called once for each."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl.ops import Distribution, ScanAttrs
from .turns import Turn, turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import Body, Node
    from .flow import Flow, Number

Path = tuple[str, ...]  # of a module: ("layer", "3", "attn")
Occurrence = tuple[str, int]  # a node and the position of one of its operands
MANY = 3  # so many turns that differ in numbers alone share a function that takes the numbers


def path_of(site: str) -> Path:
    """`layer[3].attn.q.w` as keys of nested modules; `base:wte`, of a set of weights beside the
    others, stands under `base:`."""
    return tuple(re.sub(r"\[(\d+)\]", r".\1", site).replace(":", ":.").split("."))


@dataclass(eq=False)
class Function:
    """The program, or one kind of turn. The names are those of the turn that stands for all."""

    scope: str
    home: Path | None
    items: tuple[str | Call, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    numbers: tuple[Occurrence, ...] = ()  # what is a number in each turn, and not the same one
    updates: tuple[tuple[str, str], ...] = ()  # a value, and the address of the state it is for


@dataclass(frozen=True, slots=True)
class Call:
    """One turn: what it runs, where its parameters are, and its values in the caller."""

    function: Function
    home: Path | None
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    numbers: tuple[Number, ...]


@dataclass(eq=False)
class _Draft:
    """A turn with what its function may be recognised by."""

    turn: Turn
    home: Path | None
    items: list[str | _Draft]
    takes: list[str] = field(default_factory=list)
    gives: list[str] = field(default_factory=list)
    updates: list[tuple[str, str]] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    key: object = None


def functions(flow: Flow, updates: Mapping[str, Sequence[str]]) -> tuple[Function, frozenset[str]]:
    """The program's function, with calls of others in it. `updates` are states by node; those that
    are updated in their turns are told too."""
    drafter = _Drafter(flow, updates)
    root = drafter.draft(turns(flow), ())
    return _Namer().function(root), frozenset(drafter.updated)


class _Drafter:
    def __init__(self, flow: Flow, updates: Mapping[str, Sequence[str]]) -> None:
        self.flow, self.updates = flow, updates
        self.paths = {
            name: path_of(node.site or name)
            for name, node in flow.nodes.items()
            if node.op.name in ("param", "state")
        }
        self.states = {
            flow.nodes[name].site: path
            for name, path in self.paths.items()
            if flow.nodes[name].op.name == "state"
        }
        self.updated: set[str] = set()
        self._bodies: dict[int, tuple[Body, object]] = {}

    def draft(self, turn: Turn, above: Path) -> _Draft:
        own = set(turn.names())
        home = self._home(turn, own, above) if turn.scope else ()
        inner = above if home is None else home
        items = [self.draft(i, inner) if isinstance(i, Turn) else i for i in turn.items]
        draft = _Draft(turn, home, items)
        for name in turn.names():
            users = self.flow.users[name]
            for site in self.updates.get(name, ()):
                if turn.scope and home is not None and self._inside(self.states.get(site), home):
                    draft.updates.append((name, site))
                    self.updated.add(site)
                    users = users[: users.index("")] + users[users.index("") + 1 :]
            if any(user not in own for user in users) or (not turn.scope and "" in users):
                draft.gives.append(name)
        if turn.scope:
            draft.key = _Signature(self, draft, own).key()
        return draft

    @staticmethod
    def _inside(path: Path | None, home: Path) -> bool:
        return path is not None and path[: len(home)] == home

    def _home(self, turn: Turn, own: set[str], above: Path) -> Path | None:
        """The module of the turn: the one of its name that holds most of what it reads."""
        *_, name, index = path_of(turn.scope)
        read = dict.fromkeys(o for n in own for o in self.flow.reads[n] if o in self.paths)
        read |= {
            node: None
            for n in own
            for site in self.updates.get(n, ())
            for node, path in self.paths.items()
            if path == self.states.get(site)
        }
        votes: Counter[Path] = Counter()
        for param in read:
            path = self.paths[param]
            for end in range(len(above) + 1, len(path)):
                if path[end - 1] == name and path[: len(above)] == above:
                    votes[path[:end]] += 1
                    if path[end] == index and end + 1 < len(path):
                        votes[path[: end + 1]] += 1
        if not votes:
            return None
        return max(votes, key=lambda path: (votes[path], len(path)))

    def body(self, body: Body) -> object:
        """A scan's body without the addresses and positions of its nodes."""
        known = self._bodies.get(id(body))
        if known is None:
            place = {step.node.name: index for index, step in enumerate(body.steps)}
            steps = tuple(
                (
                    s.node.op.name,
                    self.attrs(s.node),
                    s.node.axes,
                    tuple(place[o] for o in s.operands),
                )
                for s in body.steps
            )
            known = self._bodies[id(body)] = body, (steps, tuple(place[r] for r in body.results))
        return known[1]

    def attrs(self, node: Node) -> object:
        """The attributes of a node as far as they decide about what is written."""
        attrs = node.attrs
        if isinstance(attrs, ScanAttrs):
            return attrs.axis, self.body(attrs.body), attrs.carries, attrs.steps, attrs.reverse
        init = getattr(attrs, "init", None)
        if init is not None:
            start = init if isinstance(init, Distribution) else self.body(init)
            return getattr(attrs, "axes", ()), start, getattr(attrs, "trained", None)
        return attrs


class _Signature:
    """What a turn is, in terms of nothing that only it has. Fills in the draft on the way."""

    def __init__(self, drafter: _Drafter, draft: _Draft, own: set[str]) -> None:
        self.drafter, self.flow, self.draft, self.own = drafter, drafter.flow, draft, own
        self.places: dict[str, int] = {}

    def key(self) -> object:
        found = tuple(self._item(item) for item in self.draft.items)
        results = tuple(self.places[name] for name in self.draft.gives)
        updates = tuple(
            (self.places[name], self.drafter.states[site][len(self.draft.home or ()) :])
            for name, site in self.draft.updates
        )
        return found, results, updates

    def _item(self, item: str | _Draft) -> object:
        if isinstance(item, _Draft):
            offset = None if item.home is None else item.home[len(self.draft.home or ()) :]
            read = tuple(self._read(name) for name in item.takes)
            for name in item.gives:
                self.places[name] = len(self.places)
            return item.key, offset, read, tuple(map(repr, item.numbers))
        node = self.flow.nodes[item]
        read = tuple(self._operand(item, at, name) for at, name in enumerate(self.flow.reads[item]))
        self.places[item] = len(self.places)
        return node.op.name, self.drafter.attrs(node), read, node.axes, node.dtype

    def _operand(self, user: str, position: int, name: str) -> object:
        if name in self.flow.numbers:
            self.draft.occurrences.append((user, position))
            self.draft.numbers.append(self.flow.numbers[name])
            return type(self.flow.numbers[name]).__name__
        return self._read(name)

    def _read(self, name: str) -> object:
        if name in self.own:
            return self.places[name]
        if name in self.flow.closed:
            return name
        path = self.drafter.paths.get(name)
        home = self.draft.home
        node = self.flow.nodes[name]
        if path is not None and home is not None and path[: len(home)] == home:
            return path[len(home) :], self.drafter.attrs(node)
        if name not in self.draft.takes:
            self.draft.takes.append(name)
        return "taken", self.draft.takes.index(name), node.axes, node.dtype


class _Namer:
    """Makes the functions, one for each key."""

    def __init__(self) -> None:
        self.made: dict[object, Function] = {}

    def function(self, draft: _Draft, varying: tuple[int, ...] = ()) -> Function:
        key = (
            draft.key,
            varying,
            tuple(repr(n) for at, n in enumerate(draft.numbers) if at not in varying),
        )
        if draft.key is not None and key in self.made:
            return self.made[key]
        drafts = [item for item in draft.items if isinstance(item, _Draft)]
        differing = _differing(drafts)
        items = tuple(
            item if isinstance(item, str) else self._call(item, differing.get(id(item), ()))
            for item in draft.items
        )
        made = Function(
            draft.turn.scope,
            draft.home,
            items,
            tuple(draft.takes),
            tuple(draft.gives),
            tuple(draft.occurrences[at] for at in varying),
            tuple(draft.updates),
        )
        self.made[key] = made
        return made

    def _call(self, draft: _Draft, varying: tuple[int, ...]) -> Call:
        return Call(
            self.function(draft, varying),
            draft.home,
            tuple(draft.takes),
            tuple(draft.gives),
            tuple(draft.numbers[at] for at in varying),
        )


def _differing(drafts: Sequence[_Draft]) -> dict[int, tuple[int, ...]]:
    """Which numbers differ among turns that are equal otherwise, where most of the turns differ."""
    alike: dict[object, list[_Draft]] = {}
    for draft in drafts:
        alike.setdefault(draft.key, []).append(draft)
    found: dict[int, tuple[int, ...]] = {}
    for group in alike.values():
        kinds = {tuple(map(repr, draft.numbers)) for draft in group}
        if len(kinds) == 1 or len(group) < MANY or 2 * len(kinds) <= len(group):
            continue
        varying = tuple(
            at
            for at in range(len(group[0].numbers))
            if len({repr(draft.numbers[at]) for draft in group}) > 1
        )
        found |= {id(draft): varying for draft in group}
    return found
