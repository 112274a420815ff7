"""Sizes of axes: an int, or a polynomial over run-time symbols such as the length of `t`.

Kept in canonical form, so that equal sizes compare equal. A size may also be what a node counts,
which each example has for itself; such a size is only bounded before the program runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Quotient:
    """`floor(top / bottom)`, where it does not divide."""

    top: Poly
    bottom: int


@dataclass(frozen=True, slots=True)
class Count:
    """What the node of this name holds, for each place that it has: `most` is the largest."""

    node: str
    most: Size


Atom = str | Quotient | Count
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Poly:
    """A sum of integer multiples of products of atoms, sorted; never a plain int."""

    terms: tuple[tuple[Monomial, int], ...]

    def __str__(self) -> str:
        return show(self)


Size = int | Poly


def symbol(name: str) -> Size:
    """The run-time size called `name`."""
    return atom(name)


def _terms(size: Size) -> dict[Monomial, int]:
    if isinstance(size, Poly):
        return dict(size.terms)
    return {(): size} if size else {}


def _make(terms: Mapping[Monomial, int]) -> Size:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Poly(tuple(sorted(kept.items(), key=lambda term: (-len(term[0]), str(term[0])))))


def add(a: Size, b: Size) -> Size:
    """`a + b`."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    total = _terms(a)
    for monomial, count in _terms(b).items():
        total[monomial] = total.get(monomial, 0) + count
    return _make(total)


def multiply(a: Size, b: Size) -> Size:
    """`a * b`."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    total: dict[Monomial, int] = {}
    for left, m in _terms(a).items():
        for right, n in _terms(b).items():
            key = tuple(sorted(left + right, key=str))
            total[key] = total.get(key, 0) + m * n
    return _make(total)


def subtract(a: Size, b: Size) -> Size:
    """`a - b`."""
    return add(a, multiply(-1, b))


def floor_divide(a: Size, b: int) -> Size:
    """`a // b`; multiples of `b` are taken out, so that equal sizes compare equal."""
    if isinstance(a, int):
        return a // b
    whole = _make({m: c // b for m, c in a.terms})
    rest = _make({m: c % b for m, c in a.terms})
    if isinstance(rest, int):
        return whole  # the constant rest is less than b
    return add(whole, Poly((((Quotient(rest, b),), 1),)))


def ceil_divide(a: Size, b: int) -> Size:
    """`a / b`, rounded up."""
    return floor_divide(add(a, b - 1), b)


def product(sizes: Iterable[Size]) -> Size:
    """The product of several."""
    total: Size = 1
    for size in sizes:
        total = multiply(total, size)
    return total


def symbols(size: Size) -> frozenset[str]:
    """The names that a size depends on."""
    if isinstance(size, int):
        return frozenset()
    found: set[str] = set()
    for monomial, _ in size.terms:
        for atom in monomial:
            match atom:
                case str():
                    found.add(atom)
                case Quotient(top):
                    found |= symbols(top)
                case Count(_, most):
                    found |= symbols(most)
    return frozenset(found)


def counts(size: Size) -> frozenset[str]:
    """The nodes whose values a size depends on."""
    if isinstance(size, int):
        return frozenset()
    found: set[str] = set()
    for monomial, _ in size.terms:
        for atom in monomial:
            if isinstance(atom, Count):
                found.add(atom.node)
            elif isinstance(atom, Quotient):
                found |= counts(atom.top)
    return frozenset(found)


def substituted(size: Size, change: Callable[[str | Count], Size]) -> Size:
    """The size with other sizes in the place of its symbols and counts."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, count in size.terms:
        term: Size = count
        for atom in monomial:
            if isinstance(atom, Quotient):
                new = floor_divide(substituted(atom.top, change), atom.bottom)
            else:
                new = change(atom)
            term = multiply(term, new)
        total = add(total, term)
    return total


def atom(value: Atom) -> Size:
    """A symbol or a count as a size."""
    return Poly((((value,), 1),))


def bounded(size: Size) -> Size:
    """The size with the most that each count can be."""
    if not counts(size):
        return size
    return substituted(size, lambda own: bounded(own.most) if isinstance(own, Count) else atom(own))


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The number, given the run-time symbols; the most that it can be, if it counts something.

    Raises KeyError for a symbol that is missing.
    """
    if isinstance(size, int):
        return size
    total = 0
    for monomial, count in size.terms:
        for own in monomial:
            count *= _number(own, values)
        total += count
    return total


def _number(own: Atom, values: Mapping[str, int]) -> int:
    match own:
        case str():
            return values[own]
        case Quotient(top, bottom):
            return evaluate(top, values) // bottom
        case Count(_, most):
            return evaluate(most, values)


def show(size: Size) -> str:
    """As an arithmetic expression over the symbols' names; also valid Python. Of what is counted,
    the most that it can be."""
    if isinstance(size, int):
        return str(size)
    text = ""
    for monomial, count in size.terms:
        factors = [_factor(own) for own in monomial]
        if (
            len(factors) > 1 or abs(count) != 1 or (count < 0 and not text)
        ):  # -(a // b) is not -a // b
            factors = [f"({f})" if "//" in f else f for f in factors]
        if abs(count) != 1 or not factors:
            factors.insert(0, str(abs(count)))
        sign = ("-" if count < 0 else "") if not text else (" - " if count < 0 else " + ")
        text += sign + " * ".join(factors)
    return text


def _factor(own: Atom) -> str:
    match own:
        case str():
            return own
        case Quotient(top, bottom):
            return f"({show(top)}) // {bottom}"
        case Count(_, most):
            text = show(most)
            return f"({text})" if " + " in text or " - " in text else text
