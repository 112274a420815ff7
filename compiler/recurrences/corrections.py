"""What corrects a carry inside of a chunk: a triangular system, solved for all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis
from ...dsl.ops import CONCAT, RENAME, STOP, ConcatAttrs, RenameAttrs, StopAttrs
from .inverse import inverse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .algebra import Algebra, Maker, Product
    from .classify import Group
    from .rows import Rows


@dataclass(frozen=True, slots=True)
class Joint:
    """A correction and the inputs that come in along the same factors: S becomes d S + outer u,
    where u = gain w + come, and w is what the correction reads. `rest` are the other inputs."""

    outer: tuple[str, ...]
    gain: tuple[str, ...]
    negative: bool
    come: tuple[tuple[tuple[str, ...], bool], ...]
    rest: tuple[Product, ...]


def joint(algebra: Algebra, group: Group) -> Joint | None:
    """The one correction of one carry with its inputs, if some come in along what it does."""
    if len(group.carries) > 1 or len(group.corrections) != 1 or group.corrections[0].links:
        return None
    (c,), (own,) = group.corrections, group.parts or ()
    outer = tuple(f for f in c.left if algebra.has(f, c.over))
    come, rest = [], []
    for p in own.inputs:
        along = tuple(f for f in p.factors if algebra.has(f, c.over))
        if outer and sorted(along) == sorted(outer):
            come.append((tuple(f for f in p.factors if f not in outer), p.negative))
        else:
            rest.append(p)
    gain = tuple(f for f in c.left if f not in outer)
    return Joint(outer, gain, c.negative, tuple(come), tuple(rest)) if come else None


@dataclass(frozen=True, slots=True)
class Sides:
    """Left and right sides of corrections, in chunks, along `rank` if it is more than one.

    What comes in along the left side is what the right side reads, or `gain` times that and `come`.
    """

    rank: Axis | None
    left: str
    right: str
    gain: str | None = None
    come: str | None = None

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


class Solver:
    """Gives the w for which w - M w is a value along the rows of a chunk, and along `rank` if there
    is one. `score` gives M, given a name for the rank of the rows above.

    If it is differentiated once only, `once`, the inverse is not: of w = T (value + (M - M') w'),
    where T, M' and w' are taken as they are, the last is 0 and its derivative is that of w.
    """

    def __init__(
        self,
        make: Maker,
        rows: Rows,
        rank: Axis | None,
        score: Callable[[dict[str, str]], str],
        fresh: Callable[[str], str],
        *,
        once: bool,
    ) -> None:
        self.make, self.rows, self.rank, self.once = make, rows, rank, once
        between = (fresh("flat"), fresh("flat"))
        self.row, self.other = rows.row, rows.other
        if rank is None:
            self.below = score({})
        else:
            above = Axis(fresh("rank"), rank.size)
            size = sizes.multiply(rows.row.size, rank.size)
            self.row, self.other = Axis(fresh("flat"), size), Axis(fresh("flat"), size)
            below = make.spread(score({rank.name: above.name}), [rows.row, rank, rows.other, above])
            pairs = (
                ((rows.row.name, rank.name), (self.row,)),
                ((rows.other.name, above.name), (self.other,)),
            )
            self.below = make.add(RENAME, RenameAttrs(pairs), below)
        self.solve = inverse(make, self.below, self.row, self.other, between)

    def __call__(self, value: str) -> str:
        """The w of a value."""
        make, rows, rank = self.make, self.rows, self.rank
        if rank is None:
            return self._found(rows.as_other(value))
        joined = (((rows.row.name, rank.name), (self.other,)),)
        value = make.add(RENAME, RenameAttrs(joined), make.spread(value, [rows.row, rank]))
        apart = (((self.row.name,), (rows.row, rank)),)
        return make.add(RENAME, RenameAttrs(apart), self._found(value))

    def _found(self, value: str) -> str:
        """The same along the rows above, which become the rows."""
        make = self.make
        if not self.once:
            return make.contract([self.other.name], self.solve, value)
        solve, held = self._stopped(self.solve), self._stopped(self.below)
        first = make.contract([self.other.name], solve, value)
        first = self._stopped(make.renamed(first, {self.row.name: self.other.name}))
        change = make.map("sub", self.below, held)
        change = make.contract([self.other.name], change, first)
        change = make.renamed(change, {self.row.name: self.other.name})
        return make.contract([self.other.name], solve, make.map("add", value, change))

    def _stopped(self, name: str) -> str:
        return self.make.add(STOP, StopAttrs(), name)
