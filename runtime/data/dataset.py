"""Data sets: named fields with named axes, in memory, and the order in which they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dsl.signatures import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Array = np.ndarray[Any, np.dtype[Any]]


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A stream of random numbers of its own for each seed and key, the same on every machine."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64([seed % 2**64, *words]))


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One field of every example. `lengths` says how much of a ragged axis each example has."""

    axes: tuple[str, ...]  # the examples' axis first
    values: Array  # zero (or false) where a ragged axis has ended
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject values that do not have these axes."""
        if self.axes[:1] != (EXAMPLES,) or len(set(self.axes)) != self.values.ndim:
            raise ValueError(f"axes {self.axes} for an array of shape {self.values.shape}")
        for axis, lengths in self.lengths.items():
            size = self.values.shape[self.axes.index(axis)]
            if lengths.shape != self.values.shape[:1] or (lengths > size).any():
                raise ValueError(f"lengths of {axis} do not fit an array of {self.values.shape}")

    def pick(self, rows: slice | NDArray[np.intp]) -> Column:
        """Some examples of it."""
        lengths = {axis: counts[rows] for axis, counts in self.lengths.items()}
        return Column(self.axes, self.values[rows], lengths)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader stands: how many batches of which epoch it has had."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Named fields of the same examples, and the examples `held` back from them for testing.

    A batch is a data set too. An axis has one size throughout.
    """

    columns: Mapping[str, Column]
    held: Dataset | None = None

    def __post_init__(self) -> None:
        """Reject fields that do not agree on the sizes of their axes."""
        if not self.columns:
            raise ValueError("a data set has at least one field")
        sizes: dict[str, int] = {}
        for name, column in self.columns.items():
            for axis, size in zip(column.axes, column.values.shape, strict=True):
                if sizes.setdefault(axis, size) != size:
                    message = f"axis {axis} has size {size} in {name}, {sizes[axis]} elsewhere"
                    raise ValueError(message)
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.columns.values())).values)

    def pick(self, rows: slice | NDArray[np.intp]) -> Dataset:
        """Some examples, in the order asked for."""
        return Dataset({name: column.pick(rows) for name, column in self.columns.items()})

    def take(self, count: int) -> Dataset:
        """The first so many examples, or all where there are fewer."""
        return self.pick(slice(max(count, 0)))

    def split(self, held: float, seed: int) -> tuple[Dataset, Dataset]:
        """Two disjoint parts drawn at random, the second with the share `held` of the examples."""
        order = generator(seed, "split").permutation(len(self))
        cut = len(self) - round(len(self) * held)
        return self.pick(np.sort(order[:cut])), self.pick(np.sort(order[cut:]))

    def with_held(self, share: float, seed: int) -> Dataset:
        """Itself with that share held back, unless one of the two parts would be empty."""
        if not 0 < round(len(self) * share) < len(self):
            return self
        train, held = self.split(share, seed)
        return Dataset(train.columns, held)

    def batches(
        self, size: int, *, seed: int = 0, epoch: int = 0, start: int = 0, shuffle: bool = False
    ) -> Iterator[Dataset]:
        """One epoch from batch `start` on; the last batch holds what is left."""
        order = self._order(seed, epoch) if shuffle else np.arange(len(self))
        for first in range(start * size, len(self), size):
            yield self.pick(order[first : first + size])

    def stream(
        self, size: int, *, seed: int, start: Cursor | None = None
    ) -> Iterator[tuple[Dataset, Cursor]]:
        """Shuffled batches without end, all of one size, each with the place to go on from.

        What is left over at the end of an epoch is passed by; every epoch leaves other examples.
        """
        at = start or Cursor()
        size = min(size, len(self))
        if not size:
            raise ValueError("no batches can be drawn from an empty data set")
        whole = len(self) // size
        for epoch in count(at.epoch):
            order = self._order(seed, epoch)
            for batch in range(at.batch if epoch == at.epoch else 0, whole):
                rows = order[batch * size : (batch + 1) * size]
                yield self.pick(rows), Cursor(epoch, batch + 1)

    def _order(self, seed: int, epoch: int) -> NDArray[np.intp]:
        return generator(seed, "order", epoch).permutation(len(self))


def full(values: Array, *axes: str) -> Column:
    """A field that has all of every axis, the examples' axis not named."""
    return Column((EXAMPLES, *axes), values)


def stack(rows: Sequence[Array], axes: Sequence[str], ragged: Collection[str] = ()) -> Column:
    """One field from an array for each example; along the ragged axes they may differ in size."""
    shapes = np.array([row.shape for row in rows], dtype=np.int64).reshape(len(rows), len(axes))
    size = shapes.max(axis=0, initial=0)
    for axis, most, counts in zip(axes, size, shapes.T, strict=True):
        if axis not in ragged and (counts != most).any():
            odd = int(np.argmax(counts != counts[0]))
            message = f"axis {axis} has size {counts[0]} in example 0, {counts[odd]} in {odd}"
            raise ValueError(message)
    values = np.zeros((len(rows), *size), dtype=rows[0].dtype if rows else np.int64)
    for place, row in enumerate(rows):
        values[place, ...][tuple(slice(size) for size in row.shape)] = row
    lengths = {axis: shapes[:, place] for place, axis in enumerate(axes) if axis in ragged}
    return Column((EXAMPLES, *axes), values, lengths)


def aligned(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Fields that share a ragged axis, all padded to the longest of them."""
    longest: dict[str, int] = {}
    for column in columns.values():
        for axis in column.lengths:
            size = column.values.shape[column.axes.index(axis)]
            longest[axis] = max(size, longest.get(axis, 0))
    return {name: _pad(column, longest) for name, column in columns.items()}


def _pad(column: Column, sizes: Mapping[str, int]) -> Column:
    extra = [
        (0, sizes[axis] - size if axis in column.lengths else 0)
        for axis, size in zip(column.axes, column.values.shape, strict=True)
    ]
    return Column(column.axes, np.pad(column.values, extra), column.lengths)
