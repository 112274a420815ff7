"""Turns of a loop that are like one before: they are copied, which is quicker than elaborating.

The program is the same, names of nodes included: a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Body, Node, Step
from ..resize import counted
from .scope import join
from .structure import walk
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .scope import Scope

MODELS = 3  # so many turns are tried as what to copy
CHEAPER = 2  # so many copied operations cost what one elaborated costs


def can_copy(step: s.Loop, scope: Scope) -> bool:
    """Whether nothing in the body depends on which turn it is."""
    return scope.builder.parent is None and not any(
        (isinstance(part, s.Name) and part.id == step.name)
        or (isinstance(part, s.Declare) and part.kind == "state")
        for part in walk(step.body)
    )


@dataclass(frozen=True)
class Mark:
    """Where the program stood before the turn that is copied."""

    turn: int
    steps: int
    seen: int
    aliases: int
    updates: int
    entered: Mapping[str, Node]

    @classmethod
    def now(cls, turn: int, carried: list[str], scope: Scope) -> Mark | None:
        """Before that turn; None if what it carries are no tensors."""
        entered = _entered(carried, scope)
        if entered is None:
            return None
        ctx = scope.ctx
        return cls(
            turn, len(scope.builder.steps), ctx.seen, len(ctx.aliases), len(ctx.updates), entered
        )


def _entered(carried: list[str], scope: Scope) -> dict[str, Node] | None:
    entered = {}
    for name in carried:
        value = scope.lookup(name)
        if not isinstance(value, Value):
            return None
        entered[name] = scope.builder.current(value.node)
    return entered


class Copier:
    """Makes further turns from the one between a mark and now."""

    def __init__(self, step: s.Loop, mark: Mark, carried: list[str], scope: Scope) -> None:
        self.step, self.mark, self.carried, self.scope = step, mark, carried, scope
        ctx = scope.ctx
        self.made = scope.builder.steps[mark.steps :]
        self.size = ctx.seen - mark.seen
        self.results = {name: node.name for name, node in (_entered(carried, scope) or {}).items()}
        self.aliases = list(islice(ctx.aliases.items(), mark.aliases, None))
        self.updates = list(islice(ctx.updates.items(), mark.updates, None))
        inside = tuple(prefix + "." for prefix in self._prefixes(mark.turn))
        self.claimed = [address for address in ctx.claimed if address.startswith(inside)]
        self.is_whole = self._is_closed(inside)

    def _is_closed(self, inside: tuple[str, ...]) -> bool:
        """Whether the turn makes only parameters of its own, reads none of its own that were made
        before (as in a loop that is shared), and reads what enters it once."""
        entered = {node.name for node in self.mark.entered.values()}
        wanted = {f"{inside[0]}in.{name}" for name in self.carried}
        readers = [step.node.site for step in self.made if not entered.isdisjoint(step.operands)]
        earlier = {
            node.name
            for address, node in self.scope.ctx.params.items()
            if address.startswith(inside)
        }.difference(step.node.name for step in self.made)
        return (
            len(entered) == len(readers) == len(self.carried)
            and set(readers) == wanted
            and earlier.isdisjoint(name for step in self.made for name in step.operands)
            and not counted(Body(tuple(self.made), ()))  # each turn counts for itself
            and all(
                (step.node.site or "").startswith(inside)
                for step in self.made
                if step.node.op in (ops.PARAM, ops.STATE)
            )
        )

    def _prefixes(self, turn: int) -> list[str]:
        """The addresses of a turn: of its values, and of its parameters where these live apart."""
        paths = [self.scope.path]
        if self.step.kind != "share" and self.scope.params != self.scope.path:
            paths.append(self.scope.params)
        return [join(path, f"{self.step.name}[{turn}]") for path in paths]

    def fits(self) -> bool:
        """Whether what enters the next turn is like what entered the one that is copied."""
        entered = _entered(self.carried, self.scope) if self.is_whole else None
        return entered is not None and all(
            (node.axes, node.dtype) == (self.mark.entered[name].axes, self.mark.entered[name].dtype)
            and self._is_own(self.results.get(name, ""))
            for name, node in entered.items()
        )

    def _is_own(self, name: str) -> bool:
        return name[:1] == "v" and self.mark.seen < int(name[1:]) <= self.mark.seen + self.size

    def make(self, turn: int) -> None:
        """The next turn."""
        ctx, builder = self.scope.ctx, self.scope.builder
        entered = _entered(self.carried, self.scope) or {}
        outer = {self.mark.entered[name].name: node.name for name, node in entered.items()}
        shift = ctx.seen - self.mark.seen
        pairs = list(zip(self._prefixes(self.mark.turn), self._prefixes(turn), strict=True))

        def renamed(name: str) -> str:
            return f"v{int(name[1:]) + shift}" if self._is_own(name) else outer.get(name, name)

        def moved(address: str) -> str:
            for old, new in pairs:
                if address.startswith(old) and address[len(old) : len(old) + 1] in ("", "."):
                    return new + address[len(old) :]
            return address

        for step in self.made:
            made = _copied(step, renamed, moved)
            builder.place[made.node.name] = len(builder.steps)
            builder.steps.append(made)
            if made.node.op in (ops.PARAM, ops.STATE):
                ctx.params[made.node.site or ""] = made.node
        ctx.seen += self.size
        ctx.aliases.update((moved(alias), moved(address)) for alias, address in self.aliases)
        ctx.claimed.update(map(moved, self.claimed))
        for address, node in self.updates:
            ctx.updates[moved(address)] = builder.steps[builder.place[renamed(node.name)]].node
        for name, result in self.results.items():
            owner = self.scope.owner(name)
            assert owner is not None
            owner.names[name] = Value(builder.steps[builder.place[renamed(result)]].node)
        ctx.budget.spent += self.size // CHEAPER
        ctx.spend(self.step.span)


def _copied(step: Step, renamed: Callable[[str], str], moved: Callable[[str], str]) -> Step:
    node, attrs = step.node, step.node.attrs
    if isinstance(attrs, ops.ScanAttrs):
        steps = tuple(_copied(inner, renamed, moved) for inner in attrs.body.steps)
        attrs = replace(attrs, body=Body(steps, tuple(map(renamed, attrs.body.results))))
    elif isinstance(attrs, ops.RandomAttrs):
        attrs = replace(attrs, key=moved(attrs.key))
    made = Node(
        renamed(node.name),
        node.op,
        attrs,
        node.axes,
        node.dtype,
        node.span,
        None if node.site is None else moved(node.site),
        moved(node.scope),
        node.made_by,
    )
    return Step(made, tuple(map(renamed, step.operands)))
