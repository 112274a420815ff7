"""What each axis of a body is in a program: a single lane, a block of lanes, or inside of a tile.

*Lanes* are axes along which the body mixes nothing. Each program runs one recurrence of them, or of
one of them a block: what lacks it is then read once for all. All other axes are inside. A tile has
an axis for each that is inside, and for the block, in one order that all tiles share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.core import Axis, DType
from ..unsupported import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....dsl.core import Axes

MOST = 1 << 17  # numbers in a tile, at most
HELD = {DType.FLOAT: "tl.float32", DType.INT: "tl.int64", DType.BOOL: "tl.int1"}


def rounded(size: int) -> int:
    """The next power of two: what a tile is long along an axis."""
    return 1 << max(size - 1, 0).bit_length()


@dataclass(frozen=True)
class Tile:
    """A value as Triton has it: the text of it, and its axes in their order; none is a scalar."""

    text: str
    axes: Axes
    dtype: DType


@dataclass
class Tiles:
    """The axes of a program. `block` is a lane of which `width` are run together."""

    lanes: Axes
    block: Axis | None
    width: int
    order: list[str] = field(default_factory=list)
    indices: dict[str, str] = field(default_factory=dict)
    """Index variables that the program begins with, and what they are."""

    def inside(self, axes: Iterable[Axis]) -> Axes:
        """Those of the axes that a tile has, in their order."""
        own = {axis.name: axis for axis in axes if not self.is_single(axis.name)}
        self.order += [name for name in own if name not in self.order]
        wanted = [name for name in self.order if name in own and not self.is_block(name)]
        if self.block is not None and self.block.name in own:
            wanted.append(self.block.name)
        return tuple(own[name] for name in wanted)

    def is_single(self, name: str) -> bool:
        """Whether each program has one position of an axis."""
        return not self.is_block(name) and any(axis.name == name for axis in self.lanes)

    def is_block(self, name: str) -> bool:
        """Whether each program has some positions of an axis."""
        return self.block is not None and self.block.name == name

    def length(self, axis: Axis) -> int:
        """How long a tile is along an axis."""
        if self.is_block(axis.name):
            return self.width
        if not isinstance(axis.size, int):
            raise UnsupportedError(f"the size of `{axis.name}` is known only when it runs")
        if axis.size == 0:
            raise UnsupportedError(f"the axis `{axis.name}` is empty")
        return rounded(axis.size)

    def shape(self, axes: Axes) -> str:
        """The shape of a tile, as Triton writes it."""
        return f"[{', '.join(str(self.length(axis)) for axis in axes)}]"

    def count(self, axes: Axes) -> int:
        """How many numbers a tile has."""
        total = 1
        for axis in axes:
            total *= self.length(axis)
        if total > MOST:
            raise UnsupportedError("a value of a step is too large for one program")
        return total

    def index(self, axis: Axis) -> str:
        """The positions along an axis, as a vector; along a single lane a number."""
        if self.is_single(axis.name):
            return f"l_{word(axis.name)}"
        if self.is_block(axis.name):
            return f"at_{word(axis.name)}"
        length = self.length(axis)
        name = f"i_{word(axis.name)}_{length}"
        self.indices[name] = f"tl.arange(0, {length})"
        return name

    def along(self, axis: Axis, axes: Axes, text: str | None = None) -> str:
        """A vector along one axis, the positions if no other, laid along it in a tile of `axes`."""
        text = self.index(axis) if text is None else text
        return text if len(axes) < 2 else text + _inserted([own == axis for own in axes])

    def beyond(self, axis: Axis) -> bool:
        """Whether a tile is longer than the axis."""
        if self.is_block(axis.name):
            return not isinstance(axis.size, int) or axis.size % self.width > 0
        return self.length(axis) != axis.size

    def there(self, axes: Axes, only: Iterable[str] | None = None) -> list[str]:
        """Conditions that hold where a tile of `axes` has elements of its value."""
        only = [axis.name for axis in axes] if only is None else only
        return [
            f"({self.along(axis, axes)} < {self.size(axis)})"
            for axis in axes
            if axis.name in only and self.beyond(axis)
        ]

    def size(self, axis: Axis) -> str:
        """The size of an axis."""
        if isinstance(axis.size, int):
            return str(axis.size)
        if axis.name in [own.name for own in self.lanes]:
            return f"n_{word(axis.name)}"
        raise UnsupportedError(f"the size of `{axis.name}` is known only when it runs")

    def spread(self, tile: Tile, axes: Axes) -> str:
        """A tile in a shape that broadcasts with one of `axes`."""
        own = [axis.name for axis in tile.axes]
        if not own or own == [axis.name for axis in axes]:
            return tile.text
        return f"{tile.text}{_inserted([axis.name in own for axis in axes])}"

    def full(self, tile: Tile, axes: Axes, dtype: DType) -> str:
        """A tile with all of the axes, of a dtype."""
        shape = self.shape(axes)
        if not tile.axes and not tile.text.isidentifier():
            return f"tl.full({shape}, {tile.text}, {HELD[dtype]})"
        text = self.spread(tile, axes)
        same = [axis.name for axis in tile.axes] == [axis.name for axis in axes]
        if same and tile.dtype is dtype is not DType.INT:
            return text
        if not tile.axes and axes:
            text = f"tl.broadcast_to(tl.cast({text}, {HELD[tile.dtype]}), {shape})"
        elif not same:
            text = f"tl.broadcast_to({text}, {shape})"
        if dtype is DType.BOOL:
            return text if tile.dtype is DType.BOOL else f"({text} != 0)"
        return f"tl.cast({text}, {HELD[dtype]})"


def word(name: str) -> str:
    """A name as a part of Python's names."""
    text = "".join(c if c.isalnum() else {"'": "_p", "^": "c_"}.get(c, "_") for c in name)
    return text if text.isascii() else f"x{text.encode().hex()}"


def _inserted(own: list[bool]) -> str:
    return "" if all(own) else f"[{', '.join(':' if one else 'None' for one in own)}]"
