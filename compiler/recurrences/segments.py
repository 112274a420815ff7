"""Products of decays over stretches of a chunk.

Each is a product of the decays themselves, so that decays of any size and sign, 0 too, are exact:
no logarithm is taken, nothing is divided. Decays of several carries are matrices between them.

What is left between two rows is a product over the rows between them. The chunk is halved, the
halves too, and so on: two rows are in one block whose halves they are in, and the product is that
from the one row to the middle, times that from the middle to the other. So what rows read of each
other is a product of matrices for each size of block, and no value has two rows and an axis of the
carry that is summed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl.core import Axis
from ...dsl.ops import (
    INDEX,
    RENAME,
    IndexAttrs,
    RenameAttrs,
    Select,
    Slice,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .algebra import Maker
    from .rows import Rows

Block = tuple[Axis, Axis]  # from the second to the first: along the carries


@dataclass(frozen=True, slots=True)
class Level:
    """Rows in the later half of a block, and others in its earlier half, where `inside` holds.

    `left` is what is left at a row, before its own step, of the middle; `right` what is left at the
    middle of what came in at another row. None is 1.
    """

    inside: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class Segments:
    """What is left at a row, before its own step, of the start of its chunk (`start`) and of what
    came in at rows above it (`levels`, or for several carries the matrix `matrix`); `end` and
    `to_end` say the same of the end of the chunk. None is 1."""

    start: str | None
    end: str | None
    to_end: str | None
    levels: tuple[Level, ...] = ()
    matrix: str | None = None
    block: Block | None = None
    _between: list[str] = field(default_factory=list)

    def read(self, make: Maker, right: str, part: str | None) -> str:
        """What is read with, times one of these."""
        if part is None or self.block is None:
            return right if part is None else make.map("mul", right, part)
        new, old = self.block
        return make.renamed(make.contract([new.name], right, part), {old.name: new.name})

    def left(self, make: Maker, part: str | None, value: str) -> str:
        """What one of these leaves of a value."""
        if part is None or self.block is None:
            return value if part is None else make.map("mul", part, value)
        new, old = self.block
        return make.contract([old.name], part, make.renamed(value, {new.name: old.name}))

    def score(self, make: Maker, right: str, key: str, over: Sequence[str]) -> str:
        """How much each row reads with `right` of what came in as `key` at the rows above it,
        summed over axes of the carry."""
        if self.matrix is not None:
            return make.contract(over, self.read(make, right, self.matrix), key)
        if over and not any(
            make.has(own, over)
            for level in self.levels
            for own in (level.left, level.right)
            if own is not None
        ):
            return make.map("mul", make.contract(over, right, key), self.between(make))
        if not over:
            return make.product([right, self.between(make), key])
        parts = []
        for level in self.levels:
            reads = right if level.left is None else make.map("mul", right, level.left)
            comes = key if level.right is None else make.map("mul", key, level.right)
            score = make.contract(over, reads, comes)
            parts.append(make.map("where", level.inside, score, make.const(0.0)))
        return make.total(parts)

    def between(self, make: Maker) -> str:
        """What is left at each row of what came in at another one above it; 0 elsewhere."""
        if not self._between:
            parts = []
            for level in self.levels:
                sides = [own for own in (level.left, level.right) if own is not None]
                whole = make.product(sides)
                parts.append(make.map("where", level.inside, whole, make.const(0.0)))
            self._between.append(make.total(parts))
        return self._between[0]


def segments(
    make: Maker, rows: Rows, decay: str | None, block: Block | None, fresh: Callable[[str], str]
) -> Segments:
    """The products of a decay that is given in chunks; None is a decay of 1 everywhere."""
    if decay is None:
        above = make.map("gt", make.index(rows.row), make.index(rows.other))
        return Segments(None, None, None, (Level(above, None, None),))
    if block is not None:
        return _matrices(make, rows, decay, block, fresh)
    return _halves(make, rows, decay, fresh)


def _halves(make: Maker, rows: Rows, decay: str, fresh: Callable[[str], str]) -> Segments:
    size = rows.row.size
    assert isinstance(size, int)
    levels = []
    two, within = Axis(fresh("half"), 2), Axis(fresh("within"), 1)
    second = make.map("eq", make.index(two), make.const(1))
    pieces = Axis(fresh("piece"), size)
    whole = make.renamed(decay, {rows.row.name: pieces.name})
    left: str | None = None  # in each block, from its start and to its end
    right: str | None = None

    def split(value: str, old: Axis, new: Sequence[Axis]) -> str:
        return make.add(RENAME, RenameAttrs((((old.name,), tuple(new)),)), value)

    def merged(value: str, old: Sequence[Axis], new: Axis) -> str:
        value = make.spread(value, old)
        return make.add(RENAME, RenameAttrs(((tuple(a.name for a in old), (new,)),)), value)

    def along(value: str | None, axis: Axis) -> str | None:
        return None if value is None else merged(value, (pieces, within), axis)

    for level in range(size.bit_length() - 1):
        inside = _together(make, rows, level)
        levels.append(Level(inside, along(left, rows.row), along(right, rows.other)))
        halves = Axis(pieces.name, size >> (level + 1))
        parts = split(whole, pieces, (halves, two))
        early, late = (make.add(INDEX, IndexAttrs(Select(two.name, at)), parts) for at in (0, 1))
        one = make.const(1.0)
        if left is None or right is None:
            left = make.map("where", second, early, one)
            right = make.map("where", second, one, late)
        else:
            left, right = (split(value, pieces, (halves, two)) for value in (left, right))
            left = make.map("where", second, make.map("mul", early, left), left)
            right = make.map("where", second, right, make.map("mul", right, late))
        wider = Axis(within.name, 2 * _size(within))
        left, right = (merged(value, (two, within), wider) for value in (left, right))
        whole = make.map("mul", early, late)
        pieces, within = halves, wider
    end = make.add(INDEX, IndexAttrs(Select(pieces.name, 0)), whole)
    return Segments(along(left, rows.row), end, along(right, rows.row), tuple(levels))


def _size(axis: Axis) -> int:
    assert isinstance(axis.size, int)
    return axis.size


def _together(make: Maker, rows: Rows, level: int) -> str:
    """Whether two rows are in the same block, the second in its earlier half and the first not."""
    at, other = make.index(rows.row), make.index(rows.other)

    def place(index: str, size: int) -> str:
        return index if size == 1 else make.map("floordiv", index, make.const(size))

    block, half = 2 << level, 1 << level
    same = make.map("eq", place(at, block), place(other, block))
    return make.map("and", same, make.map("gt", place(at, half), place(other, half)))


# ---- several carries


def _matrices(
    make: Maker, rows: Rows, decay: str, block: Block, fresh: Callable[[str], str]
) -> Segments:
    size = _size(rows.row)
    edge = Axis(fresh("edge"), size + 1)  # before each row, and behind the last
    at, other, zero = make.index(edge), make.index(rows.other), make.const(0.0)
    one = unit(make, block)
    how = Window(rows.row.name, ((edge, 1),), -1, 0.0)
    earlier = make.add(INDEX, IndexAttrs(how), decay)  # at each edge the decay of the row above
    earlier = make.map("where", make.map("gt", at, make.const(0)), earlier, one)
    later = make.map("gt", at, make.map("add", other, make.const(1)))
    start = _running(make, earlier, edge, block, fresh)
    between = _running(make, make.map("where", later, earlier, one), edge, block, fresh)

    def inside(name: str) -> str:
        cut = make.add(INDEX, IndexAttrs(Slice(edge.name, 0, size)), name)
        return make.renamed(cut, {edge.name: rows.row.name})

    def end(name: str) -> str:
        return make.add(INDEX, IndexAttrs(Select(edge.name, size)), name)

    above = make.map("gt", make.index(rows.row), other)
    seen = make.map("where", above, inside(between), zero)
    to_end = make.renamed(end(between), {rows.other.name: rows.row.name})
    return Segments(inside(start), end(start), to_end, (), seen, block)


def unit(make: Maker, block: Block) -> str:
    """1 between a carry and itself, else 0."""
    return make.floats(make.map("eq", *map(make.index, block)))


def _running(make: Maker, decay: str, edge: Axis, block: Block, fresh: Callable[[str], str]) -> str:
    """At each edge the product of what stands there and above, the later on the left."""
    new, old = block
    middle, by = fresh(new.name), 1
    while by < _size(edge):
        how = Window(edge.name, ((edge, 1),), -by, 0.0)
        shifted = make.add(INDEX, IndexAttrs(how), decay)
        outside = make.map("lt", make.index(edge), make.const(by))
        shifted = make.map("where", outside, unit(make, block), shifted)
        decay = make.contract(
            [middle],
            make.renamed(decay, {old.name: middle}),
            make.renamed(shifted, {new.name: middle}),
        )
        by *= 2
    return decay
