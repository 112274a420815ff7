"""Where numbers lie: a pointer, and how far neighbours along each axis are apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Term = int | str
"""A number of elements: known, or as C++ says it."""

ELEMENTS = {DType.FLOAT: "real", DType.INT: "int64_t", DType.BOOL: "uint8_t"}


def times(a: Term, b: Term) -> Term:
    """The product."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if a in (0, 1) or b in (0, 1):
        return 0 if 0 in (a, b) else b if a == 1 else a
    return f"{a} * {b}"


def plus(terms: Iterable[Term]) -> Term:
    """The sum."""
    known, rest = 0, []
    for term in terms:
        if isinstance(term, int):
            known += term
        else:
            rest.append(term)
    if not rest:
        return known
    return " + ".join([*rest, *([str(known)] if known else [])])


@dataclass(frozen=True, slots=True)
class Place:
    """Numbers at `base`; along axes without a stride they are repeated.

    `padded` says that whole vectors may be read and written along the last axis. What is read or
    written soon lies `ahead` of this, if that is to be asked for.
    """

    base: str
    strides: Mapping[str, Term]
    dtype: DType
    offset: Term = 0
    padded: bool = False
    ahead: Term = 0

    def at(self, indices: Mapping[str, Term]) -> Term:
        """How far the element at these indices is from the base; others are 0."""
        moved = (times(indices[a], s) for a, s in self.strides.items() if a in indices)
        return plus((self.offset, *moved))

    def pointer(self, indices: Mapping[str, Term]) -> str:
        """The address of an element."""
        at = self.at(indices)
        return self.base if at == 0 else f"{self.base} + {at}"

    def element(self, indices: Mapping[str, Term]) -> str:
        """The element itself."""
        return f"{self.base}[{self.at(indices)}]"

    def renamed(self, strides: Mapping[str, Term], offset: Term = 0) -> Place:
        """The same numbers by other axes."""
        moved = plus((self.offset, offset))
        same = self.padded and offset == 0 and list(strides.values()) == list(self.strides.values())
        return replace(self, strides=strides, offset=moved, padded=same)
