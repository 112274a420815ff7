"""The rows of a sweep as numbers: masks are computed, their true places listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..passes import prune
from ..context import Context
from ..reference import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..reference.values import NamedArray
    from .pack import Packed


def row_numbers(
    packed: Packed, inputs: Mapping[str, NamedArray], lengths: Mapping[str, int]
) -> dict[str, NDArray[np.int64]]:
    """The index inputs of a packed sweep, by node name.

    `inputs` are the values of the swept variables by site, `lengths` the run-time sizes.
    """
    graph = prune(packed.masks, Context())
    arrays = evaluate(graph, inputs=inputs, sizes=lengths)
    places: dict[str, NDArray[np.int64]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    lookup: dict[str, NDArray[np.int64]] = {}
    for (mask, rows), named in zip(packed.sets.items(), arrays, strict=True):
        order = [named.axes.index(axis) for axis in rows.axes]
        array = named.array.transpose(order)
        places[mask] = np.argwhere(array)
        shapes[mask] = array.shape
        table = np.full(array.shape, -1, np.int64)
        table[tuple(places[mask].T)] = np.arange(len(places[mask]))
        lookup[mask] = table
    found: dict[str, NDArray[np.int64]] = {}
    for name, what in packed.indices.items():
        rows = packed.sets[what.mask]
        own = {axis: places[what.mask][:, i] for i, axis in enumerate(rows.axes)}
        if what.axis is not None:
            found[name] = own[what.axis]
        elif what.other is None:  # the place of a member among all
            found[name] = np.ravel_multi_index(tuple(own.values()), shapes[what.mask]).astype(
                np.int64
            )
        else:
            other = packed.sets[what.other]
            if what.at is not None:
                axis, at = what.at
                size = shapes[what.other][other.axes.index(axis)]
                own[axis] = np.full(len(places[what.mask]), at % size)
            place = lookup[what.other][tuple(own[axis] for axis in other.axes)]
            assert (place >= 0).all(), "a row has no place in the set that holds it"
            if what.inner is not None:
                size = shapes[what.mask][rows.axes.index(what.inner)]
                place = place * size + own[what.inner]
            found[name] = place
    return found
