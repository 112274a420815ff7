"""The right side of a line of a mapping: `1 + file["name"][0..8] as [d, (part h)][part = 0]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug, or_nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core import Axes
    from ..program import Cut
    from .scope import Scope


@dataclass(frozen=True, slots=True)
class Array:
    """An array by its possible names: its parts `cuts`, times `scale`, plus `shift`."""

    names: tuple[str, ...]
    cuts: tuple[Cut | int, ...] = ()
    scale: float = 1.0
    shift: float = 0.0


def array(tree: s.Expr, scope: Scope) -> Array:
    """An array of the file: a part of it, and that scaled and shifted by numbers."""
    match tree:
        case s.Index(s.Name("file"), items):
            return Array(names(items, tree, scope))
        case s.Index(base, items):
            found = array(base, scope)
            if found.cuts or found.scale != 1 or found.shift:
                scope.fail(Slug.BAD_INDEX, "a part is taken once, of the array itself", tree.span)
            return Array(found.names, tuple(_cut(item, scope) for item in items))
        case s.Unary("-", operand):
            return _affine(array(operand, scope), -1.0, 0.0)
        case s.Binary("+" | "-" | "*" | "/" as op, left, right):
            return _computed(op, left, right, tree, scope)
    scope.fail(Slug.BAD_FILE, "weights come from the file", tree.span, hint='file["wte.weight"]')
    return None


def names(items: tuple[s.Item, ...], tree: s.Expr, scope: Scope) -> tuple[str, ...]:
    """`file["a", "b"]`: texts."""
    found = [item.value for item in items if isinstance(item, s.Text)]
    if len(found) != len(items):
        scope.fail(Slug.BAD_FILE, "an array is named by a text", tree.span, hint='file["wte"]')
    return tuple(found)


def turned(given: tuple[str, ...], turns: Mapping[str, int], tree: s.Expr, scope: Scope, axes: Axes
) -> tuple[str, ...]:  # fmt: skip
    """The names with the turns of a site in them; what else is named is an axis of it."""
    found = []
    for name in given:
        shown = name
        for by, turn in turns.items():
            shown = shown.replace(f"{{{by}}}", str(turn))
        for by in re.findall(r"\{([^}]*)\}?", shown):
            if by not in [axis.name for axis in axes]:
                scope.fail(
                    Slug.UNKNOWN_NAME,
                    f"`{name}` names a turn or an axis `{by}` that the site does not have",
                    tree.span,
                    hint=or_nearest(by, [*turns, *(axis.name for axis in axes)]),
                )
        found.append(shown)
    return tuple(found)


def shape(
    entry: s.Map, named: tuple[str, ...], axes: Axes, address: str, scope: Scope
) -> tuple[tuple[str, int], ...]:
    """The places that are picked along axes which the parameter lacks. `as` names all axes of an
    array, but those along which it is one of several."""
    places: list[tuple[str, int]] = []
    for item in entry.picks:
        if not isinstance(item, s.Bind) or item.otherwise is not None:
            scope.fail(Slug.BAD_INDEX, "of an axis, a place is taken", item.span, hint="[part = 0]")
        places.append((item.axis, scope.whole(item.value, "a place")))
    if entry.order is None:
        return ()
    several = {axis.name for axis in axes if any(f"{{{axis.name}}}" in n for n in named)}
    given = sorted(name for group in entry.order for name in group)
    own = {axis.name for axis in axes} - several
    wanted = sorted([*own, *(axis for axis, _ in places)])
    if given != wanted:
        shown = f"{', '.join(sorted(own))}" if own else "no axes"
        picked = "".join(f", and `{axis}` is picked" for axis, _ in places)
        spare = [name for name in given if name not in wanted]
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{address}` has axes {shown}{picked}, and `as` names {', '.join(given)}",
            entry.span,
            hint=f"as [..][{spare[0]} = 0]" if spare and set(own) <= set(given) else None,
        )
    return tuple(places)


def _cut(item: s.Item, scope: Scope) -> Cut | int:
    match item:
        case s.Everything():
            return (None, None)
        case s.Range(start, stop):
            low = scope.whole(start, "where a part starts") if start is not None else None
            high = scope.whole(stop, "where a part ends") if stop is not None else None
            return (low, high)
        case s.Number(int() as place):
            return place
        case s.Unary("-", s.Number(int() as place)):
            return -place
    scope.fail(Slug.BAD_INDEX, "of an array, ranges are taken", item.span, hint="[:, 0..|d|]")
    return None


def _computed(op: str, left: s.Expr, right: s.Expr, tree: s.Expr, scope: Scope) -> Array:
    """Arithmetic of an array and a number."""
    first = _speaks_of_file(left)
    if first and _speaks_of_file(right):
        scope.fail(Slug.BAD_FILE, "one array makes one parameter", tree.span)
    if not first and op == "/":
        scope.fail(Slug.BAD_FILE, "an array is scaled and shifted by numbers", tree.span)
    found = array(left if first else right, scope)
    number = scope.finite(right if first else left, "what an array is scaled or shifted by")
    match op:
        case "+":
            return _affine(found, 1.0, number)
        case "-":
            return _affine(found, 1.0, -number) if first else _affine(found, -1.0, number)
        case "*":
            return _affine(found, number, 0.0)
    if number == 0:
        scope.fail(Slug.BAD_FILE, "an array is not divided by 0", tree.span)
    return _affine(found, 1 / number, 0.0)


def _affine(old: Array, scale: float, shift: float) -> Array:
    return Array(old.names, old.cuts, scale * old.scale, scale * old.shift + shift)


def _speaks_of_file(tree: s.Expr) -> bool:
    match tree:
        case s.Index(base):
            return base == s.Name("file") or _speaks_of_file(base)
        case s.Unary(_, operand):
            return _speaks_of_file(operand)
        case s.Binary(_, left, right):
            return _speaks_of_file(left) or _speaks_of_file(right)
    return False
