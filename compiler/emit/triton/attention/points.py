"""A tile of scores as Triton: which of its values are made once, and which for each block.

A program has a block of *rows*, queries or keys, and goes through blocks of *columns*, which are
the others. What does not differ along columns is made at the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .....dsl.core import Body, DType, names
from .....dsl.ops import INPUT, IotaAttrs
from ....attention.contraction import KEY, QUERY
from ...cpp.attention.whole import Range, ranged
from ...unsupported import UnsupportedError
from ..expressions import literal
from ..tiles import HELD, Tile, Tiles
from ..writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Axes, Axis, Node
    from ....attention.contraction import Contraction
    from ....attention.masks import Condition
    from ....attention.tile import Picked
    from ....attention.tile import Tile as Score

BLOCK = 64  # what a block counts for where work is counted
WHOLE = 1
"""The part of the loop whose blocks see all that is bounded, and are inside of the tensors."""


@dataclass
class Sides(Tiles):
    """Tiles of rows and columns. Positions are 64 bits wide if arithmetic on them has to be."""

    wide: bool = False
    order: list[str] = field(default_factory=list)

    def length(self, axis: Axis) -> int:
        """Blocks are of any size."""
        return BLOCK

    def beyond(self, axis: Axis) -> bool:
        """What is beyond the ends is seen to by the kernel."""
        return False

    def index(self, axis: Axis) -> str:
        """The positions of a block."""
        return f"tl.cast(at_{axis.name}, tl.int64)" if self.wide else f"at_{axis.name}"


class Points(Writer):
    """The lines of a tile: `start`, once for a program, and `lines`, for each block of columns."""

    def __init__(
        self, made: Contraction, score: Score, conditions: Sequence[Condition], rows: str
    ) -> None:
        self.made, self.score, self.rows = made, score, rows
        self.columns = KEY if rows == QUERY else QUERY
        self.held = {node.name: node for node in made.inputs}
        places = [picked.at for picked in score.picked.values()]
        asked = [score.weight, *places, *(own.name for own in conditions), *score.slope.values()]
        asked = list(dict.fromkeys(asked))
        sides = Sides((), None, 1, order=[rows, self.columns], wide=_is_wide(score))
        super().__init__(Body(tuple(score.steps.values()), tuple(asked)), sides)
        self.known = dict(zip(asked, self.flow.results, strict=True))
        self.certain = {self.known[own.name]: own.holds for own in conditions if own.bounds}
        self.start: list[str] = []
        self.asserts = False

    @property
    def both(self) -> Axes:
        """The axes of a tile."""
        return tuple(self.made.axes[name] for name in (self.rows, self.columns))

    def of(self, name: str, dtype: DType | None = None) -> Tile:
        """A value of the tile by its name there."""
        own = self.known.get(name, name)
        self.need(own)
        return self.value(own, dtype)

    def everywhere(self, tile: Tile) -> str:
        """A value as one of each row and column."""
        if not tile.axes and not tile.text.isidentifier():
            return f"tl.full([ROWS, COLUMNS], {tile.text}, tl.float32)"
        text = self.tiles.spread(tile, self.both)
        if names(tile.axes) == names(self.both):
            return text
        return f"tl.broadcast_to({text}, [ROWS, COLUMNS])"

    def keep(self, text: str, axes: Axes, dtype: DType, name: str) -> Tile:
        """A line that gives a value a name."""
        made = super().keep(text, axes, dtype, name)
        if self.columns not in names(axes):
            self.start.append(self.lines.pop())
        return made

    def taken(self) -> list[str]:
        """The lines for each block of columns since they were last taken."""
        lines, self.lines = self.lines, []
        return lines

    def there(self, axes: Axes) -> str:
        """Whether positions are inside of the tensors."""
        texts = (self.tiles.along(axis, axes, f"there_{axis.name}") for axis in axes)
        return " & ".join(texts)

    def _made(self, node: Node, read: tuple[str, ...]) -> Tile:
        made = self._input(node) if node.op is INPUT else super()._made(node, read)
        if node.name in self.certain and self.columns in names(made.axes):
            shape = [("ROWS", "COLUMNS")[axis.name == self.columns] for axis in made.axes]
            known = f"tl.full([{', '.join(shape)}], {self.certain[node.name]}, tl.int1)"
            text = f"{made.text} if part != {WHOLE} else {known}"
            return self.keep(text, made.axes, DType.BOOL, f"{node.name} seen")
        return made

    # ---- what is read

    def _input(self, node: Node) -> Tile:
        name = node.name
        if name == self.score.score:
            return Tile("x", self.both, DType.FLOAT)
        if name == self.score.cotangent:
            return Tile("change", self.both, DType.FLOAT)
        if name in self.score.picked:
            return self._picked(node, self.score.picked[name])
        held = self.held[name]
        axes = self.tiles.inside(axis for axis in held.axes if axis.name in (QUERY, KEY))
        mask = f", mask={self.there(axes)}, other=0" if axes else ""
        text = f"tl.load({self.place(name, axes)}{mask})"
        if held.dtype is not DType.INT:
            text += " != 0" if held.dtype is DType.BOOL else f".to({HELD[held.dtype]})"
        return self.keep(text, axes, held.dtype, name)

    def place(self, word: str, axes: Axes) -> str:
        """Pointers to the elements of a tensor at a block."""
        text = f"p_{word}"
        if axes:
            text += "".join(
                f" + tl.cast({axis.name}0, tl.int64) * {word}_{axis.name}" for axis in axes
            )
            apart = (
                f"{self.tiles.along(axis, axes, f'i_{axis.name}')} * {word}_{axis.name}"
                for axis in axes
            )
            text += f" + ({' + '.join(apart)})"
        return text

    def _picked(self, node: Node, own: Picked) -> Tile:
        at = self.of(own.at, DType.INT)
        axis = self.made.table(self.held[own.table])
        size = self.held[own.table].size(axis or "")
        fill = literal(own.fill or 0.0, DType.FLOAT)
        text = f"p_{own.table} + tl.cast({at.text}, tl.int64) * {own.table}_{axis}"
        if own.fill is None and isinstance(size, int) and self._is_inside(own.at, size):
            return self.keep(f"tl.load({text}).to(tl.float32)", at.axes, DType.FLOAT, node.name)
        inside = f"({at.text} >= 0) & ({at.text} < n_{axis})"
        inside = self.keep(inside, at.axes, DType.BOOL, f"{node.name} inside").text
        if own.fill is None:
            beyond = f" | ~({self.there(at.axes)})" if at.axes else ""
            line = f'tl.device_assert({inside}{beyond}, "a position outside of a table")'
            (self.lines if self.columns in names(at.axes) else self.start).append(line)
            self.asserts = True
        text = f"tl.load({text}, mask={inside}, other={fill}).to(tl.float32)"
        return self.keep(text, at.axes, DType.FLOAT, node.name)

    def _is_inside(self, name: str, size: int) -> bool:
        """Whether a whole number is known to be a position of so many."""
        try:
            low, high = ranged(self.score, name, {})
        except UnsupportedError:
            return False
        return low >= 0 and high < size


def _is_wide(score: Score) -> bool:
    """Whether arithmetic on positions may leave 32 bits."""
    known: dict[str, Range] = {}
    try:
        for name, step in score.steps.items():
            if step.node.dtype is DType.INT and not isinstance(step.node.attrs, IotaAttrs):
                ranged(score, name, known)
    except UnsupportedError:
        return True
    return False
