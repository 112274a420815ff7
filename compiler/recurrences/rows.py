"""The axis of a recurrence cut into chunks of rows, or as the one chunk that it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis
from ...dsl.ops import ALONG_OP, INDEX, RENAME, AlongAttrs, IndexAttrs, RenameAttrs, Slice, Window
from .scans import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...dsl.core import Axes
    from .algebra import Maker
    from .scans import Step


class Rows:
    """Values along the axis of a recurrence, in chunks: `axis` becomes (`chunk`, `row`).

    The first row of the first chunk is the first step, whatever the direction; rows behind the last
    step are filled. `other` is a second index over the rows of a chunk. There are `size` rows in a
    chunk, or more, up to a power of two from 2 on: chunks are halved, and the halves too. One that
    is `alone` is run by a kernel, whose way back is not differentiated again.
    """

    alone = False

    def __init__(
        self, make: Maker, axis: Axis, size: int, fresh: Callable[[str], str], *, reverse: bool
    ) -> None:
        self.make, self.axis, self.reverse = make, axis, reverse
        size = 1 << max(size - 1, 1).bit_length()
        self.chunk = Axis(fresh("chunk"), sizes.ceil_divide(axis.size, size))
        self.row, self.other = Axis(fresh("row"), size), Axis(fresh("col"), size)
        self._whole = Axis(fresh("step"), sizes.multiply(self.chunk.size, size))
        self._split: dict[tuple[str, float], str] = {}

    def split(self, name: str, fill: float) -> str:
        """The value in chunks; what lacks the axis is the same in all of them."""
        make, axis = self.make, self.axis.name
        if not make.has(name, [axis]):
            return name
        if (name, fill) not in self._split:
            value = self._turned(make.floats(name))
            long = Window(axis, ((self._whole, 1),), 0, fill)
            value = make.add(INDEX, IndexAttrs(long), value)
            pairs = (((self._whole.name,), (self.chunk, self.row)),)
            self._split[name, fill] = make.add(RENAME, RenameAttrs(pairs), value)
        return self._split[name, fill]

    def merge(self, name: str) -> str:
        """The steps of a value in chunks."""
        make = self.make
        value = make.spread(name, (self.chunk, self.row))
        pairs = (((self.chunk.name, self.row.name), (Axis(self.axis.name, self._whole.size),)),)
        value = make.add(RENAME, RenameAttrs(pairs), value)
        value = make.add(INDEX, IndexAttrs(Slice(self.axis.name, 0, self.axis.size)), value)
        return self._turned(value)

    def joined(
        self, carries: Sequence[tuple[str, Axes]], ends: Sequence[str], step: Step
    ) -> tuple[list[str], list[str]]:
        """What comes of carries from chunk to chunk: the last ones, and what each chunk gives out.

        `carries` are initial values, with the axes that the carry has; `ends` what each chunk does
        to them, by `step`.
        """
        steps = [self.make.spread(end, [self.chunk]) for end in ends]
        return scan(self.make, self.chunk, carries, steps, step)

    def before(self, name: str, first: str) -> str:
        """What each step finds: what the step before left, which is `first` for the first."""
        make, axis = self.make, self.axis
        step = Window(axis.name, ((axis, 1),), 1 if self.reverse else -1, 0.0)
        shifted = make.add(INDEX, IndexAttrs(step), name)
        later = make.add(INDEX, IndexAttrs(step), make.ones(axis))
        return make.map("where", make.map("gt", later, make.const(0)), shifted, first)

    def shifted(self, name: str, by: int, fill: float) -> str:
        """Each row holds what stands so many rows above it."""
        how = Window(self.row.name, ((self.row, 1),), -by, fill)
        return self.make.add(INDEX, IndexAttrs(how), name)

    def as_other(self, name: str) -> str:
        """The value along the other index."""
        return self.make.renamed(name, {self.row.name: self.other.name})

    def _turned(self, name: str) -> str:
        if not self.reverse:
            return name
        return self.make.add(ALONG_OP, AlongAttrs("flip", (self.axis.name,)), name)


class OneChunk(Rows):
    """The axis is one chunk by itself, and the first position the first step: its size is a power
    of two."""

    alone = True

    def __init__(self, make: Maker, axis: Axis, fresh: Callable[[str], str]) -> None:
        assert isinstance(axis.size, int)
        super().__init__(make, axis, axis.size, fresh, reverse=False)
        self.row = axis

    def split(self, name: str, fill: float) -> str:
        """The value itself."""
        return self.make.floats(name) if self.make.has(name, [self.axis.name]) else name

    def merge(self, name: str) -> str:
        """The value itself."""
        return self.make.spread(name, [self.row])

    def joined(
        self, carries: Sequence[tuple[str, Axes]], ends: Sequence[str], step: Step
    ) -> tuple[list[str], list[str]]:
        """What the one chunk makes of the carries."""
        return step(self.make, [first for first, _ in carries], list(ends))
