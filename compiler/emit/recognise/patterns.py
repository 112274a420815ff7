"""Patterns over a program: sums and products in any order and grouping, functions, reductions.

A pattern yields every way in which it fits. Inner values that somebody else reads are not taken
apart: they are to be there afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import TYPE_CHECKING

from ....dsl.core import names
from ....dsl.ops import Gather, IndexAttrs, MapAttrs, ParamAttrs, ReduceAttrs, StateAttrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flow import Flow

CLOSE = 1e-6  # constants are written with fewer digits than they have


@dataclass(frozen=True)
class Found:
    """What labels stand for, the axes reduced over, the numbers, and the inner values."""

    values: Mapping[str, str] = field(default_factory=dict)
    axes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    inner: frozenset[str] = frozenset()

    def inside(self, *more: str) -> Found:
        """With more inner values."""
        return replace(self, inner=self.inner.union(more))


@dataclass(frozen=True, eq=False)
class View:
    """The part of a program in which is matched: a function's own nodes, and closed values."""

    flow: Flow
    own: frozenset[str]

    def opens(self, name: str) -> bool:
        """Whether one may look into a value."""
        return name in self.own or (name in self.flow.closed and not self.flow.is_number(name))

    def once(self, name: str) -> bool:
        """Whether a value may be taken apart: one reader."""
        return self.opens(name) and (len(self.flow.users[name]) == 1 or name in self.flow.closed)

    def fn(self, name: str) -> str | None:
        """Which pointwise function a value is."""
        attrs = self.flow.nodes[name].attrs
        return attrs.fn if isinstance(attrs, MapAttrs) and self.opens(name) else None

    def number(self, name: str) -> float | None:
        """The number that a value is."""
        return self.flow.numbers.get(name)

    def free(self, root: str, inner: frozenset[str]) -> bool:
        """Whether nobody else reads the inner values."""
        inside = inner | {root}
        return all(
            inside.issuperset(self.flow.users[name]) or name in self.flow.closed
            for name in inner
            if name != root
        )


Pattern = Callable[[View, str, Found], Iterator[Found]]


# ---- sums and products, flattened


@dataclass
class Product:
    """A number times values to powers, and the nodes that were taken apart."""

    number: float = 1.0
    powers: dict[str, float] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)

    def take(self, view: View, name: str, power: float = 1.0) -> None:
        """Multiply by a value to a power, taken apart."""
        number = view.number(name)
        if number is not None and (number > 0 or power == 1):
            self.number *= number**power
            return
        fn = view.fn(name)
        read = view.flow.reads[name]
        exponent = view.number(read[1]) if fn == "pow" else None
        if fn in ("mul", "div", "neg") and abs(power) == 1:
            self.inner.add(name)
            self.number *= -1 if fn == "neg" else 1
            for position, operand in enumerate(read):
                self._take_part(view, operand, -power if fn == "div" and position else power)
        elif fn in ("sqrt", "rsqrt", "reciprocal"):
            self.inner.add(name)
            root = {"sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1.0}[fn]
            self._keep(read[0], power * root)
        elif fn == "pow" and exponent is not None:
            self.inner.add(name)
            self._keep(read[0], power * exponent)
        else:
            self._keep(name, power)

    def _take_part(self, view: View, name: str, power: float) -> None:
        if view.number(name) is not None or view.once(name):
            self.take(view, name, power)
        else:
            self._keep(name, power)

    def _keep(self, name: str, power: float) -> None:
        self.powers[name] = self.powers.get(name, 0.0) + power


@dataclass
class Total:
    """A number plus values with their signs, and the nodes that were taken apart."""

    number: float = 0.0
    terms: list[tuple[str, int]] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)

    def take(self, view: View, name: str, sign: int = 1) -> None:
        """Add a value, taken apart."""
        number = view.number(name)
        if number is not None:
            self.number += sign * number
        elif view.fn(name) in ("add", "sub", "neg") and (not self.inner or view.once(name)):
            self.inner.add(name)
            flips = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}[view.fn(name) or ""]
            for operand, flip in zip(view.flow.reads[name], flips, strict=True):
                self.take(view, operand, sign * flip)
        else:
            self.terms.append((name, sign))


