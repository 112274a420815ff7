"""Rewrites a sweep so that each value is computed in rows: the members and positions at which it
differs. Needs a graph with one result, which carries the swept axes.

What cannot be said in rows leaves the sweep as it is: every member whole, along the swept axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.core import names
from ...dsl.ops import (
    CONST,
    AlongAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    ItemAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    Select,
    Slice,
    StopAttrs,
)
from ..context import Context
from ..lift import retyped
from ..passes.prune import prune
from .regions import Region, Regions
from .rows import CannotError, Rows, RowSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import Axes, Axis, Node
    from ..graph import Edit, Graph
    from ..reference import NamedArray
    from .rows import Numbers

Layout = dict[str, str | None]

WORTH = 0.75  # of the positions of its members, at most so many are kept as rows of their own


@dataclass(frozen=True, slots=True)
class Packed:
    """The rewritten graph, the values of its new inputs by node name, and its row sets.

    `first` is the address of the first value that differs, `prefix` the number of operations that
    are the same in all members, `positions` the axes that rows stand for besides the swept ones.
    `layout` says by node which position its rows stand for, if any.
    """

    graph: Graph
    numbers: dict[str, Numbers]
    sets: tuple[RowSet, ...]
    first: str
    prefix: int
    positions: tuple[str, ...]
    layout: Layout

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each of the new sizes counts."""
        return {rows.axis.name: len(rows) for rows in self.sets}

    def rows_within(self, box: Sequence[tuple[int, int]]) -> dict[str, int]:
        """How many of these rows are of members that lie in a range of each variable."""
        where = tuple(slice(start, stop) for start, stop in box)
        return {
            rows.axis.name: int(np.count_nonzero(rows.lookup[where] >= 0)) for rows in self.sets
        }


def pack(
    graph: Graph,
    given: Mapping[str, NamedArray],
    lengths: Mapping[str, int],
    layout: Layout | None = None,
) -> Packed | str:
    """The sweep in rows; or why it cannot be.

    `given` are the values of the swept variables by node name, in the order of the variables, and
    `lengths` the run-time sizes: which rows there are follows from them alone. With the `layout`
    of the whole, some of its members become the same graph as all of them.
    """
    swept = tuple(axis for name in given for axis in graph.node(name).axes)
    with graph.edit() as edit:
        work = _Pack(edit, graph, swept, Regions(edit, names(swept), given, lengths), layout)
        try:
            for name in graph.in_order():
                work.visit(name)
            result = work.result()
        except CannotError as reason:
            return str(reason)
        edit.set_results([result])
    packed = prune(edit.graph, Context())
    used = {axis for name in packed.in_order() for axis in packed.node(name).axis_names}
    sets = [rows for rows in work.rows.sets.values() if rows.axis.name in used]
    along = dict.fromkeys(axis for rows in sets for axis in rows.axes[len(swept) :])
    first = graph.node(next(iter(work.values), graph.results[0]))
    return Packed(
        packed,
        {name: numbers for name, numbers in work.rows.numbers.items() if name in packed},
        tuple(sets),
        first.site or f"the write at {first.span}",
        len(graph) - len(work.values) - len(work.free),
        tuple(along),
        work.layout,
    )


