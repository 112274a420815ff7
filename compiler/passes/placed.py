"""Values that are zero but at one position of an axis: `where(t == 2, v, 0)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import DType
from ...dsl.ops import ConstAttrs, IndexAttrs, IotaAttrs, MapAttrs, ReduceAttrs, Select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.core import Axis, Node
    from ...dsl.sizes import Size
    from ..graph import Edit, Graph


@dataclass(frozen=True)
class Positions:
    """Which positions axes surely have: by their sizes, by what is known of these at run time, and
    because they are `read`."""

    read: frozenset[tuple[Size, int]]
    known: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph, known: Mapping[str, int] | None) -> Positions:
        """Those of a graph."""
        found = set()
        for name in graph.in_order():
            match graph.node(name).attrs:
                case IndexAttrs(Select(axis, at)):
                    found.add((graph.node(graph.operands(name)[0]).size(axis), at))
        return cls(frozenset(found), known or {})

    def has(self, size: Size, at: int) -> bool:
        """Whether an axis of this size has this position; a negative one counts from the end."""
        if (size, at) in self.read:
            return True
        if sizes.counts(size) or not sizes.symbols(size) <= self.known.keys():
            return False
        count = sizes.evaluate(size, self.known)
        return -count <= at < count


@dataclass(frozen=True)
class Placed:
    """`where(there, value, 0)`, where `there` says one position; the value may have the axis."""

    at: Select
    there: str
    value: str


def placed(edit: Edit, name: str, positions: Positions) -> Placed | None:
    """Where a value is not zero, and what it is there; None if it is not of this kind, or if its
    axis may be too short for anything to be there."""
    node = edit.node(name)
    if node.attrs != MapAttrs("where") or node.dtype is not DType.FLOAT:
        return None
    there, value, zero = edit.operands(name)
    if not is_number(edit.node(zero), 0):
        return None
    at = _position(edit, there, positions)
    return None if at is None else Placed(at, there, value)


def is_number(node: Node, value: float) -> bool:
    """Whether a node is this number."""
    return isinstance(node.attrs, ConstAttrs) and node.attrs.value == value


def _position(edit: Edit, name: str, positions: Positions) -> Select | None:
    """The position for which a bool is true, if it is one: `t == 2`, `t == |t| + -1`."""
    if edit.node(name).attrs != MapAttrs("eq"):
        return None
    index, place = edit.operands(name)
    if not isinstance(edit.node(index).attrs, IotaAttrs):
        index, place = place, index
    iota = edit.node(index).attrs
    if not isinstance(iota, IotaAttrs):
        return None
    axis = iota.axis
    match edit.node(place).attrs:
        case ConstAttrs(value=int(at)) if at >= 0:
            return Select(axis.name, at) if positions.has(axis.size, at) else None
        case MapAttrs("add") if positions.has(axis.size, -1):
            size, back = edit.operands(place)
            if is_number(edit.node(back), -1) and _counts(edit, size, axis):
                return Select(axis.name, -1)
    return None


def _counts(edit: Edit, name: str, axis: Axis) -> bool:
    """Whether this is the size of an axis: `sum[t](t >= 0)`."""
    if edit.node(name).attrs != ReduceAttrs("sum", (axis.name,)):
        return False
    every = edit.operands(name)[0]
    if edit.node(every).attrs != MapAttrs("ge"):
        return False
    index, zero = edit.operands(every)
    return edit.node(index).attrs == IotaAttrs(axis) and is_number(edit.node(zero), 0)
