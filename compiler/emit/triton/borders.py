"""The tensors that go into a kernel and come out of it, and where a program's part of each lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ..cpp.kernel import CHUNK
from .tiles import HELD, Tile, word

if TYPE_CHECKING:
    from ....dsl.core import Axes, Axis
    from .tiles import Tiles


@dataclass(frozen=True)
class Border:
    """A tensor that goes in or comes out, its axes in any order in memory.

    Along the block of lanes one of `parts` has a position for each block: what comes out is a part
    of a sum over all.
    """

    word: str
    kind: str
    axes: Axes
    dtype: DType
    parts: frozenset[str] = frozenset()

    @property
    def outer(self) -> tuple[str, ...]:
        """The axes along which neighbours are any number of elements apart: all of them."""
        return names(self.axes)

    @property
    def inner(self) -> tuple[str, ...]:
        """The axes that lie densely: none has to."""
        return ()

    def apart(self, axis: str) -> str:
        """The variable that says how far neighbours along an axis are apart."""
        return f"s_{self.word}_{word(axis)}"


class Borders:
    """All tensors of a kernel, in their order. `moving` is the axis of the scan; with `rows`, a
    turn of the loop is so many of its steps."""

    def __init__(self, tiles: Tiles, moving: Axis, rows: Axis | None) -> None:
        self.tiles, self.moving, self.rows = tiles, moving, rows
        self.found: list[Border] = []
        self.start: list[str] = []

    def add(
        self, kind: str, axes: Axes, dtype: DType, parts: frozenset[str] = frozenset()
    ) -> Border:
        """A tensor. Its part in this program is found at the start."""
        border = Border(f"{kind}_{len(self.found)}", kind, axes, dtype, parts)
        self.found.append(border)
        text = border.word
        for axis in axes:
            if axis.name in parts and self.tiles.is_block(axis.name):
                text += f" + block * {border.apart(axis.name)}"
            elif self.tiles.is_single(axis.name):
                text += f" + {self.tiles.index(axis)} * {border.apart(axis.name)}"
        self.start.append(f"p_{border.word} = {text}")
        return border

    def inside(self, border: Border) -> Axes:
        """The axes that the tile of a tensor has."""
        own: Axes = tuple(a for a in border.axes if a.name not in border.parts)
        own = tuple(a for a in own if a.name not in (self.moving.name, CHUNK.name))
        if self.rows is not None and self.moving in border.axes:
            own = (self.rows, *own)
        return self.tiles.inside(own)

    def address(self, border: Border) -> str:
        """Pointers to the elements of a tile."""
        axes, text = self.inside(border), f"p_{border.word}"
        listed = {axis.name for axis in border.axes}
        if self.moving.name in listed:
            text += f" + t * {border.apart(self.moving.name)}"
        if CHUNK.name in listed:
            text += f" + tl.cast(i, tl.int64) * {border.apart(CHUNK.name)}"
        offsets = []
        for axis in axes:
            rows = self.rows is not None and axis.name == self.rows.name
            index = self.tiles.along(axis, axes, "near" if rows else None)
            offsets.append(f"{index} * {border.apart(axis.name)}")
        return f"{text} + ({' + '.join(offsets)})" if offsets else text

    def load(self, border: Border, *, beyond: bool = False) -> Tile:
        """What a turn of the loop reads. Behind the last step stands the last one again, or, with
        `beyond`, 0."""
        axes = self.inside(border)
        there = self._there(border, axes) if beyond else self.tiles.there(axes)
        mask = f", mask={' & '.join(there)}, other=0" if there else ""
        text = f"tl.load({self.address(border)}{mask})"
        if border.dtype is not DType.INT:
            text += " != 0" if border.dtype is DType.BOOL else f".to({HELD[border.dtype]})"
        return Tile(text, axes, border.dtype)

    def store(self, border: Border, value: Tile) -> str:
        """The line that writes what a turn of the loop gives."""
        axes = self.inside(border)
        there = self._there(border, axes)
        mask = f", mask={' & '.join(there)}" if there else ""
        text = self.tiles.full(value, axes, border.dtype)
        return f"tl.store({self.address(border)}, {text}{mask})"

    def _there(self, border: Border, axes: Axes) -> list[str]:
        there = self.tiles.there(axes)
        if self.rows is not None and self.moving in border.axes:
            there.append(self.tiles.along(self.rows, axes, "there"))
        return there

    def numbers(self) -> list[str]:
        """What the call says of them: how far neighbours are apart."""
        return [border.apart(axis.name) for border in self.found for axis in border.axes]
