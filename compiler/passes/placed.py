"""Values that are zero but at one position of an axis: `where(t == 2, v, 0)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import ConstAttrs, IndexAttrs, IotaAttrs, MapAttrs, ReduceAttrs, Select

if TYPE_CHECKING:
    from ...dsl.core import Axis, Node
    from ...dsl.sizes import Size
    from ..graph import Edit, Graph


Read = frozenset[tuple["Size", int]]


def positions_read(graph: Graph) -> Read:
    """Sizes of axes, and positions that are read of such: an axis of that size has it."""
    found = set()
    for name in graph.in_order():
        match graph.node(name).attrs:
            case IndexAttrs(Select(axis, at)):
                found.add((graph.node(graph.operands(name)[0]).size(axis), at))
    return frozenset(found)


@dataclass(frozen=True)
class Placed:
    """`where(there, value, 0)`, where `there` says one position; the value may have the axis."""

    at: Select
    there: str
    value: str


def placed(edit: Edit, name: str, read: Read) -> Placed | None:
    """Where a value is not zero, and what it is there; None if it is not of this kind, or if its
    axis may be too short for anything to be there."""
    node = edit.node(name)
    if node.attrs != MapAttrs("where") or node.dtype is not DType.FLOAT:
        return None
    there, value, zero = edit.operands(name)
    if not is_number(edit.node(zero), 0):
        return None
    at = _position(edit, there, read)
    return None if at is None else Placed(at, there, value)


def is_number(node: Node, value: float) -> bool:
    """Whether a node is this number."""
    return isinstance(node.attrs, ConstAttrs) and node.attrs.value == value


def _position(edit: Edit, name: str, read: Read) -> Select | None:
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
            known = isinstance(axis.size, int) and at < axis.size
            return Select(axis.name, at) if known or (axis.size, at) in read else None
        case MapAttrs("add") if (axis.size, -1) in read:
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