# ---- patterns


def value(label: str) -> Pattern:
    """Any value; the same one wherever the label stands."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        if found.values.get(label, name) == name and view.number(name) is None:
            yield replace(found, values={**found.values, label: name})

    return fits


def call(fn: str, *operands: Pattern) -> Pattern:
    """A pointwise function; a number as operand is given by `literal`."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        if view.fn(name) == fn:
            yield from _each(view, operands, view.flow.reads[name], found.inside(name))

    return fits


def literal(wanted: float) -> Pattern:
    """This number."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        number = view.number(name)
        if number is not None and _equal(number, wanted):
            yield found

    return fits


def product(number: float, *factors: tuple[Pattern, float]) -> Pattern:
    """This number times patterns to powers."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        if not view.opens(name):
            return
        whole = Product()
        whole.take(view, name)
        if len(whole.powers) != len(factors) or not _equal(whole.number, number):
            return
        found = found.inside(*whole.inner)
        for order in permutations(whole.powers):
            if all(whole.powers[n] == power for n, (_, power) in zip(order, factors, strict=True)):
                yield from _each(view, [pattern for pattern, _ in factors], order, found)

    return fits


def total(number: float | str, *terms: tuple[Pattern, int]) -> Pattern:
    """This number plus patterns with signs; a label instead of the number binds it."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        if view.fn(name) not in ("add", "sub"):
            return
        whole = Total()
        whole.take(view, name)
        if len(whole.terms) != len(terms):
            return
        if isinstance(number, str):
            found = replace(found, numbers={**found.numbers, number: whole.number})
        elif not _equal(whole.number, number):
            return
        found = found.inside(*whole.inner)
        for order in permutations(whole.terms):
            if all(sign == want for (_, sign), (_, want) in zip(order, terms, strict=True)):
                patterns = [pattern for pattern, _ in terms]
                yield from _each(view, patterns, [n for n, _ in order], found)

    return fits


def reduction(fn: str, operand: Pattern) -> Pattern:
    """A reduction; all in a pattern are over the same axes."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        attrs = view.flow.nodes[name].attrs
        if not (view.opens(name) and isinstance(attrs, ReduceAttrs) and attrs.fn == fn):
            return
        if found.axes in ((), attrs.axes):
            found = replace(found, axes=attrs.axes).inside(name)
            yield from operand(view, view.flow.reads[name][0], found)

    return fits


def gathered(base: Pattern, index: Pattern) -> Pattern:
    """Positions along the axis that is reduced elsewhere in the pattern."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        attrs = view.flow.nodes[name].attrs
        how = attrs.how if isinstance(attrs, IndexAttrs) and view.opens(name) else None
        if isinstance(how, Gather) and how.fill is None and found.axes in ((), (how.axis,)):
            found = replace(found, axes=(how.axis,)).inside(name)
            yield from _each(view, (base, index), view.flow.reads[name], found)

    return fits


def either(*patterns: Pattern) -> Pattern:
    """The first that fits."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        for pattern in patterns:
            yield from pattern(view, name, found)

    return fits


def only_along(label: str) -> Pattern:
    """A value whose axes are exactly those reduced over."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        if sorted(names(view.flow.nodes[name].axes)) == sorted(found.axes):
            yield from value(label)(view, name, found)

    return fits


def stored(label: str) -> Pattern:
    """What is kept along one axis and not trained; all in a pattern are along the same."""

    def fits(view: View, name: str, found: Found) -> Iterator[Found]:
        node = view.flow.nodes[name]
        kept = isinstance(node.attrs, StateAttrs) or (
            isinstance(node.attrs, ParamAttrs) and not node.attrs.trained
        )
        if kept and len(node.axes) == 1 and found.axes in ((), names(node.axes)):
            yield from value(label)(view, name, replace(found, axes=names(node.axes)))

    return fits


def _each(
    view: View,
    patterns: tuple[Pattern, ...] | list[Pattern],
    read: tuple[str, ...] | list[str],
    found: Found,
) -> Iterator[Found]:
    if not patterns:
        yield found
        return
    for first in patterns[0](view, read[0], found):
        yield from _each(view, patterns[1:], read[1:], first)


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)
