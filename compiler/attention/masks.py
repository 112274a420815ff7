"""Where a weight is zero whatever the score is: what masks say, for whole blocks too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import ConstAttrs, MapAttrs
from .affine import Affine, affine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tile import Tile

OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}


@dataclass(frozen=True)
class Condition:
    """A truth of the tile that must hold (or must not) where a weight is not zero.

    Each of `bounds` is then at most 0; with `exact`, that they are all is as good as the condition.
    """

    name: str
    holds: bool
    bounds: tuple[Affine, ...]
    exact: bool


def conditions(tile: Tile, *, softmax: bool) -> tuple[Condition, ...]:
    """All that must hold where a weight is not zero, but for what depends on the score."""
    found = dict.fromkeys(_nothing(tile, tile.weight, -math.inf if softmax else 0.0))
    scored = _scored(tile)
    return tuple(_condition(tile, name, holds) for name, holds in found if name not in scored)


def _scored(tile: Tile) -> set[str]:
    """What is computed of the score."""
    found = {tile.score}
    for name, step in tile.steps.items():
        if not found.isdisjoint(step.operands):
            found.add(name)
    return found


def _nothing(tile: Tile, name: str, value: float) -> Iterator[tuple[str, bool]]:
    """What must hold for a value not to be this one, -inf or 0."""
    node, read = tile.node(name), tile.operands(name)
    match node.attrs:
        case MapAttrs("where"):
            condition, one, other = read
            if _is(tile, other, value):
                yield from _split(tile, condition, True)
                yield from _nothing(tile, one, value)
            elif _is(tile, one, value):
                yield from _split(tile, condition, False)
                yield from _nothing(tile, other, value)
        case MapAttrs("add" | "sub") if value:
            yield from _nothing(tile, read[0], value)
            if node.attrs.fn == "add":
                yield from _nothing(tile, read[1], value)
        case MapAttrs("mul") if not value:
            for operand in read:
                yield from _nothing(tile, operand, value)
        case MapAttrs("mul" | "div") if value and _is_positive(tile, read[1]):
            yield from _nothing(tile, read[0], value)
        case MapAttrs("div") if not value:
            yield from _nothing(tile, read[0], value)
        case MapAttrs("exp" | "sigmoid") if not value:
            yield from _nothing(tile, read[0], -math.inf)
        case MapAttrs("max") if not value and _is(tile, read[1], 0.0):
            yield from _nothing(tile, read[0], -math.inf)
        case MapAttrs("float") if not value:
            yield from _nothing(tile, read[0], value)
        case _ if node.dtype is DType.BOOL and not value:
            yield from _split(tile, name, True)


def _is(tile: Tile, name: str, value: float) -> bool:
    attrs = tile.node(name).attrs
    return isinstance(attrs, ConstAttrs) and float(attrs.value) == value


def _is_positive(tile: Tile, name: str) -> bool:
    attrs = tile.node(name).attrs
    return isinstance(attrs, ConstAttrs) and 0 < float(attrs.value) < math.inf


def _split(tile: Tile, name: str, holds: bool) -> Iterator[tuple[str, bool]]:
    """A truth as several that hold together."""
    read = tile.operands(name)
    match tile.node(name).attrs:
        case MapAttrs("not"):
            yield from _split(tile, read[0], not holds)
        case MapAttrs("and") if holds and _truths(tile, read):
            for operand in read:
                yield from _split(tile, operand, True)
        case MapAttrs("or") if not holds and _truths(tile, read):
            for operand in read:
                yield from _split(tile, operand, False)
        case _:
            yield name, holds


def _truths(tile: Tile, read: tuple[str, ...]) -> bool:
    return all(tile.node(name).dtype is DType.BOOL for name in read)


def _condition(tile: Tile, name: str, holds: bool) -> Condition:
    attrs, read = tile.node(name).attrs, tile.operands(name)
    if isinstance(attrs, MapAttrs) and attrs.fn in OPPOSITE:
        fn = attrs.fn if holds else OPPOSITE[attrs.fn]
        one, other = read
        if fn in ("gt", "ge"):
            fn, one, other = {"gt": "lt", "ge": "le"}[fn], other, one
        if fn in ("lt", "le"):
            bounds = tuple(_at_most(tile, one, other, 1 if fn == "lt" else 0))
            return Condition(name, holds, bounds, bool(bounds))
        if fn == "eq":
            a, b = affine(tile, one), affine(tile, other)
            if a is not None and b is not None:
                exact = (a - b).is_exact
                return Condition(name, holds, (a - b, b - a), exact)
    return Condition(name, holds, (), False)


def _at_most(tile: Tile, one: str, other: str, more: int) -> list[Affine]:
    """Each of these is at most 0 if `one + more <= other`; none if that is not known."""
    found = []
    for a in _parts(tile, one, "max", absolute=True):
        for b in _parts(tile, other, "min", absolute=False):
            if a is None or b is None:
                return []
            found.append((a - b).plus(more))
    return found


def _parts(tile: Tile, name: str, fn: str, *, absolute: bool) -> list[Affine | None]:
    """Numbers whose largest (smallest) a value is."""
    read = tile.operands(name)
    attrs = tile.node(name).attrs
    if attrs == MapAttrs(fn):
        return [part for o in read for part in _parts(tile, o, fn, absolute=absolute)]
    if attrs == MapAttrs("abs") and absolute:
        own = affine(tile, read[0])
        return [own, None if own is None else -own]
    return [affine(tile, name)]
