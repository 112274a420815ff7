"""A kernel that runs a body once for each row: what both ways of a region share.

Lanes of a region are *rows*, numbered one after another; the vector axis, if it is a lane, is cut
into tiles. So many rows and a tile are one piece of work: they share buffers and sums, and how
many there are says nothing about threads, so that sums are the same with any number of those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .....dsl.core import Axis
from .....dsl.sizes import symbol
from ...environment import environment
from ..kernel import Kernel
from ..memory import WIDTH
from ..places import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..axes import Axes
    from ..borders import Borders
    from ..memory import Memory

ROW = Axis("^row", symbol("^row"))
"""All rows as one axis. A kernel is told how many there are, and how many make a piece of work."""
LONGEST = 4096  # numbers of a tile, where that makes it whole


@dataclass(frozen=True)
class Counted:
    """An axis of rows: its index in C++, and its size."""

    index: str
    size: str


@dataclass(frozen=True)
class Tile:
    """The vector axis, where it is a lane: so many of its numbers are run together."""

    index: str
    size: str
    together: int
    varies: bool


@dataclass(frozen=True)
class RegionText:
    """All that the template lays out."""

    symbol: str
    title: str
    numbers: tuple[str, ...]
    rows: tuple[Counted, ...]
    tile: Tile | None
    bytes: str
    buffers: tuple[str, ...]
    ends: tuple[str, ...]
    pointers: tuple[str, ...]
    body: tuple[str, ...]
    further: tuple[str, ...]
    finish: tuple[str, ...]


def last_of(orders: Sequence[tuple[str, ...]]) -> str | None:
    """The axis that is last in memory, where operands lie in these orders: as the largest does."""
    return max(orders, key=len, default=())[-1:][0] if any(orders) else None


def in_rows(axes: Axes) -> Axes:
    """The axes with no lanes that are run together for the sake of a weight, in long tiles."""
    tile, lane = axes.tile, axes.vector_lane
    if lane is not None and isinstance(lane.size, int) and lane.size <= LONGEST:
        tile = max(lane.size, 1)
    own = "" if axes.rows is None else axes.rows.name
    return replace(axes, rows=None, tile=tile, order=tuple(a for a in axes.order if a != own))


def rows_of(axes: Axes) -> tuple[Axis, ...]:
    """The lanes that are counted as rows."""
    return tuple(axis for axis in axes.lanes if axis.name != axes.vector)


def laid_out(
    title: str,
    memory: Memory,
    borders: Borders,
    pointers: Sequence[str],
    body: Sequence[str],
    finish: Sequence[str] = (),
) -> Kernel:
    """The kernel of these lines; pointers that are not moved from row to row come last."""
    axes = memory.axes
    lane, tile = axes.vector_lane, None
    if lane is not None:
        index, size = f"l_{memory.index(lane.name)}", str(memory.size(lane.size))
        tile = Tile(index, size, axes.tile, memory.extent(lane) == WIDTH)
    rows = tuple(
        Counted(f"l_{memory.index(axis.name)}", str(memory.size(axis.size)))
        for axis in rows_of(axes)
    )
    numbers = ["T", "threads", "every", *memory.size.found.values(), *borders.numbers()]
    buffers = memory.buffers.values()
    text = RegionText(
        "SYMBOL",
        title,
        tuple(f"const long {name} = n[{at}];" for at, name in enumerate(numbers)),
        rows,
        tile,
        " + ".join(f"room<{ELEMENTS[place.dtype]}>({count})" for place, count in buffers) or "0",
        tuple(memory.declarations()),
        tuple(borders.pointers[len(pointers) :]),
        tuple(pointers),
        tuple(body),
        tuple(_further(rows)),
        tuple(finish),
    )
    source = environment().get_template("cpp/region.cpp.j2").render(kernel=text)
    name = f"region_{hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}"
    sizes = tuple(memory.size.found)
    borders_ = tuple(borders.found)
    return Kernel(name, source.replace("SYMBOL", name), ROW, borders_, sizes, axes.lanes, 0)


def _further(rows: Sequence[Counted]) -> list[str]:
    """Turns the indices of a row into those of the next."""
    lines = [f"++{rows[-1].index};"] if rows else []
    for axis, outer in zip(reversed(rows[1:]), reversed(rows[:-1]), strict=True):
        lines.append(f"if ({axis.index} == {axis.size}) {axis.index} = 0, ++{outer.index};")
    return lines
