"""Products of decays over stretches of a chunk.

Each is a product of the decays themselves, so that decays of any size and sign, 0 too, are exact:
no logarithm is taken, nothing is divided. Decays of several carries are matrices between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import Axis
from ...dsl.ops import ALONG_OP, INDEX, AlongAttrs, IndexAttrs, Select, Slice, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from .algebra import Maker
    from .rows import Rows

Block = tuple[Axis, Axis]  # from the second to the first: along the carries


@dataclass(frozen=True, slots=True)
class Segments:
    """What is left at a row, before its own step, of the start of its chunk (`start`) and of what
    came in at another row above it (`between`, 0 elsewhere); `end` and `to_end` say the same of the
    end of the chunk. None is 1."""

    start: str | None
    between: str
    end: str | None
    to_end: str | None
    block: Block | None = None

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


def segments(
    make: Maker, rows: Rows, decay: str | None, block: Block | None, fresh: Callable[[str], str]
) -> Segments:
    """The products of a decay that is given in chunks; None is a decay of 1 everywhere."""
    above = make.map("gt", make.index(rows.row), make.index(rows.other))
    if decay is None:
        return Segments(None, make.floats(above), None, None)
    size = rows.row.size
    assert isinstance(size, int)
    edge = Axis(fresh("edge"), size + 1)  # before each row, and behind the last
    at, other, zero = make.index(edge), make.index(rows.other), make.const(0.0)
    one = make.const(1.0) if block is None else unit(make, block)
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

    seen = make.map("where", above, inside(between), zero)
    return Segments(inside(start), seen, end(start), end(between), block)


def unit(make: Maker, block: Block) -> str:
    """1 between a carry and itself, else 0."""
    return make.floats(make.map("eq", *map(make.index, block)))


def _running(
    make: Maker, decay: str, edge: Axis, block: Block | None, fresh: Callable[[str], str]
) -> str:
    """At each edge the product of what stands there and above, the later on the left."""
    if block is None:
        return make.add(ALONG_OP, AlongAttrs("cumprod", (edge.name,)), decay)
    assert isinstance(edge.size, int)
    new, old = block
    middle, by = fresh(new.name), 1
    while by < edge.size:
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
