"""Sets of rows, and values moved from one set to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.core import Axis, DType
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
    from numpy.typing import NDArray

    from ...dsl.ops import Attrs, OpDef
    from ...dsl.source import Span
    from ..graph import Edit, Graph
    from .regions import Region, Regions


class CannotError(Exception):
    """Something in the sweep that rows are not made for; the message says what."""


@dataclass(frozen=True, eq=False)
class RowSet:
    """Rows: each stands for a position on every one of `axes`; `axis` is the one along which the
    rows stand. `places` says which, a column for each of `axes`; `lookup` has the row's number at
    each place, -1 where there is none."""

    axes: tuple[str, ...]
    axis: Axis
    places: NDArray[np.int64]
    lookup: NDArray[np.int64]


class Rows:
    """All row sets of a sweep, the index inputs that they need, and conversions between them."""

    def __init__(self, edit: Edit, graph: Graph, regions: Regions) -> None:
        self.edit, self.graph, self.regions = edit, graph, regions
        self.sets: dict[tuple[tuple[str, ...], bytes], RowSet] = {}
        self.numbers: dict[str, NDArray[np.int64]] = {}
        self._made: dict[object, str] = {}
        self._sizes = {
            axis.name: axis.size for name in graph.in_order() for axis in graph.node(name).axes
        }

    # ---- sets

    def of(self, region: Region, axes: tuple[str, ...]) -> RowSet:
        """The rows of a region over some axes. Equal sets are one set."""
        regions = self.regions
        region = regions.where_any(region, regions.axes(region) - set(axes))
        mask = regions.array(regions.single(region))
        shape = {axis: sizes.evaluate(self.size(axis), regions.sizes) for axis in axes}
        array = mask.spread(axes, shape)
        key = (axes, array.tobytes())
        if key not in self.sets:
            places = np.argwhere(array)
            lookup = np.full(array.shape, -1, np.int64)
            lookup[tuple(places.T)] = np.arange(len(places))
            label = f"rows{len(self.sets)}"
            self.sets[key] = RowSet(axes, Axis(label, sizes.symbol(label)), places, lookup)
        return self.sets[key]

    def size(self, axis: str) -> sizes.Size:
        """The size of an axis of the graph."""
        return self._sizes[axis]

    # ---- nodes

    def put(self, op: OpDef, attrs: Attrs, operands: tuple[str, ...]) -> str:
        """A node, made once."""
        key = (op, repr(attrs), operands)
        if key not in self._made:
            cause = self.edit.node(operands[0])
            self._made[key] = self.edit.add(
                op, attrs, operands, span=cause.span, scope=cause.scope, made_by="sweep"
            )
        return self._made[key]

    def index(self, along: RowSet, numbers: NDArray[np.int64], span: Span) -> str:
        """An input that holds a number for each row, made once."""
        for name, known in self.numbers.items():
            if self.edit.node(name).axes == (along.axis,) and np.array_equal(known, numbers):
                return name
        attrs = InputAttrs((along.axis.name,), (along.axis,), DType.INT)
        name = self.edit.add(INPUT, attrs, (), span=span, made_by="sweep")
        self.edit.put(replace(self.edit.node(name), site=f"index{len(self.numbers)}"))
        self.numbers[name] = numbers
        return name

    def position(self, rows: RowSet, axis: str, span: Span) -> str:
        """Where each row is along one of its axes."""
        return self.index(rows, rows.places[:, rows.axes.index(axis)], span)

    def place(
        self,
        rows: RowSet,
        among: RowSet,
        span: Span,
        *,
        inner: str | None = None,
        at: tuple[str, int] | None = None,
    ) -> str:
        """The number that each row has among others (at the position `at` of an axis that it
        lacks), times the size of the axis `inner` plus its position there."""
        own = {axis: rows.places[:, i] for i, axis in enumerate(rows.axes)}
        if at is not None:
            own[at[0]] = np.full(
                len(rows.places), at[1] % among.lookup.shape[among.axes.index(at[0])]
            )
        numbers = among.lookup[tuple(own[axis] for axis in among.axes)]
        if (numbers < 0).any():
            raise CannotError("a row has no place among those that should hold it")
        if inner is not None:
            numbers = numbers * rows.lookup.shape[rows.axes.index(inner)] + own[inner]
        return self.index(rows, numbers, span)

    # ---- conversions

    def spread(self, name: str, rows: RowSet, *, among: tuple[str, ...] | None = None) -> str:
        """A value of the run without writes, once for each row; `among` are the only axes looked at."""
        node = self.edit.node(name)
        for axis in rows.axes if among is None else among:
            if axis in node.axis_names:
                name = self.put(
                    INDEX,
                    IndexAttrs(Gather(axis)),
                    (name, self.position(rows, axis, node.span)),
                )
        return name

    def _whole(self, name: str, rows: RowSet) -> str:
        """As `spread`, with the rows' axis even if the value is the same in all rows."""
        name = self.spread(name, rows)
        if rows.axis.name in self.edit.node(name).axis_names:
            return name
        place = self.position(rows, rows.axes[0], self.edit.node(name).span)
        always = self.put(MAP, MapAttrs("ge"), (place, place))
        return self.put(MAP, MapAttrs("where"), (always, name, name))

    def convert(self, value: str, old: RowSet, twin: str, new: RowSet) -> str:
        """A value in rows as it stands in other rows: where it has none, it is the twin's."""
        if old is new:
            return value
        if set(new.axes) == set(old.axes):
            place = self.place(old, new, self.edit.node(value).span)
            return self.put(
                SCATTER,
                ScatterAttrs(new.axis.name, (old.axis.name,), add=False),
                (self._whole(twin, new), place, value),
            )
        gone, come = set(old.axes) - set(new.axes), set(new.axes) - set(old.axes)
        if len(gone) == 1 and not come:
            return self._opened(value, old, twin, new, *gone)
        if len(come) == 1 and not gone:
            return self._closed(value, old, new, *come)
        raise CannotError("rows of one kind become rows of another")

    def _opened(self, value: str, old: RowSet, twin: str, new: RowSet, axis: str) -> str:
        """An axis that the rows stood for gets its own again."""
        base = self._whole(twin, new)
        if axis not in self.edit.node(base).axis_names:
            raise CannotError(f"`{axis}` is not on the value without writes")
        own = self.edit.node(base).size(axis)
        flat = Axis(f"{new.axis.name}_{axis}", sizes.multiply(new.axis.size, own))
        merged = self.put(RENAME, RenameAttrs((((new.axis.name, axis), (flat,)),)), (base,))
        place = self.place(old, new, self.edit.node(value).span, inner=axis)
        filled = self.put(
            SCATTER, ScatterAttrs(flat.name, (old.axis.name,), add=False), (merged, place, value)
        )
        return self.put(
            RENAME, RenameAttrs((((flat.name,), (new.axis, Axis(axis, own))),)), (filled,)
        )

    def _closed(self, value: str, old: RowSet, new: RowSet, axis: str) -> str:
        """Rows come to stand for one more axis."""
        node = self.edit.node(value)
        if axis not in node.axis_names:
            place = self.place(new, old, node.span)
            return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), (value, place))
        flat = Axis(f"{old.axis.name}_{axis}", sizes.multiply(old.axis.size, node.size(axis)))
        merged = self.put(RENAME, RenameAttrs((((old.axis.name, axis), (flat,)),)), (value,))
        place = self.place(new, old, node.span, inner=axis)
        return self.put(INDEX, IndexAttrs(Gather(flat.name)), (merged, place))

    def at(self, value: str, old: RowSet, new: RowSet, axis: str, position: int) -> str:
        """Those rows that are at one position of an axis."""
        place = self.place(new, old, self.edit.node(value).span, at=(axis, position))
        return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), (value, place))

    def members(self, value: str, rows: RowSet, twin: str, swept: tuple[str, ...]) -> str:
        """The value along the swept axes again."""
        base = twin
        for axis in swept:
            index = self.regions.mask(IOTA, IotaAttrs(Axis(axis, self.size(axis))), ())
            always = self.regions.mask(MAP, MapAttrs("ge"), (index, index))
            base = self.put(MAP, MapAttrs("where"), (always, base, base))
        flat = Axis("members", sizes.product(self.size(axis) for axis in swept))
        merged = self.put(RENAME, RenameAttrs(((swept, (flat,)),)), (base,))
        numbers = np.ravel_multi_index(tuple(rows.places.T), rows.lookup.shape).astype(np.int64)
        place = self.index(rows, numbers, self.edit.node(value).span)
        filled = self.put(
            SCATTER, ScatterAttrs(flat.name, (rows.axis.name,), add=False), (merged, place, value)
        )
        back = tuple(Axis(axis, self.size(axis)) for axis in swept)
        return self.put(RENAME, RenameAttrs((((flat.name,), back),)), (filled,))
