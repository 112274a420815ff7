"""Sets of rows, and values moved from one set to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
    from ...dsl.ops import Attrs, OpDef
    from ..graph import Edit, Graph
    from .regions import Region, Regions


class CannotError(Exception):
    """Something in the sweep that rows are not made for; the message says what."""


@dataclass(frozen=True, slots=True)
class RowSet:
    """The true places of a mask, in order. Each stands for a position on every one of `axes`;
    `axis` is the one along which the rows stand."""

    mask: str
    axes: tuple[str, ...]
    axis: Axis


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Numbers that the runtime computes from masks before the model runs, one for each row of
    `mask`: its position along `axis`; or its place among the rows of `other` (at the position `at`
    of an axis that the rows of `mask` lack), times the size of `inner` plus its position there."""

    mask: str
    axis: str | None = None
    other: str | None = None
    inner: str | None = None
    at: tuple[str, int] | None = None


class Rows:
    """All row sets of a sweep, the index inputs that they need, and conversions between them."""

    def __init__(self, edit: Edit, graph: Graph, regions: Regions) -> None:
        self.edit, self.graph, self.regions = edit, graph, regions
        self.sets: dict[tuple[str, tuple[str, ...]], RowSet] = {}
        self.indices: dict[str, RowIndex] = {}
        self._made: dict[object, str] = {}
        self._sizes = {
            axis.name: axis.size for name in graph.in_order() for axis in graph.node(name).axes
        }

    # ---- sets

    def of(self, region: Region, axes: tuple[str, ...]) -> RowSet:
        """The rows of a region over some axes, made once."""
        regions = self.regions
        region = regions.simple(regions.where_any(region, regions.axes(region) - set(axes)))
        mask = self._over(regions.single(region), axes)
        if (mask, axes) not in self.sets:
            label = f"rows{len(self.sets)}"
            self.sets[mask, axes] = RowSet(mask, axes, Axis(label, sizes.symbol(label)))
        return self.sets[mask, axes]

    def _over(self, mask: str, axes: tuple[str, ...]) -> str:
        """The mask with all the axes: where it lacks one, it holds at all its positions."""
        for axis in axes:
            if axis not in self.edit.node(mask).axis_names:
                index = self.regions.mask(IOTA, IotaAttrs(Axis(axis, self.size(axis))), ())
                always = self.regions.mask(MAP, MapAttrs("ge"), (index, index))
                mask = self.regions.mask(MAP, MapAttrs("and"), (mask, always))
        return mask

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

    def index(self, what: RowIndex) -> str:
        """The input for these numbers, made once."""
        for name, known in self.indices.items():
            if known == what:
                return name
        along = next(rows for rows in self.sets.values() if rows.mask == what.mask)
        attrs = InputAttrs((along.axis.name,), (along.axis,), DType.INT)
        name = self.edit.add(INPUT, attrs, (), span=self.edit.node(what.mask).span, made_by="sweep")
        self.edit.put(replace(self.edit.node(name), site=f"index{len(self.indices)}"))
        self.indices[name] = what
        return name

    # ---- conversions

    def spread(self, name: str, rows: RowSet, *, among: tuple[str, ...] | None = None) -> str:
        """A value of the run without writes, once for each row; `among` are the only axes looked at."""
        node = self.edit.node(name)
        for axis in rows.axes if among is None else among:
            if axis in node.axis_names:
                name = self.put(
                    INDEX,
                    IndexAttrs(Gather(axis)),
                    (name, self.index(RowIndex(rows.mask, axis=axis))),
                )
        return name

    def _whole(self, name: str, rows: RowSet) -> str:
        """As `spread`, with the rows' axis even if the value is the same in all rows."""
        name = self.spread(name, rows)
        if rows.axis.name in self.edit.node(name).axis_names:
            return name
        place = self.index(RowIndex(rows.mask, axis=rows.axes[0]))
        always = self.put(MAP, MapAttrs("ge"), (place, place))
        return self.put(MAP, MapAttrs("where"), (always, name, name))

    def convert(self, value: str, old: RowSet, twin: str, new: RowSet) -> str:
        """A value in rows as it stands in other rows: where it has none, it is the twin's."""
        if old is new:
            return value
        if set(new.axes) == set(old.axes):
            place = self.index(RowIndex(old.mask, other=new.mask))
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
        place = self.index(RowIndex(old.mask, other=new.mask, inner=axis))
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
            place = self.index(RowIndex(new.mask, other=old.mask))
            return self.put(INDEX, IndexAttrs(Gather(old.axis.name)), (value, place))
        flat = Axis(f"{old.axis.name}_{axis}", sizes.multiply(old.axis.size, node.size(axis)))
        merged = self.put(RENAME, RenameAttrs((((old.axis.name, axis), (flat,)),)), (value,))
        place = self.index(RowIndex(new.mask, other=old.mask, inner=axis))
        return self.put(INDEX, IndexAttrs(Gather(flat.name)), (merged, place))

    def at(self, value: str, old: RowSet, new: RowSet, axis: str, position: int) -> str:
        """Those rows that are at one position of an axis."""
        place = self.index(RowIndex(new.mask, other=old.mask, at=(axis, position)))
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
        place = self.index(RowIndex(rows.mask, inner="*"))
        filled = self.put(
            SCATTER, ScatterAttrs(flat.name, (rows.axis.name,), add=False), (merged, place, value)
        )
        back = tuple(Axis(axis, self.size(axis)) for axis in swept)
        return self.put(RENAME, RenameAttrs((((flat.name,), back),)), (filled,))
