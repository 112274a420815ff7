"""Rewrites a sweep so that each value is computed in rows: the members and positions at which it
differs. Needs a graph with one result, which carries the swept axes.

What cannot be said in rows leaves the sweep as it is: every member whole, along the swept axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import (
    AlongAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    ItemAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    Select,
    StopAttrs,
)
from ..lift import retyped
from .regions import Region, Regions
from .rows import CannotError, Rows, RowSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from ...dsl.core import Node
    from ..graph import Edit, Graph
    from ..reference.values import NamedArray


@dataclass(frozen=True, slots=True)
class Packed:
    """The rewritten graph, the values of its new inputs by node name, and how many rows each of its
    new sizes counts."""

    graph: Graph
    numbers: dict[str, NDArray[np.int64]]
    rows: dict[str, int]


def pack(
    graph: Graph,
    swept: tuple[str, ...],
    given: Mapping[str, NamedArray],
    lengths: Mapping[str, int],
) -> Packed | str:
    """The sweep in rows; or why it cannot be.

    `given` are the values of the swept variables by node name, `lengths` the run-time sizes: which
    rows there are follows from them alone.
    """
    with graph.edit() as edit:
        work = _Pack(edit, graph, swept, Regions(edit, frozenset(swept), given, lengths))
        try:
            for name in graph.in_order():
                work.visit(name)
            result = work.result()
        except CannotError as reason:
            return str(reason)
        edit.set_results([result])
    rows = {rows.axis.name: len(rows.places) for rows in work.rows.sets.values()}
    return Packed(edit.graph, work.rows.numbers, rows)


class _Pack:
    def __init__(self, edit: Edit, graph: Graph, swept: tuple[str, ...], regions: Regions) -> None:
        self.edit, self.graph, self.swept, self.regions = edit, graph, swept, regions
        self.rows = Rows(edit, graph, self.regions)
        self.values: dict[str, tuple[str, RowSet]] = {}
        self.free: set[str] = set()
        self.twins: dict[str, str] = {}
        self.known: dict[object, str] = {}

    def visit(self, name: str) -> None:
        """Put one value in rows, if it is one of the sweep's."""
        region = self.regions.visit(name)
        node, operands = self.graph.node(name), self.graph.operands(name)
        if region is None:
            if name not in self.regions.closed:
                self.known.setdefault((node.op, repr(node.attrs), operands), name)
            return
        if region.everywhere:  # it may still stand only where something is written
            self.free.add(name)
            return
        self.regions.found[name] = region = self.regions.simple(region)
        rows = self._layout(node, operands, region)
        self.values[name] = (self._compute(node, operands, rows), rows)

    def result(self) -> str:
        """The result along the swept axes."""
        name = self.graph.results[0]
        if name in self.free:
            raise CannotError("what is swept reaches every value, not only those written")
        if name not in self.values:
            raise CannotError("no member differs")
        value, rows = self.values[name]
        twin = self.twin(name)
        members = self.rows.of(self.regions.found[name], self.swept)
        return self.rows.members(
            self.rows.convert(value, rows, twin, members), members, twin, self.swept
        )

    # ---- which rows

    def _layout(self, node: Node, operands: tuple[str, ...], region: Region) -> RowSet:
        """Members; and positions too, where the value differs along one such axis only and the
        operation is by itself at each."""
        along = sorted((self.regions.axes(region) - set(self.swept)) & node.axis_names)
        if len(along) != 1 or not self._apart(node, operands, along[0]):
            along = []
        return self.rows.of(region, (*self.swept, *along))

    def _apart(self, node: Node, operands: tuple[str, ...], axis: str) -> bool:
        """Whether each position of the axis is computed by itself."""
        lifted = [o for o in operands if o in self.values]
        match node.attrs:
            case MapAttrs() | StopAttrs() | ReduceAttrs() | AlongAttrs():
                return all(
                    axis in self.values[o][1].axes or axis not in self.graph.node(o).axis_names
                    for o in lifted
                )
            case ContractAttrs():
                return (
                    all(axis in self.graph.node(o).axis_names for o in lifted) and len(lifted) == 1
                )
            case RenameAttrs(pairs):
                return all(axis not in names(new) for _, new in pairs)
            case IndexAttrs(how):
                return not isinstance(how, Gather)
        return False

    # ---- the run without writes

    def twin(self, name: str) -> str:
        """The value in the run without writes."""
        if name not in self.values:
            return name
        if name not in self.twins:
            node, operands = self.graph.node(name), self.graph.operands(name)
            match node.attrs:
                case MapAttrs("where") if self.edit.node(operands[0]).axis_names & set(
                    self.swept
                ) and (operands[0] in self.regions.closed):
                    self.twins[name] = self.twin(operands[2])
                case _:
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
        typed = retyped(
            replace(node, site=None, made_by="sweep"), [self.edit.node(o) for o in operands]
        )
        name = self.edit.add(
            node.op, typed.attrs, operands, span=node.span, scope=node.scope, made_by="sweep"
        )
        return name

    # ---- values in rows

    def _compute(self, node: Node, operands: tuple[str, ...], rows: RowSet) -> str:
        """The operation on its operands, all brought to the rows of the result."""
        attrs = node.attrs
        match attrs:
            case ScanAttrs() | ItemAttrs():
                raise CannotError("a recurrence runs in every member whole")
            case IndexAttrs(Select(axis, at)) if (
                operands[0] in self.values and axis in self.values[operands[0]][1].axes
            ):
                value, old = self.values[operands[0]]
                if set(old.axes) - {axis} != set(rows.axes):
                    raise CannotError("a selection from rows of another kind")
                return self.rows.at(value, old, rows, axis, at)
            case IndexAttrs(how) if how.axis in rows.axes:
                raise CannotError("a part of an axis that rows stand for")
            case RenameAttrs(pairs) if any(set(old) & set(rows.axes) for old, _ in pairs):
                raise CannotError("an axis that rows stand for is renamed")
            case ContractAttrs(axes) | ReduceAttrs(_, axes) | AlongAttrs(_, axes) if set(
                axes
            ) & set(rows.axes):
                raise CannotError("an axis that rows stand for is reduced")
        return self._like(node, tuple(self._bring(o, rows) for o in operands))

    def _bring(self, name: str, rows: RowSet) -> str:
        """An operand at given rows."""
        if name in self.free:
            return self.rows.spread(self._free(name, rows), rows)
        if name not in self.values:
            return self.rows.spread(name, rows)
        value, old = self.values[name]
        return self.rows.convert(value, old, self.twin(name), rows)

    def _free(self, name: str, rows: RowSet) -> str:
        """A value that is another in every member, at the members of given rows; its own axes stay."""
        node = self.graph.node(name)
        operands = []
        for operand in self.graph.operands(name):
            if operand in self.free:
                operands.append(self._free(operand, rows))
            elif operand in self.values:
                raise CannotError("what is written reads another write of the sweep")
            else:
                operands.append(self.rows.spread(operand, rows, among=self.swept))
        key = ("free", name, tuple(operands))
        if key not in self.known:
            self.known[key] = self._like(node, tuple(operands))
        return self.known[key]
