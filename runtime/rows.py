"""The values of a batch as rows: one for each place along the axes that a statistic is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..dsl.signatures import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Values with their axes; `first` is the number of the first example. `lengths` says how much
    each example has of an axis, where that is not all: places behind its end are no rows."""

    values: Sequence[Array]
    axes: Sequence[tuple[str, ...]]
    first: int = 0
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def rows(self, at: int, over: tuple[str, ...]) -> Array:
        """A value [row, ..], in float64, its other axes in their order."""
        value, axes = self.values[at], self.axes[at]
        rest = [axis for axis in axes if axis not in over]
        if value.dtype.kind == "f":
            value = value.astype(np.float64)
        turned = value.transpose([axes.index(axis) for axis in (*over, *rest)])
        rows = turned.reshape(-1, *turned.shape[len(over) :]).astype(np.float64)
        return rows[self._there(over)]

    def keys(self, at: int, over: tuple[str, ...]) -> NDArray[np.int64]:
        """A whole number for each row; along axes that it lacks it is the same."""
        key, axes, shape = self.values[at], self.axes[at], self._shape(over)
        turned = key.transpose([axes.index(axis) for axis in over if axis in axes])
        wide = turned.reshape([n if a in axes else 1 for a, n in zip(over, shape, strict=True)])
        return np.broadcast_to(wide, shape).reshape(-1).astype(np.int64)[self._there(over)]

    def examples(self, over: tuple[str, ...]) -> NDArray[np.int64]:
        """The number of the example that each row is of."""
        return self.first + self._along(EXAMPLES, over)[self._there(over)]

    def lots(self, over: tuple[str, ...], seed: int) -> NDArray[np.uint64]:
        """A random number for each row, by its example and place and a seed, however the examples
        are cut into batches."""
        lots = np.full(int(np.prod(self._shape(over))), (seed + 1) % 2**64, np.uint64)
        with np.errstate(over="ignore"):
            for axis in (EXAMPLES, *sorted(axis for axis in over if axis != EXAMPLES)):
                index = self._along(axis, over) + (self.first if axis == EXAMPLES else 0)
                lots = _mixed(lots * np.uint64(0x9E3779B97F4A7C15) + index.astype(np.uint64))
        return lots[self._there(over)]

    def _shape(self, over: tuple[str, ...]) -> list[int]:
        return [self.values[0].shape[self.axes[0].index(axis)] for axis in over]

    def _along(self, axis: str, over: tuple[str, ...]) -> NDArray[np.int64]:
        """The index along an axis at all places."""
        index: NDArray[np.int64] = np.indices(self._shape(over))[over.index(axis)]
        return index.reshape(-1)

    def _there(self, over: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which places an example has."""
        there = np.ones(int(np.prod(self._shape(over))), bool)
        for axis in (axis for axis in over if axis in self.lengths):
            there &= self._along(axis, over) < self.lengths[axis][self._along(EXAMPLES, over)]
        return there


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that look random: the finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
