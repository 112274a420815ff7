"""Which elements of a carry an element of a value depends on: the sparsity of the Jacobian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
    StopAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph import Graph


def mixing(graph: Graph, carries: Sequence[str]) -> dict[str, frozenset[str]]:
    """For each node that depends on the carries, their axes along which it does not stay in place.

    Along all others, an element depends on the elements of the carries at its own position only.
    """
    found: dict[str, frozenset[str]] = {name: frozenset() for name in carries}
    every = frozenset(axis for name in carries for axis in graph.node(name).axis_names)
    for name in graph.in_order():
        read = [own for own in graph.operands(name) if own in found]
        if read and name not in found:
            before = frozenset[str]().union(*(found[own] for own in read))
            found[name] = before | (_mixed(graph, name, read) & every)
    return found


def _mixed(graph: Graph, name: str, read: Sequence[str]) -> frozenset[str]:
    """The axes along which an operation leads from one position to another."""
    match graph.node(name).attrs:
        case MapAttrs() | StopAttrs():
            return frozenset()
        case ReduceAttrs(axes=axes) | ContractAttrs(axes=axes) | AlongAttrs(axes=axes):
            own = frozenset[str]().union(*(graph.node(operand).axis_names for operand in read))
            return frozenset(axes) & own
        case RenameAttrs(pairs=pairs):
            return frozenset(axis for old, _ in pairs for axis in old)
        case IndexAttrs(how=how):
            return frozenset([how.axis])
        case ConcatAttrs(axis=axis) | ScatterAttrs(axis=axis):
            return frozenset([axis])
    return frozenset[str]().union(*(graph.node(operand).axis_names for operand in read))
