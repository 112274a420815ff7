"""An affine value taken apart: what each element keeps, what is of low rank, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .algebra import Affine, Algebra, Product


@dataclass(frozen=True, slots=True)
class Correction:
    """`left * sum[over](right * S)` for the carry S at a place, summed over `links`.

    `left` and `right` are factors; `links` are axes that both have and that S lacks. `right` is
    said with the axes of S as they are called in S.
    """

    carry: int
    left: tuple[str, ...]
    right: tuple[str, ...]
    over: tuple[str, ...]
    links: tuple[str, ...] = ()
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """A value is the sum of these; `other` says of what is none of them what it is.

    `decays` are factors times a carry, element by element: by the carry's place. No factors are 1.
    """

    decays: tuple[tuple[int, Product], ...]
    corrections: tuple[Correction, ...]
    inputs: tuple[Product, ...]
    other: str = ""


def parts(algebra: Algebra, value: Affine, members: Sequence[int]) -> Parts:
    """The parts of the next value of a carry, by the carries in `members`."""
    decays, corrections, inputs = [], [], []
    other = ""
    for p in value:
        if p.carry is None or p.carry not in members:
            inputs.append(p)
        elif not p.summed and all(own == here for own, here in p.axes):
            decays.append((p.carry, p))
        elif (made := correction(algebra, p)) is not None:
            corrections.append(made)
        else:
            moved = sorted(own for own, here in p.axes if own != here)
            other = f"a matrix mixes the elements of the carry along {_listed(moved)}"
    several = len(corrections) > 1 and any(c.links for c in corrections)
    if not other and (several or len({c.over for c in corrections}) > 1):
        other = "it is corrected by sums over different axes"
    return Parts(tuple(decays), tuple(corrections), tuple(inputs), other)


def correction(algebra: Algebra, p: Product) -> Correction | None:
    """A product of low rank; None if one factor alone leads from old elements to new ones."""
    if p.carry is None:
        return None
    inner = {here: own for own, here in p.axes if here in p.summed}
    if any(own != here for own, here in p.axes if here not in p.summed):
        return None
    over = tuple(sorted(inner.values()))
    right = [factor for factor in p.factors if algebra.has(factor, inner)]
    left = [factor for factor in p.factors if factor not in right]
    links = tuple(sorted(p.summed - set(inner)))
    if len(links) > 1 or any(algebra.has(factor, over) for factor in right):
        return None
    if links:  # what has the link and nothing of the carry's sum may stand on the left
        linked = [factor for factor in left if algebra.has(factor, links)]
        if not linked:
            return None
    back = tuple(sorted(algebra.renamed(factor, inner) for factor in right))
    return Correction(p.carry, tuple(left), back, over, links, p.negative)


def _listed(axes: Sequence[str]) -> str:
    return " and ".join(f"`{axis}`" for axis in axes)
