"""Computes recurrences in parallel, where the context asks for it and their kind allows it.

Needs bodies without idle nodes, and what no carry feeds outside of them: run `hoist` before.
Leaves nonlinear recurrences as they are, and the order of sums is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import ScanAttrs
from ..bodies import in_bodies
from ..recurrences import parallel
from .prune import prune
from .share import share

if TYPE_CHECKING:
    from ..context import Context
    from ..graph import Graph


def parallelise(graph: Graph, ctx: Context) -> Graph:
    """The graph with parallel forms in place of scans."""
    if ctx.recurrences != "parallel":
        return graph
    return prune(share(_inside(graph, ctx), ctx), ctx)


def _inside(graph: Graph, ctx: Context) -> Graph:
    graph = in_bodies(graph, lambda body: _inside(body, ctx))
    with graph.edit() as edit:
        sites = set(graph.sites())
        for name in graph.in_order():
            if isinstance(graph.node(name).attrs, ScanAttrs):
                parallel(edit, name, ctx, sites)
    return edit.graph
