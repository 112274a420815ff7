"""What corrects a carry inside of a chunk: a triangular system, solved for all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis
from ...dsl.ops import CONCAT, RENAME, ConcatAttrs, RenameAttrs
from .inverse import inverse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .algebra import Maker
    from .rows import Rows


@dataclass(frozen=True, slots=True)
class Sides:
    """Left and right sides of corrections, in chunks, along `rank` if it is more than one."""

    rank: Axis | None
    left: str
    right: str

    @property
    def ranks(self) -> list[Axis]:
        """The axis along which there are several."""
        return [] if self.rank is None else [self.rank]


def sides(
    make: Maker,
    lefts: Sequence[str],
    rights: Sequence[str],
    links: Sequence[str],
    fresh: Callable[[str], str],
) -> Sides:
    """Corrections side by side; one alone may have an axis that links its sides."""
    if len(lefts) > 1:
        rank = Axis(fresh("rank"), len(lefts))
        stack = ConcatAttrs(rank.name, new=True)
        return Sides(rank, make.add(CONCAT, stack, *lefts), make.add(CONCAT, stack, *rights))
    link = next((axis for axis in make.axes(lefts[0]) if axis.name in links), None)
    if link is None:
        return Sides(None, lefts[0], rights[0])
    rank = Axis(fresh("rank"), link.size)  # the link is also in what is read
    new = {link.name: rank.name}
    return Sides(rank, make.renamed(lefts[0], new), make.renamed(rights[0], new))


def solved(
    make: Maker,
    rows: Rows,
    rank: Axis | None,
    score: Callable[[dict[str, str]], str],
    values: Sequence[str],
    fresh: Callable[[str], str],
) -> list[str]:
    """The w for which w - M w is the value, of each value along the rows of a chunk.

    `score` gives M, given a name for the rank of the rows above.
    """
    between = (fresh("flat"), fresh("flat"))
    if rank is None:
        solve = inverse(make, score({}), rows.row, rows.other, between)
        return [make.contract([rows.other.name], solve, rows.as_other(value)) for value in values]
    above = Axis(fresh("rank"), rank.size)
    size = sizes.multiply(rows.row.size, rank.size)
    flat, column = Axis(fresh("flat"), size), Axis(fresh("flat"), size)
    below = make.spread(score({rank.name: above.name}), [rows.row, rank, rows.other, above])
    pairs = (((rows.row.name, rank.name), (flat,)), ((rows.other.name, above.name), (column,)))
    below = make.add(RENAME, RenameAttrs(pairs), below)
    solve = inverse(make, below, flat, column, between)
    found = []
    for value in values:
        joined = (((rows.row.name, rank.name), (column,)),)
        value = make.add(RENAME, RenameAttrs(joined), make.spread(value, [rows.row, rank]))
        value = make.contract([column.name], solve, value)
        apart = (((flat.name,), (rows.row, rank)),)
        found.append(make.add(RENAME, RenameAttrs(apart), value))
    return found
