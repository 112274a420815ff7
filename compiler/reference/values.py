"""Arrays with named axes, and how several are brought to the same axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

NUMPY = {DType.FLOAT: np.float64, DType.INT: np.int64, DType.BOOL: np.bool_}


@dataclass(frozen=True, slots=True, eq=False)
class NamedArray:
    """An array, and the name of each of its axes."""

    axes: tuple[str, ...]
    array: Array

    def __post_init__(self) -> None:
        if len(self.axes) != self.array.ndim or len(set(self.axes)) != len(self.axes):
            raise ValueError(f"axes {self.axes} for an array of shape {self.array.shape}")

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis."""
        return dict(zip(self.axes, self.array.shape, strict=True))

    def arranged(self, order: Sequence[str]) -> Array:
        """The array with its axes in this order, which names each of them once."""
        if sorted(order) != sorted(self.axes):
            raise ValueError(f"axes {self.axes} cannot be arranged as {tuple(order)}")
        return self.array.transpose([self.axes.index(name) for name in order])

    def spread(self, order: Sequence[str], sizes: dict[str, int]) -> Array:
        """The array with the axes of `order`, repeated along those that it lacks."""
        own = [name for name in order if name in self.axes]
        array = self.arranged(own)
        array = array.reshape([self.sizes.get(name, 1) for name in order])
        return np.broadcast_to(array, [sizes[name] for name in order])


def union(values: Sequence[NamedArray]) -> dict[str, int]:
    """All axes of all values with their sizes, which must agree."""
    sizes: dict[str, int] = {}
    for value in values:
        for name, size in value.sizes.items():
            if sizes.setdefault(name, size) != size:
                raise ValueError(f"axis {name} has sizes {sizes[name]} and {size}")
    return sizes


def aligned(values: Sequence[NamedArray]) -> tuple[tuple[str, ...], list[Array]]:
    """The values broadcast by name: all their axes, and an array with those axes for each."""
    sizes = union(values)
    return tuple(sizes), [value.spread(tuple(sizes), sizes) for value in values]


def number(array: Array) -> Array:
    """The array, a bool counted as 0 and 1."""
    return array.astype(np.int64) if array.dtype == np.bool_ else array
