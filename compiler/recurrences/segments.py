"""Products of decays over stretches of a chunk.

Each is a product of the decays themselves, so that decays of any size and sign, 0 too, are exact:
no logarithm is taken, nothing is divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.ops import ALONG_OP, INDEX, AlongAttrs, IndexAttrs, Select, Slice, Window

if TYPE_CHECKING:
    from ...dsl.core import Axis
    from .algebra import Maker
    from .rows import Rows


@dataclass(frozen=True, slots=True)
class Segments:
    """What is left at a row, before its own step, of the start of its chunk (`start`) and of what
    came in at another row above it (`between`, 0 elsewhere); `end` and `to_end` say the same of the
    end of the chunk. None is 1."""

    start: str | None
    between: str
    end: str | None
    to_end: str | None


def segments(make: Maker, rows: Rows, decay: str | None, edge: Axis) -> Segments:
    """The products of a decay that is given in chunks; None is a decay of 1 everywhere.

    `edge` is an axis of one more position than a chunk has rows: the last is its end.
    """
    row, other = make.index(rows.row), make.index(rows.other)
    above = make.map("gt", row, other)
    if decay is None:
        return Segments(None, make.floats(above), None, None)
    how = Window(rows.row.name, ((edge, 1),), -1, 1.0)
    earlier = make.add(INDEX, IndexAttrs(how), decay)  # at each edge the decay of the row above
    at, zero = make.index(edge), make.const(0.0)
    later = make.map("gt", at, make.map("add", other, make.const(1)))
    start = make.add(ALONG_OP, AlongAttrs("cumprod", (edge.name,)), earlier)
    between = make.map("where", later, earlier, make.const(1.0))
    between = make.add(ALONG_OP, AlongAttrs("cumprod", (edge.name,)), between)

    def inside(name: str) -> str:
        size = rows.row.size
        cut = make.add(INDEX, IndexAttrs(Slice(edge.name, 0, size)), name)
        return make.renamed(cut, {edge.name: rows.row.name})

    def end(name: str) -> str:
        assert isinstance(rows.row.size, int)
        return make.add(INDEX, IndexAttrs(Select(edge.name, rows.row.size)), name)

    return Segments(
        inside(start),
        make.map("where", above, inside(between), zero),
        end(start),
        end(between),
    )
