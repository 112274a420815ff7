"""Expressions in the place of names, in a piece of a study."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import syntax as s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..source import Span


def substituted(tree: Any, values: Mapping[str, s.Expr]) -> Any:
    """The tree with expressions in the place of names; the axes of a call keep their names."""
    match tree:
        case s.Name(id) if id in values:
            return values[id]
        case s.Call(s.Index(base, items) as target, args):
            kept = tuple(
                i if isinstance(i, s.Name | s.Arrow) else substituted(i, values) for i in items
            )
            return replace(
                tree,
                target=replace(target, base=substituted(base, values), items=kept),
                args=substituted(args, values),
            )
        case tuple():
            return tuple(substituted(part, values) for part in tree)
        case s.Tree() if is_dataclass(tree):
            changed = {f.name: substituted(getattr(tree, f.name), values) for f in fields(tree)}
            return replace(tree, **{n: v for n, v in changed.items() if n != "span"})
    return tree


def literal(value: float, span: Span) -> s.Expr:
    """A number as it is written."""
    whole = int(value) if value == int(value) else value
    number = s.Number(abs(whole), span=span)
    return number if value >= 0 else s.Unary("-", number, span=span)
