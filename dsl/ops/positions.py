"""Operations on axes and positions: renames, selections, joins, functions along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import sizes
from ..core import Axes, Axis, DType, names, without
from ..functions import ALONG, MAPS
from .types import Operand, OpError, Typed, broadcast, distinct, has, said

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class RenameAttrs:
    """Each pair turns old axes into new ones: a rename, a split, a merge (first is major).

    All pairs act at once. Without pairs it is the identity: the same value at an address of its
    own.
    """

    pairs: tuple[tuple[tuple[str, ...], Axes], ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """One position; the axis is gone. A negative one counts from the end."""

    axis: str
    at: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Positions from `start` up to `stop` (0 <= start <= stop <= size), renumbered from 0."""

    axis: str
    start: sizes.Size
    stop: sizes.Size


@dataclass(frozen=True, slots=True)
class Gather:
    """Positions given by the second operand (int), whose axes take the axis's place.

    Negative positions are out of range. Out of range gives `fill` if there is one, else is an
    error.
    """

    axis: str
    fill: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Position `offset + sum of coefficient * index` over `terms`, axes that take the axis's place.

    Outside stands `fill`.
    """

    axis: str
    terms: tuple[tuple[Axis, int], ...]
    offset: sizes.Size
    fill: float


@dataclass(frozen=True, slots=True)
class IndexAttrs:
    """Reads positions along one axis."""

    how: Select | Slice | Gather | Window


@dataclass(frozen=True, slots=True)
class ScatterAttrs:
    """Writes at positions: operands (base, index, update).

    Along `over`, axes that base lacks, each update goes to the position of `axis` that index (int)
    says; all other axes ride along, and the result has them too. Out of range writes nothing.
    Adds, or sets when `add` is false (positions are then distinct).
    """

    axis: str
    over: tuple[str, ...]
    add: bool = True


@dataclass(frozen=True, slots=True)
class ConcatAttrs:
    """Operands one after another along `axis`; with `new` they are stacked along a new axis."""

    axis: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class AlongAttrs:
    """A function along axes that keeps them: softmax, cumsum, sort, rank, flip, fft, ..."""

    fn: str
    axes: tuple[str, ...]


def renamed(attrs: RenameAttrs, operands: Sequence[Operand]) -> Typed:
    """New axes in the place of old ones."""
    axes, dtype = operands[0]
    renamed: dict[str, Axes] = {axis.name: (axis,) for axis in axes}
    for old, new in attrs.pairs:
        has(axes, old)
        before = sizes.product(axis.size for axis in axes if axis.name in old)
        after = sizes.product(axis.size for axis in new)
        if isinstance(before, int) and isinstance(after, int) and before != after:
            raise OpError(f"{', '.join(old)} has {before} elements, {said(new)} {after}")
        place = next(axis.name for axis in axes if axis.name in old)
        renamed |= dict.fromkeys(old, ()) | {place: new}
    result = tuple(axis for own in axes for axis in renamed[own.name])
    distinct(result)
    return result, dtype


def indexed(attrs: IndexAttrs, operands: Sequence[Operand]) -> Typed:
    """The axes that are left, and those of an index."""
    axes, dtype = operands[0]
    how = attrs.how
    has(axes, [how.axis])
    place = names(axes).index(how.axis)
    new: Axes
    match how:
        case Select():
            new = ()
        case Slice():
            new = (Axis(how.axis, sizes.subtract(how.stop, how.start)),)
        case Gather():
            rest = without(axes, [how.axis])
            index = operands[1][0]
            broadcast(rest, index)
            new = tuple(axis for axis in index if axis.name not in names(rest))
        case Window():
            new = tuple(axis for axis, _ in how.terms)
    result = (*axes[:place], *new, *axes[place + 1 :])
    distinct(result)
    return result, dtype


def scattered(attrs: ScatterAttrs, operands: Sequence[Operand]) -> Typed:
    """The axes of the base and of what else is there."""
    (base, dtype), (index, _), (update, added) = operands
    has(base, [attrs.axis])
    rest = without(base, [attrs.axis])
    both = broadcast(rest, index, update)
    has(both, attrs.over)
    riding = without(both, (*names(rest), *attrs.over))
    if {attrs.axis, *names(rest)} & {*attrs.over, *names(riding)}:
        raise OpError(f"{attrs.over} and {names(riding)} should not be in {names(base)}")
    dtype = MAPS["where"].dtype([DType.BOOL, dtype, added])
    return (*riding, *base), dtype


def joined(attrs: ConcatAttrs, operands: Sequence[Operand]) -> Typed:
    """The axes of all, with one as long as all together, or a new one."""
    rest = broadcast(*(without(axes, [attrs.axis]) for axes, _ in operands))
    total: sizes.Size = len(operands)
    if not attrs.new:
        total = 0
        for axes, _ in operands:
            has(axes, [attrs.axis])
            total = sizes.add(total, next(a.size for a in axes if a.name == attrs.axis))
    dtype = MAPS["where"].dtype([DType.BOOL, *(d for _, d in operands)])
    if attrs.new:
        if any(axis.name == attrs.axis for axes, _ in operands for axis in axes):
            raise OpError(f"the axis `{attrs.axis}` is there already")
        return (*rest, Axis(attrs.axis, total)), dtype
    order = names(max((axes for axes, _ in operands), key=len))
    both = {axis.name: axis for axis in (*rest, Axis(attrs.axis, total))}
    return tuple(both.pop(n) for n in order) + tuple(both.values()), dtype


def moved_along(attrs: AlongAttrs, operands: Sequence[Operand]) -> Typed:
    """The axes of the operand."""
    axes, dtype = operands[0]
    has(axes, attrs.axes)
    return axes, ALONG[attrs.fn].dtype([dtype])
