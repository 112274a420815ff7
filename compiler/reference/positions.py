"""Axes and positions: renaming, splitting, merging, reading and writing at indices, concatenation.

What reads outside of an axis raises IndexError unless there is a fill; what writes there is lost.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.ops import Gather, Select, Slice, Window
from .values import NUMPY, NamedArray, aligned, union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import DType
    from ...dsl.ops import ConcatAttrs, IndexAttrs, RenameAttrs, ScatterAttrs
    from .values import Array

_READ = "(read)"  # the axis that is read, apart from one of the same name that takes its place


def rename(attrs: RenameAttrs, value: NamedArray, known: Mapping[str, int]) -> NamedArray:
    """Old axes turned into new ones; several are merged or made with the first as major."""
    order: list[str] = [*value.axes]
    result = {name: {name: size} for name, size in value.sizes.items()}
    for old, new in attrs.pairs:
        order = [name for name in order if name not in old] + [*old]
        result |= {name: {} for name in old}
        result[old[0]] = {axis.name: sizes.evaluate(axis.size, known) for axis in new}
        if math.prod(result[old[0]].values()) != math.prod(value.sizes[name] for name in old):
            raise ValueError(f"{old} of {value.sizes} cannot become {result[old[0]]}")
    after = {name: size for own in order for name, size in result[own].items()}
    return NamedArray(tuple(after), value.arranged(order).reshape(tuple(after.values())))


def index(
    attrs: IndexAttrs, operands: Sequence[NamedArray], known: Mapping[str, int]
) -> NamedArray:
    """Positions along one axis."""
    value = operands[0]
    how = attrs.how
    size = value.sizes[how.axis]
    rest = tuple(name for name in value.axes if name != how.axis)
    match how:
        case Select():
            if not -size <= how.at < size:
                raise IndexError(f"position {how.at} of axis {how.axis}, which has {size}")
            return NamedArray(rest, value.arranged((*rest, how.axis))[..., how.at])
        case Slice():
            start, stop = sizes.evaluate(how.start, known), sizes.evaluate(how.stop, known)
            if not 0 <= start <= stop <= size:
                raise IndexError(f"{start}..{stop} of axis {how.axis}, which has {size}")
            array = value.arranged((*rest, how.axis))[..., start:stop]
            return NamedArray((*rest, how.axis), array)
        case Gather():
            return _gather(value, how.axis, operands[1], how.fill)
        case Window():
            at = NamedArray((), np.asarray(sizes.evaluate(how.offset, known)))
            for axis, coefficient in how.terms:
                steps = np.arange(sizes.evaluate(axis.size, known)) * coefficient
                axes, (one, other) = aligned([at, NamedArray((axis.name,), steps)])
                at = NamedArray(axes, one + other)
            return _gather(value, how.axis, at, how.fill)


def _gather(value: NamedArray, axis: str, at: NamedArray, fill: float | None) -> NamedArray:
    size = value.sizes[axis]
    inside = (at.array >= 0) & (at.array < size)
    if fill is None and not inside.all():
        raise IndexError(f"a position outside of axis {axis}, which has {size}")
    rest = {name: length for name, length in value.sizes.items() if name != axis}
    both = union([NamedArray(tuple(rest), np.empty(tuple(rest.values()))), at])
    order = tuple(both)
    if size == 0:
        taken = np.zeros(tuple(both.values()), value.array.dtype)
    else:
        base = NamedArray((*rest, _READ), value.arranged((*rest, axis)))
        full = base.spread((*order, _READ), both | {_READ: size})
        where = NamedArray(at.axes, np.where(inside, at.array, 0)).spread(order, both)
        taken = np.take_along_axis(full, where[..., None], axis=-1)[..., 0]
    if fill is not None:
        taken = np.where(NamedArray(at.axes, inside).spread(order, both), taken, fill)
    return NamedArray(order, taken.astype(value.array.dtype))


def scatter(attrs: ScatterAttrs, operands: Sequence[NamedArray], dtype: DType) -> NamedArray:
    """The base with updates at positions, for each place along the axes that ride along."""
    base, at, update = operands
    size = base.sizes[attrs.axis]
    both = union([*operands])
    rows = tuple(name for name in both if name not in (attrs.axis, *attrs.over))
    shape = [both[name] for name in rows]
    result: Array = base.spread((*rows, attrs.axis), both).astype(NUMPY[dtype])
    order = (*rows, *attrs.over)
    positions = at.spread(order, both).reshape(*shape, -1)
    updates: Array = update.spread(order, both).reshape(*shape, -1).astype(NUMPY[dtype])
    for row in np.ndindex(*shape):
        for position, new in zip(positions[row], updates[row], strict=True):
            if 0 <= position < size:
                result[(*row, position)] = result[(*row, position)] + new if attrs.add else new
    return NamedArray((*rows, attrs.axis), result)


def concat(attrs: ConcatAttrs, operands: Sequence[NamedArray], dtype: DType) -> NamedArray:
    """One after another along an axis, or stacked along a new one."""
    parts = [
        value
        if not attrs.new
        else NamedArray((*value.axes, attrs.axis), np.asarray(value.array)[..., None])
        for value in operands
    ]
    others = [
        NamedArray(axes, np.empty([value.sizes[name] for name in axes]))
        for value in parts
        for axes in [tuple(name for name in value.axes if name != attrs.axis)]
    ]
    rest = union(others)
    order = (*rest, attrs.axis)
    arrays = [v.spread(order, rest | {attrs.axis: v.sizes[attrs.axis]}) for v in parts]
    return NamedArray(order, np.concatenate(arrays, axis=-1).astype(NUMPY[dtype]))
