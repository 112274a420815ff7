"""A call of a built-in function: its arguments, the axes in its brackets, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from .. import ops
from .. import syntax as s
from ..diagnostics import Slug
from .values import HaltError, Val, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Node
    from .scope import Scope


@dataclass(frozen=True, slots=True)
class Builtin:
    """How a call is written, and what runs it."""

    usage: str
    run: Callable[[Given], Val | tuple[Val, ...]]


@dataclass(frozen=True, slots=True)
class Given:
    """A call of a built-in function: its name, brackets and arguments."""

    name: str
    items: tuple[s.Item, ...] | None
    tree: s.Call
    scope: Scope
    usage: str  # how the call is written
    address: str | None = None  # where the insides live of a call that this one wraps

    def wrong(self, message: str, hint: str | None = None) -> NoReturn:
        """Report a call that is not written as it should be."""
        self.scope.fail(
            Slug.WRONG_ARGUMENTS, message, self.tree.span, hint=hint or f"`{self.usage}`"
        )

    def over(self, nodes: list[Node], most: int | None = None) -> str:
        """The call with the axes that it could be over."""
        axes = [axis.name for axis in nodes[0].axes][-(most or len(nodes[0].axes)) :] or ["t"]
        given = ", ".join(arg.span.text for arg in self.tree.args)
        return f"`{self.name}[{', '.join(axes)}]({given})`"

    def values(self, least: int, most: int | None = None) -> list[Val]:
        """The arguments, all by position."""
        found = len(self.tree.args)
        named = [arg for arg in self.tree.args if arg.name is not None]
        if named:
            self.wrong(f"`{self.name}` has no argument `{named[0].name}`")
        if found < least or (most is not None and found > most):
            wanted = (
                str(least)
                if most == least
                else f"{least} or more"
                if most is None
                else f"{least} to {most}"
            )
            self.wrong(f"`{self.name}` takes {wanted} values, and is given {found}")
        args = [arg.value for arg in self.tree.args]
        if len(args) == 1 and isinstance(args[0], s.Call):
            return [self.scope.evaluate(args[0], self.address)]
        return [self.scope.evaluate(arg) for arg in args]

    def nodes(self, least: int, most: int | None = None) -> list[Node]:
        """The arguments as tensors."""
        values = self.values(least, most)
        return [self.scope.node(v, a.span) for v, a in zip(values, self.tree.args, strict=True)]

    def axes(self, nodes: list[Node]) -> tuple[str, ...]:
        """The graph's names of the axes in brackets, each on one of the nodes at least."""
        found: list[str] = []
        for item in self.items or ():
            if isinstance(item, s.Star) and item.pack in self.scope.frame.packs:
                found += [axis.name for axis in self.scope.frame.packs[item.pack]]
                continue
            if not isinstance(item, s.Name):
                self.scope.fail(
                    Slug.NOT_AN_AXIS,
                    f"`{self.name}` wants axes in brackets",
                    item.span,
                    hint=self.usage,
                )
            owner = next((n for n in nodes if self._on(item.id, n)), nodes[0])
            what = f"`{self.name}[{item.id}]` is over `{item.id}`"
            found.append(self.scope.axis_named(item.id, owner, item.span, what))
        if len(set(found)) < len(found):
            self.wrong(f"`{self.name}` is given one axis twice")
        return tuple(found)

    def _on(self, name: str, node: Node) -> bool:
        known = self.scope.axis(name)
        return name in node.axis_names or (known is not None and known.name in node.axis_names)

    def arrow(self) -> tuple[str, str, s.Expr | None]:
        """Which axis becomes which, as `[t -> s]` or `[t -> s = 8]` say."""
        match self.items:
            case (s.Arrow(s.Name(old), s.Name(new)),):
                return old, new, None
            case (s.Arrow(s.Name(old), s.Bind(new, size)),):
                return old, new, size
        self.wrong(f"`{self.name}` says which axis becomes which")
        raise HaltError

    def emit(self, op: ops.OpDef, attrs: ops.Attrs, nodes: list[Node]) -> Value:
        """Append the operation; what does not fit is the user's mistake."""
        try:
            return Value(self.scope.builder.emit(op, attrs, nodes, self.tree.span, self.scope.path))
        except ops.OpError as error:
            self.scope.unfit(error, self.tree.span)