class _Pack:
    def __init__(
        self,
        edit: Edit,
        graph: Graph,
        swept: Axes,
        regions: Regions,
        wanted: Layout | None = None,
    ) -> None:
        self.wanted, self.layout = wanted, Layout()
        self.edit, self.graph, self.swept, self.regions = edit, graph, swept, regions
        self.rows = Rows(edit, regions, swept)
        self.values: dict[str, tuple[str, RowSet]] = {}
        self.free: set[str] = set()  # other in every member, and everywhere
        self.still: set[str] = set()  # in no member other than in the run without writes
        self.freed: dict[tuple[str, str], str] = {}
        self.twins: dict[str, str] = {}
        self.known: dict[object, str] = {}

    def visit(self, name: str) -> None:
        """Put one value in rows, if it is one of the sweep's."""
        region = self.regions.visit(name)
        node, operands = self.graph.node(name), self.graph.operands(name)
        if region is None:
            if not self.still.isdisjoint(operands):
                self.still.add(name)
            elif name not in self.regions.closed:
                self.known.setdefault((node.op, repr(node.attrs), operands), name)
            return
        if region.everywhere:  # it may still stand only where something is written
            self.free.add(name)
            return
        self.regions.found[name] = region = self.regions.simple(region)
        rows = self._layout(node, operands, region)
        if not len(rows):
            self.still.add(name)
            del self.regions.found[name]
            return
        self.values[name] = (self._compute(node, operands, rows), rows)
        self.twin(name)

    def result(self) -> str:
        """The result along the swept axes."""
        name = self.graph.results[0]
        if name in self.free:
            raise CannotError("what is swept reaches every value, not only those written")
        if name not in self.values:
            return self.rows.everywhere(self.twin(name))
        value, rows = self.values[name]
        members = self.rows.of(self.regions.found[name], self.swept)
        value = self.rows.convert(value, rows, self.twin(name), members)
        return self.rows.apart(value, members, self.twin(name))

    # ---- which rows

    def _layout(self, node: Node, operands: tuple[str, ...], region: Region) -> RowSet:
        """Members; and positions too, where the value differs along one such axis only, at a part
        of its positions, and the operation is by itself at each."""
        members = self.rows.of(region, self.swept)
        if self.wanted is not None and node.name in self.wanted:
            part = [axis for axis in node.axes if axis.name == self.wanted[node.name]]
        else:
            spoken = self.regions.axes(region) - set(names(self.swept))
            part = [a for a in node.axes if a.name in spoken and self._is_part(region, a)]
        apart = len(part) == 1 and self._is_apart(node, operands, part[0].name)
        self.layout[node.name] = part[0].name if apart else None
        return self.rows.of(region, (*self.swept, part[0])) if apart else members

    def _is_part(self, region: Region, axis: Axis) -> bool:
        """Whether few enough positions of the axis are in the region."""
        mask = self.rows.mask(region, (*self.swept, axis))
        return bool(mask.sum() <= WORTH * mask.any(-1).sum() * mask.shape[-1])

    def _is_apart(self, node: Node, operands: tuple[str, ...], axis: str) -> bool:
        """Whether each position of the axis is computed by itself."""
        match node.attrs:
            case ContractAttrs():
                lifted = [o for o in operands if o in self.values]
                return len(lifted) == 1 and axis in self.graph.node(lifted[0]).axis_names
            case RenameAttrs(pairs):
                return all(axis not in names(new) for _, new in pairs)
            case IndexAttrs(Select(picked)):
                return picked not in self._rows_of(operands[0])
            case IndexAttrs(Slice(cut)) if cut == axis:
                return axis in self._rows_of(operands[0])
            case IndexAttrs(how):
                return not isinstance(how, Gather) and how.axis != axis
            case MapAttrs() | StopAttrs() | ReduceAttrs() | AlongAttrs() | ConcatAttrs():
                return all(
                    axis in self._rows_of(o) or axis not in self.graph.node(o).axis_names
                    for o in operands
                    if o in self.values
                )
        return False

    def _rows_of(self, name: str) -> tuple[str, ...]:
        """The axes that a value's rows stand for."""
        return self.values[name][1].axes if name in self.values else ()

    # ---- the run without writes

    def twin(self, name: str) -> str:
        """The value in the run without writes."""
        if name not in self.values and name not in self.still:
            return name
        if name not in self.twins:
            node, operands = self.graph.node(name), self.graph.operands(name)
            if self.regions.is_write(node, operands):
                self.twins[name] = self.twin(operands[2])
            elif name in self.regions.off:
                self.twins[name] = self.regions.mask(CONST, ConstAttrs(False))
            else:
                self.twins[name] = self._same(node, tuple(self.twin(o) for o in operands))
        return self.twins[name]

    def _same(self, node: Node, operands: tuple[str, ...]) -> str:
        """The node that computes this already, or a new one."""
        key = (node.op, repr(node.attrs), operands)
        if key not in self.known:
            self.known[key] = self._like(node, operands)
        return self.known[key]

    def _like(self, node: Node, operands: tuple[str, ...]) -> str:
        """The same operation on other operands, with the type that they give."""
        typed = retyped(node, [self.edit.node(o) for o in operands])
        return self.edit.add(
            node.op, typed.attrs, operands, span=node.span, scope=node.scope, made_by="sweep"
        )

    # ---- values in rows

    def _compute(self, node: Node, operands: tuple[str, ...], rows: RowSet) -> str:
        """The operation on its operands, all brought to the rows of the result."""
        match node.attrs:
            case ScanAttrs() | ItemAttrs():
                raise CannotError("a recurrence runs in every member whole")
            case IndexAttrs(Select(axis, place)) if axis in self._rows_of(operands[0]):
                value, old = self.values[operands[0]]
                at = np.full(len(rows), place % old.size(axis))
                return self.rows.picked(value, old, rows, {axis: at})
            case IndexAttrs(Slice(axis, start)) if axis in rows.axes:
                value, old = self.values[operands[0]]
                at = rows.along(axis) + sizes.evaluate(start, self.regions.sizes)
                return self.rows.picked(value, old, rows, {axis: at})
            case MapAttrs("where") if operands[0] in self.regions.closed and self._is_full(node):
                parts = self.rows.within(rows, self.regions.array(operands[0]))
                if parts is not None:
                    return self._written(operands, rows, *parts)
        return self._like(node, tuple(self._bring(o, rows) for o in operands))

    def _is_full(self, node: Node) -> bool:
        """Whether both sides of a choice have all axes that it has."""
        wanted = node.axis_names - set(names(self.swept))
        return all(
            wanted <= self.graph.node(o).axis_names for o in self.graph.operands(node.name)[1:]
        )

    def _written(
        self, operands: tuple[str, ...], rows: RowSet, here: RowSet, elsewhere: RowSet
    ) -> str:
        """What a write puts in, where it does; members that differed already stay as they were."""
        _, new, old = operands
        parts = [(old, elsewhere), (new, here)]
        made = [(self._each(name, part), part) for name, part in parts if len(part)]
        return made[0][0] if len(made) == 1 else self.rows.joined(made, rows)

    def _each(self, name: str, rows: RowSet) -> str:
        """As `_bring`, with the rows' axis even if the value is the same in all rows."""
        found = self._bring(name, rows)
        if rows.axis.name in self.edit.node(found).axis_names:
            return found
        return self.rows.repeated(found, rows)

    def _bring(self, name: str, rows: RowSet) -> str:
        """An operand at given rows."""
        if name in self.free:
            members = self.rows.members(rows)
            return self.rows.convert(self._free(name, members), members, name, rows)
        if name not in self.values:
            return self.rows.spread(self.twin(name), rows)
        value, old = self.values[name]
        return self.rows.convert(value, old, self.twin(name), rows)

    def _free(self, name: str, members: RowSet) -> str:
        """A value that is another one in every member, for some members."""
        waiting = [name]
        while waiting:
            top = waiting[-1]
            operands = self.graph.operands(top)
            free = [o for o in operands if o in self.free]
            missing = [o for o in free if (o, members.axis.name) not in self.freed]
            waiting += missing
            if not missing:
                waiting.pop()
                read = tuple(
                    self.freed[o, members.axis.name] if o in free else self._bring(o, members)
                    for o in operands
                )
                self.freed[top, members.axis.name] = self._same(self.graph.node(top), read)
        return self.freed[name, members.axis.name]
