"""Computes equal values once: the same operation with the same attributes on the same operands.

Needs nothing. What draws random numbers, inputs, parameters and states are each one of a kind.
Does not know that sums commute, and compares no scans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import (
    INPUT,
    PARAM,
    RANDOM,
    SCAN,
    STATE,
    ConstAttrs,
    IndexAttrs,
)
from ..bodies import in_bodies, instead

if TYPE_CHECKING:
    from ...dsl.core import Node
    from ...dsl.ops import Attrs
    from ..context import Context
    from ..graph import Edit, Graph

UNIQUE = {INPUT, PARAM, STATE, RANDOM, SCAN}


def share(graph: Graph, ctx: Context) -> Graph:
    """The graph with one node for each value."""
    first: dict[tuple[str, Attrs | str, tuple[str, ...]], str] = {}

    def rule(edit: Edit, node: Node) -> str | None:
        if node.op in UNIQUE:
            return None
        attrs: Attrs | str = node.attrs
        if isinstance(attrs, ConstAttrs | IndexAttrs):
            attrs = repr(attrs)  # 1, 1.0 and True are equal, and so are the zeros
        same = first.setdefault((node.op.name, attrs, edit.operands(node.name)), node.name)
        return None if same == node.name else instead(edit, node, same, ctx, "share")

    return in_bodies(graph, lambda body: share(body, ctx)).rewrite(rule)
