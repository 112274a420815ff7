"""Masks by which a position sees no later one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..dsl.ops import ConstAttrs, IotaAttrs, MapAttrs, RenameAttrs, StopAttrs

if TYPE_CHECKING:
    from ..dsl.core import Axis
    from .graph import Edit, Graph


def hides(graph: Graph | Edit, value: str, axis: Axis) -> bool:
    """Whether a value is -inf at those positions of an axis that are later than its own."""
    while True:
        read = graph.operands(value)
        match graph.node(value).attrs:
            case RenameAttrs(()) | StopAttrs():
                value = read[0]
            case MapAttrs("where") if graph.node(read[2]).attrs == ConstAttrs(-math.inf):
                if is_causal(graph, read[0], axis):
                    return True
                value = read[1]
            case _:
                return False


def is_causal(graph: Graph | Edit, mask: str, axis: Axis) -> bool:
    """Whether a mask holds at positions of an axis `s` only where `s <= t`, for some `t`."""
    read = graph.operands(mask)
    match graph.node(mask).attrs:
        case RenameAttrs(()):
            return is_causal(graph, read[0], axis)
        case MapAttrs("and"):
            return any(is_causal(graph, part, axis) for part in read)
        case MapAttrs("le" | "lt"):
            key, query = (graph.node(name).attrs for name in read)
        case MapAttrs("ge" | "gt"):
            query, key = (graph.node(name).attrs for name in read)
        case _:
            return False
    return (
        isinstance(key, IotaAttrs)
        and isinstance(query, IotaAttrs)
        and key.axis == axis
        and query.axis.size == axis.size
    )
