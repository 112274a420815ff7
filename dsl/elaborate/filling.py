"""`config["n_layer"]`: what the config beside a checkpoint says, put in its place."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, NoReturn, TypeVar

from .. import syntax as s
from ..configs import NAME, as_written, look_up
from ..diagnostics import Slug, or_nearest

if TYPE_CHECKING:
    from ..configs import Json
    from ..source import Span
    from .scope import Scope

T = TypeVar("T")
CONFIG = "config"


class _LackingError(Exception):
    """The config is not there, or does not have what is asked for."""


class Filling:
    """Puts what the config says in the place of `config["n_layer"]`."""

    def __init__(self, config: Json, scope: Scope) -> None:
        self.config, self.scope = config, scope
        self.is_lacking = False

    def header(self, tree: s.Expr) -> s.Expr:
        """A model with its sizes and values; those that no config says are the model's own."""
        match tree:
            case s.Call(target, args):
                kept = [arg for item in args if (arg := self._item(item)) is not None]
                base = self.header(target)
                return replace(tree, target=base, args=tuple(kept)) if kept else base
            case s.Index(base, items):
                left = [item for old in items if (item := self._item(old)) is not None]
                return replace(tree, items=tuple(left)) if left else base
        return tree

    def maps(self, steps: tuple[T, ...]) -> tuple[T, ...]:
        """The lines; an expectation of what no config says is left out."""
        found: list[T] = []
        for step in steps:
            match step:
                case s.Expect():
                    try:
                        found.append(self._filled(step, strictly=False))
                    except _LackingError:
                        continue
                case s.Branch(cases):
                    inner = tuple([(condition, self.maps(body)) for condition, body in cases])
                    found.append(replace(step, cases=inner))
                case _:
                    found.append(step)
        return tuple(found)

    def _item(self, tree: T) -> T | None:
        try:
            return folded(self._filled(tree))
        except _LackingError:
            self.is_lacking = True
            return None

    def _filled(self, tree: T, *, strictly: bool = True) -> T:
        if isinstance(tree, tuple):
            return tuple([self._filled(part, strictly=strictly) for part in tree])  # type: ignore[return-value]  # a tuple for a tuple
        if not isinstance(tree, s.Tree):
            return tree
        if isinstance(tree, s.Index) and tree.base == s.Name(CONFIG, span=tree.span):
            return self._value(tree, strictly=strictly)  # type: ignore[return-value]  # an expression for one
        parts = {
            own.name: self._filled(getattr(tree, own.name), strictly=strictly)
            for own in fields(tree)
            if own.name != "span"
        }
        return replace(tree, **parts)

    def _value(self, tree: s.Index, *, strictly: bool) -> s.Expr:
        """The first of several: names are looked up, and anything else is there."""
        if self.config is None:
            raise _LackingError
        for item in tree.items:
            if not isinstance(item, s.Text):
                return self._filled(item, strictly=strictly)  # type: ignore[return-value]  # what stands there
            found = look_up(self.config, item.value)
            if found is not None:
                return as_written(found, tree.span)
        if strictly:
            self._unsaid(tree)
        raise _LackingError

    def _unsaid(self, tree: s.Index) -> NoReturn:
        names = [item.value for item in tree.items if isinstance(item, s.Text)]
        known = self.config if isinstance(self.config, dict) else {}
        shown = " and no ".join(f"`{name}`" for name in names)
        self.scope.fail(
            Slug.BAD_FILE,
            f'"{NAME}" says no {shown}' if names else f"of `{CONFIG}`, something is named",
            tree.span,
            hint=or_nearest(names[0], known) if names else f'{CONFIG}["n_layer"]',
        )


def folded(tree: T) -> T:
    """Comparisons of texts are known."""
    if isinstance(tree, tuple):
        return tuple([folded(part) for part in tree])  # type: ignore[return-value]  # a tuple for one
    if not isinstance(tree, s.Tree):
        return tree
    match tree:
        case s.Binary("==" | "!=" as op, left, right) if _is_text(left) or _is_text(right):
            return _truth((left == right) == (op == "=="), tree.span)  # type: ignore[return-value]  # an expression for one
        case s.Binary("in", s.Text() as left, s.Listing(items)):
            return _truth(left in items, tree.span)  # type: ignore[return-value]  # an expression for one
    return replace(tree, **{own.name: folded(getattr(tree, own.name)) for own in fields(tree)})


def _is_text(tree: s.Expr) -> bool:
    return isinstance(tree, s.Text)


def _truth(holds: bool, span: Span) -> s.Name:
    return s.Name("true" if holds else "false", span=span)
