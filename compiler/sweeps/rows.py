"""Sets of rows, and values moved from one set to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.core import Axis, DType, names
from ...dsl.ops import (
    INDEX,
    INPUT,
    IOTA,
    MAP,
    RENAME,
    SCATTER,
    Gather,
    IndexAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    RenameAttrs,
    ScatterAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...dsl.core import Axes
    from ...dsl.ops import Attrs, OpDef
    from ...dsl.source import Span
    from ..graph import Edit
    from .regions import Region, Regions

    Numbers = NDArray[np.int64]


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
        self._inputs: dict[tuple[str, bytes], str] = {}
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

    def _index(self, along: RowSet, numbers: Numbers, span: Span) -> str:
        """An input that holds a number for each row, made once."""
        key = (along.axis.name, numbers.tobytes())
        if key not in self._inputs:
            attrs = InputAttrs((along.axis.name,), (along.axis,), DType.INT)
            name = self.edit.add(INPUT, attrs, span=span, made_by="sweep")
            self.edit.put(replace(self.edit.node(name), site=f"index{len(self._inputs)}"))
            self._inputs[key] = name
            self.numbers[name] = numbers
        return self._inputs[key]

    def _place(
        self,
        rows: RowSet,
        among: RowSet,
        span: Span,
        *,
        inner: str | None = None,
        at: Mapping[str, Numbers] | None = None,
    ) -> str:
        """The number that each row has among others, times the size of the axis `inner` plus its
        position there. `at` are positions that are not the row's own."""
        own = {axis: rows.along(axis) for axis in rows.axes} | dict(at or {})
        numbers = among.lookup[tuple(own[axis] for axis in among.axes)]
        if (numbers < 0).any():
            raise CannotError("a row has no place among those that should hold it")
        if inner is not None:
            numbers = numbers * rows.size(inner) + own[inner]
        return self._index(rows, numbers, span)

    # ---- conversions

    def spread(self, name: str, rows: RowSet, axes: tuple[str, ...] | None = None) -> str:
        """A value of the run without writes, once for each row; `axes` are the only ones looked
        at."""
        node = self.edit.node(name)
        for axis in rows.axes if axes is None else axes:
            if axis in node.axis_names:
                position = self._index(rows, rows.along(axis), node.span)
                name = self.put(INDEX, IndexAttrs(Gather(axis)), name, position)
        return name

    def _whole(self, name: str, rows: RowSet) -> str:
        """As `spread`, with the rows' axis even if the value is the same in all rows."""
        name = self.spread(name, rows)
        node = self.edit.node(name)
        if rows.axis.name in node.axis_names:
            return name
        place = self._index(rows, rows.along(rows.axes[0]), node.span)
        always = self.put(MAP, MapAttrs("ge"), place, place)
        return self.put(MAP, MapAttrs("where"), always, name, name)

    def convert(self, value: str, old: RowSet, twin: str, new: RowSet) -> str:
        """A value in rows as it stands in other rows: where it has none, it is the twin's."""
        if old is new:
            return value
        gone, come = set(old.axes) - set(new.axes), set(new.axes) - set(old.axes)
        if come:
            between = self.members(new)
            value = self.convert(value, old, twin, between)
            return self._closed(value, between, new, *come)
        value, old = self._wanted(value, old, new)
        if gone:
            return self._opened(value, old, twin, new, *gone)
        if len(old) == len(new):
            return value
        place = self._place(old, new, self.edit.node(value).span)
        return self._filled(self._whole(twin, new), new.axis.name, place, value, old)

    def _wanted(self, value: str, old: RowSet, new: RowSet) -> tuple[str, RowSet]:
        """Only those rows that the new ones have something of."""
        there = (new.lookup >= 0).reshape(new.lookup.shape + (1,) * (len(old.axes) - len(new.axes)))
        left = self._at(old.axes, (old.lookup >= 0) & there)
        if left is old:
            return value, old
        place = self._place(left, old, self.edit.node(value).span)
        return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), value, place), left

    def _filled(self, base: str, axis: str, place: str, value: str, rows: RowSet) -> str:
        """A value along `axis`, with rows of another put at their places."""
        attrs = ScatterAttrs(axis, (rows.axis.name,), add=False)
        return self.put(SCATTER, attrs, base, place, value)

    def _opened(self, value: str, old: RowSet, twin: str, new: RowSet, axis: str) -> str:
        """An axis that the rows stood for gets its own again."""
        base = self._whole(twin, new)
        if axis not in self.edit.node(base).axis_names:
            raise CannotError(f"`{axis}` is not on the value without writes")
        own = Axis(axis, self.edit.node(base).size(axis))
        flat = Axis(f"{new.axis.name}_{axis}", sizes.multiply(new.axis.size, own.size))
        merged = self.put(RENAME, RenameAttrs((((new.axis.name, axis), (flat,)),)), base)
        place = self._place(old, new, self.edit.node(value).span, inner=axis)
        filled = self._filled(merged, flat.name, place, value, old)
        return self.put(RENAME, RenameAttrs((((flat.name,), (new.axis, own)),)), filled)

    def _closed(self, value: str, old: RowSet, new: RowSet, axis: str) -> str:
        """Rows come to stand for one more axis."""
        node = self.edit.node(value)
        if axis not in node.axis_names:
            place = self._place(new, old, node.span)
            return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), value, place)
        flat = Axis(f"{old.axis.name}_{axis}", sizes.multiply(old.axis.size, node.size(axis)))
        merged = self.put(RENAME, RenameAttrs((((old.axis.name, axis), (flat,)),)), value)
        place = self._place(new, old, node.span, inner=axis)
        return self.put(INDEX, IndexAttrs(Gather(flat.name)), merged, place)

    def at(self, value: str, old: RowSet, new: RowSet, axis: str, position: int) -> str:
        """Those rows that are at one position of an axis."""
        at = np.full(len(new), position % old.size(axis))
        place = self._place(new, old, self.edit.node(value).span, at={axis: at})
        return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), value, place)

    def shifted(self, value: str, old: RowSet, new: RowSet, axis: str, start: sizes.Size) -> str:
        """Those rows that are in a part of an axis, renumbered from its start."""
        at = new.along(axis) + sizes.evaluate(start, self.regions.sizes)
        place = self._place(new, old, self.edit.node(value).span, at={axis: at})
        return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), value, place)

    def apart(self, value: str, rows: RowSet, twin: str) -> str:
        """The value along the swept axes again."""
        base = twin
        for axis in self.swept:
            index = self.regions.mask(IOTA, IotaAttrs(axis))
            always = self.regions.mask(MAP, MapAttrs("ge"), (index, index))
            base = self.put(MAP, MapAttrs("where"), always, base, base)
        flat = Axis("members", sizes.product(axis.size for axis in self.swept))
        merged = self.put(RENAME, RenameAttrs(((names(self.swept), (flat,)),)), base)
        numbers = np.ravel_multi_index(tuple(rows.places.T), rows.lookup.shape).astype(np.int64)
        place = self._index(rows, numbers, self.edit.node(value).span)
        filled = self._filled(merged, flat.name, place, value, rows)
        return self.put(RENAME, RenameAttrs((((flat.name,), self.swept),)), filled)
