"""Whole numbers as `query * t + key * s + constants`, up to a bounded rest.

What a comparison of two of them says is a bound on the keys that a block of queries can see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import INPUT, ConstAttrs, IotaAttrs, MapAttrs
from .contraction import QUERY

if TYPE_CHECKING:
    from .tile import Tile


@dataclass(frozen=True)
class Affine:
    """`query * t + key * s + sum of factor * value over terms + constant + rest`, where the rest
    lies between `low` and `high`. Terms are numbers of the tile that differ along neither axis."""

    query: Fraction = Fraction(0)
    key: Fraction = Fraction(0)
    constant: Fraction = Fraction(0)
    terms: tuple[tuple[str, Fraction], ...] = ()
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    def __add__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for name, factor in other.terms:
            terms[name] = terms.get(name, Fraction(0)) + factor
        return Affine(
            self.query + other.query,
            self.key + other.key,
            self.constant + other.constant,
            tuple(terms.items()),
            self.low + other.low,
            self.high + other.high,
        )

    def __mul__(self, factor: Fraction | int) -> Affine:
        ends = sorted((self.low * factor, self.high * factor))
        return Affine(
            self.query * factor,
            self.key * factor,
            self.constant * factor,
            tuple((name, own * factor) for name, own in self.terms),
            *ends,
        )

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: Affine) -> Affine:
        return self + -other

    def plus(self, number: Fraction | int) -> Affine:
        """With a number added."""
        return replace(self, constant=self.constant + number)

    @property
    def is_exact(self) -> bool:
        """Whether there is no rest."""
        return self.low == self.high == 0

    def whole(self) -> tuple[int, int, int, int, dict[str, int]]:
        """Factors of t and of s, the least and the largest constant, the terms: multiplied until
        all are whole numbers."""
        ends = (self.constant + self.low, self.constant + self.high)
        every = (self.query, self.key, *ends, *(own for _, own in self.terms))
        scale = math.lcm(*(own.denominator for own in every))
        query, key, low, high, *factors = (int(own * scale) for own in every)
        terms = (name for name, _ in self.terms)
        return query, key, low, high, dict(zip(terms, factors, strict=True))


def affine(tile: Tile, name: str) -> Affine | None:
    """What a whole number of a tile is, if it is affine."""
    node, read = tile.node(name), tile.operands(name)
    if node.dtype is not DType.INT:
        return None
    match node.attrs:
        case ConstAttrs(value=value):
            return Affine(constant=Fraction(int(value)))
        case IotaAttrs(axis=axis):
            one = Fraction(1)
            return Affine(query=one) if axis.name == QUERY else Affine(key=one)
        case MapAttrs("add" | "sub" as fn):
            a, b = (affine(tile, o) for o in read)
            if a is not None and b is not None:
                return a + b if fn == "add" else a - b
        case MapAttrs("neg"):
            a = affine(tile, read[0])
            return None if a is None else -a
        case MapAttrs("mul"):
            for number, other in (read, read[::-1]):
                attrs, a = tile.node(number).attrs, affine(tile, other)
                if isinstance(attrs, ConstAttrs) and a is not None:
                    return a * int(attrs.value)
        case MapAttrs("floordiv" | "mod" as fn):
            return _divided(tile, fn, *read)
        case _ if node.op is INPUT and not tile.varies[name]:
            return Affine(terms=((name, Fraction(1)),))
    return None


def _divided(tile: Tile, fn: str, top: str, bottom: str) -> Affine | None:
    attrs, a = tile.node(bottom).attrs, affine(tile, top)
    if not isinstance(attrs, ConstAttrs) or int(attrs.value) <= 0:
        return None
    by = int(attrs.value)
    if fn == "mod":
        return Affine(high=Fraction(by - 1))
    if a is None:
        return None
    part = a * Fraction(1, by)
    return replace(part, low=part.low - Fraction(by - 1, by))
