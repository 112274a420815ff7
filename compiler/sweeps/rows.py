"""Sets of rows, and values moved from one set to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.core import Axis, DType, names
from ...dsl.ops import (
    CONCAT,
    INDEX,
    INPUT,
    RENAME,
    ConcatAttrs,
    Gather,
    IndexAttrs,
    InputAttrs,
    RenameAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ...dsl.core import Axes
    from ...dsl.ops import Attrs, OpDef
    from ...dsl.source import Span
    from ..graph import Edit
    from ..reference import NamedArray
    from .regions import Region, Regions

    Numbers = NDArray[np.int64]

Part = tuple[str, tuple[str, ...]]  # a value, and the axes along which it is read
SOURCE = "source"  # the axis along which values stand one after another, to be taken from


class CannotError(Exception):
    """Something in the sweep that rows are not made for; the message says what."""


@dataclass(frozen=True, eq=False)
class RowSet:
    """Rows: each stands for a position on every one of `axes`; `axis` is the one along which the
    rows stand. `places` says which, a column for each of `axes`; `lookup` has the row's number at
    each place, -1 where there is none."""

    axes: tuple[str, ...]
    axis: Axis
    places: Numbers
    lookup: Numbers

    def along(self, axis: str) -> Numbers:
        """Where each row is along one of its axes."""
        return self.places[:, self.axes.index(axis)]

    def size(self, axis: str) -> int:
        """The size of one of its axes."""
        return int(self.lookup.shape[self.axes.index(axis)])

    def __len__(self) -> int:
        return len(self.places)


class Rows:
    """All row sets of a sweep, the index inputs that they need, and conversions between them."""

    def __init__(self, edit: Edit, regions: Regions, swept: Axes) -> None:
        self.edit, self.regions, self.swept = edit, regions, swept
        self.sets: dict[tuple[tuple[str, ...], tuple[int, ...], bytes], RowSet] = {}
        self.numbers: dict[str, Numbers] = {}
        self._inputs: dict[tuple[tuple[str, ...], bytes], str] = {}
        self._made: dict[object, str] = {}

    # ---- sets

    def of(self, region: Region, axes: Axes) -> RowSet:
        """The rows of a region over some axes."""
        return self._at(names(axes), self.mask(region, axes))

    def mask(self, region: Region, axes: Axes) -> NDArray[np.bool_]:
        """Where on these axes the region is."""
        regions = self.regions
        region = regions.where_any(region, regions.axes(region) - set(names(axes)))
        shape = {axis.name: sizes.evaluate(axis.size, regions.sizes) for axis in axes}
        return regions.array(regions.single(region)).spread(names(axes), shape)

    def _at(self, axes: tuple[str, ...], mask: NDArray[np.bool_]) -> RowSet:
        """The rows where a mask holds; equal sets are one set."""
        key = (axes, mask.shape, mask.tobytes())
        if key not in self.sets:
            places = np.argwhere(mask)
            lookup = np.full(mask.shape, -1, np.int64)
            lookup[tuple(places.T)] = np.arange(len(places))
            label = f"rows{len(self.sets)}"
            self.sets[key] = RowSet(axes, Axis(label, sizes.symbol(label)), places, lookup)
        return self.sets[key]

    def members(self, rows: RowSet) -> RowSet:
        """The members that have any row."""
        swept = names(self.swept)
        there = np.any(rows.lookup >= 0, axis=tuple(range(len(swept), len(rows.axes))))
        return self._at(swept, np.asarray(there))

    # ---- nodes

    def put(self, op: OpDef, attrs: Attrs, *operands: str) -> str:
        """A node, made once."""
        key = (op, repr(attrs), operands)
        if key not in self._made:
            cause = self.edit.node(operands[0])
            self._made[key] = self.edit.add(
                op, attrs, operands, span=cause.span, scope=cause.scope, made_by="sweep"
            )
        return self._made[key]

    def _index(self, along: Axes, numbers: Numbers, span: Span) -> str:
        """An input that holds a number for each position of some axes, made once."""
        key = (names(along), numbers.tobytes())
        if key not in self._inputs:
            attrs = InputAttrs(names(along), along, DType.INT)
            name = self.edit.add(INPUT, attrs, span=span, made_by="sweep")
            self.edit.put(replace(self.edit.node(name), site=f"index{len(self._inputs)}"))
            self._inputs[key] = name
            self.numbers[name] = numbers
        return self._inputs[key]

    # ---- conversions

    def spread(self, name: str, rows: RowSet) -> str:
        """A value of the run without writes, once for each row."""
        node = self.edit.node(name)
        for axis in rows.axes:
            if axis in node.axis_names:
                position = self._index((rows.axis,), rows.along(axis), node.span)
                name = self.put(INDEX, IndexAttrs(Gather(axis)), name, position)
        return name

    def repeated(self, name: str, rows: RowSet) -> str:
        """A value that is the same in all rows, for each of them."""
        numbers = np.zeros(len(rows), np.int64)
        return self._taken([(name, ())], numbers, (rows.axis,), self.edit.node(name).span)

    def everywhere(self, name: str) -> str:
        """A value that is the same in all members, along the swept axes."""
        shape = [sizes.evaluate(axis.size, self.regions.sizes) for axis in self.swept]
        numbers = np.zeros(shape, np.int64)
        return self._taken([(name, ())], numbers, self.swept, self.edit.node(name).span)

    def convert(self, value: str, old: RowSet, twin: str, new: RowSet) -> str:
        """A value in rows as it stands in other rows: where it has none, it is the twin's."""
        gone = [axis for axis in old.axes if axis not in new.axes]
        come = [axis for axis in new.axes if axis not in old.axes]
        if old is new:
            return value
        if gone and come:
            between = self.members(old)
            return self.convert(self.convert(value, old, twin, between), between, twin, new)
        places = {axis: new.along(axis) for axis in new.axes}
        onto: Axes = (new.axis,)
        for axis in gone:  # it gets its own positions again
            size, own = old.size(axis), self.edit.node(twin)
            places = {other: along[:, None].repeat(size, 1) for other, along in places.items()}
            places[axis] = np.arange(size)[None].repeat(len(new), 0)
            onto = (new.axis, Axis(axis, own.size(axis) if axis in own.axis_names else size))
        numbers = old.lookup[tuple(places[axis] for axis in old.axes)]
        node = self.edit.node(value)
        source: list[Part] = [(value, (old.axis.name,))]
        for axis in come:
            if axis in node.axis_names:
                size = new.size(axis)
                numbers = np.where(numbers < 0, -1, numbers * size + places[axis])
                source = [(value, (old.axis.name, axis))]
        if (numbers < 0).any():
            along = next((a for a in places if a in self.edit.node(twin).axis_names), None)
            others = np.zeros_like(numbers) if along is None else places[along]
            length = 1 if along is None else (new if along in new.axes else old).size(along)
            numbers = np.where(numbers < 0, others, numbers + length)
            source.insert(0, (twin, () if along is None else (along,)))
        return self._taken(source, numbers, onto, node.span)

    def _taken(
        self,
        parts: Sequence[Part],
        numbers: Numbers,
        onto: Axes,
        span: Span,
    ) -> str:
        """Positions of several values one after another, each along the axes beside it."""
        joined = []
        for name, axes in parts:
            if not axes:
                joined.append(self.put(CONCAT, ConcatAttrs(SOURCE, new=True), name))
                continue
            node = self.edit.node(name)
            source = Axis(SOURCE, sizes.product(node.size(axis) for axis in axes))
            joined.append(self.put(RENAME, RenameAttrs(((axes, (source,)),)), name))
        whole = joined[0] if len(joined) == 1 else self.put(CONCAT, ConcatAttrs(SOURCE), *joined)
        return self.put(INDEX, IndexAttrs(Gather(SOURCE)), whole, self._index(onto, numbers, span))

    def picked(self, value: str, old: RowSet, new: RowSet, at: Mapping[str, Numbers]) -> str:
        """Each new row is an old one: the one that is at `at`, and else where it is itself."""
        own = {axis: new.along(axis) for axis in new.axes} | dict(at)
        numbers = old.lookup[tuple(own[axis] for axis in old.axes)]
        if (numbers < 0).any():
            raise CannotError("a row has no place among those that should hold it")
        span = self.edit.node(value).span
        return self._taken([(value, (old.axis.name,))], numbers, (new.axis,), span)

    def within(self, rows: RowSet, mask: NamedArray) -> tuple[RowSet, RowSet] | None:
        """Those rows at which a mask holds, and the others; None if rows do not decide about it."""
        if not set(mask.axes) <= set(rows.axes):
            return None
        shape = dict(zip(rows.axes, rows.lookup.shape, strict=True))
        there, holds = rows.lookup >= 0, mask.spread(rows.axes, shape)
        return self._at(rows.axes, there & holds), self._at(rows.axes, there & ~holds)

    def joined(self, parts: Sequence[tuple[str, RowSet]], rows: RowSet) -> str:
        """Values in rows that have no row in common as one, in rows that are all of these."""
        numbers = np.full(len(rows), -1, np.int64)
        start = 0
        for _, part in parts:
            own = part.lookup[tuple(rows.places.T)]
            numbers = np.where(own < 0, numbers, own + start)
            start += len(part)
        source = [(value, (part.axis.name,)) for value, part in parts]
        return self._taken(source, numbers, (rows.axis,), self.edit.node(parts[0][0]).span)

    def apart(self, value: str, rows: RowSet, twin: str) -> str:
        """The value along the swept axes again."""
        numbers = rows.lookup
        source: list[Part] = [(value, (rows.axis.name,))]
        if (numbers < 0).any():
            source.insert(0, (twin, ()))
            numbers = numbers + 1
        return self._taken(source, numbers, self.swept, self.edit.node(value).span)
