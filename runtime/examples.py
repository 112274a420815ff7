"""Arrays that a model can be called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..dsl import sizes
from ..dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .module import Model

    Array = NDArray[Any]

QUARTERS = 4  # inputs are whole numbers of these parts, so that sums of them are exact
LONGEST = 4  # of an axis whose size is not known before the model runs


def inputs_for(
    model: Model, seed: int = 0, lengths: Mapping[str, int] | None = None, *, parts: int = QUARTERS
) -> tuple[Array, ...]:
    """Arrays that a model can be called with, in the order and with the axes that it declares.

    Floats are multiples of `1 / parts` up to 2, ints are positions of the table that they are for.
    `lengths` are the run-time sizes; those not given are drawn, 1 to 4.
    """
    artifact = model._artifact
    numbers = np.random.default_rng(seed)
    axes = [axis for argument in artifact.arguments for axis in argument.axes]
    symbols = sorted({symbol for axis in axes for symbol in sizes.symbols(axis.size)})
    known = dict(lengths or {})
    for symbol in symbols:
        if symbol not in known:
            known[symbol] = int(numbers.integers(1, LONGEST + 1))
    for limit in artifact.limits:  # such as a range that must lie inside its axis
        for symbol in [s for s in symbols if s not in (lengths or {})]:
            while known[symbol] <= 2 * LONGEST and not _holds(limit.low, limit.high, known):
                known[symbol] += 1
    highest: dict[int, int] = {}
    for look in artifact.looks:
        size = sizes.evaluate(look.axis.size, known)
        highest[look.argument] = min(highest.get(look.argument, size), size)
    found = []
    for place, argument in enumerate(artifact.arguments):
        shape = tuple(sizes.evaluate(axis.size, known) for axis in argument.axes)
        array = example(numbers, argument.decl.dtype, shape, parts)
        if argument.decl.dtype is DType.INT:
            array = numbers.integers(0, highest.get(place, LONGEST), shape)
        found.append(array)
    return tuple(found)


def _holds(low: sizes.Size, high: sizes.Size, known: Mapping[str, int]) -> bool:
    try:
        return sizes.evaluate(low, known) <= sizes.evaluate(high, known)
    except KeyError:
        return True


def example(
    numbers: np.random.Generator, dtype: DType, shape: tuple[int, ...], parts: int
) -> Array:
    """An array of a dtype."""
    match dtype:
        case DType.INT:
            return np.asarray(numbers.integers(-2, 3, shape))
        case DType.BOOL:
            return np.asarray(numbers.integers(0, 2, shape).astype(bool))
        case _:
            return np.asarray(numbers.integers(-2 * parts, 2 * parts + 1, shape) / parts)
