"""Drops what feeds no result, also inside of scans, and identities.

Needs nothing. Values at kept addresses count as results.
Does not look for values that are equal (`share`) or known (`fold`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import InputAttrs, RenameAttrs
from ..bodies import in_bodies, narrow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..context import Context
    from ..graph import Edit, Graph


def prune(graph: Graph, ctx: Context) -> Graph:
    """The graph without what is not needed."""
    kept = [name for site, name in graph.sites().items() if site in ctx.keep]
    return _pruned(graph, ctx, kept)


def _inside(body: Graph, ctx: Context) -> Graph:
    inputs = [n for n in body.in_order() if isinstance(body.node(n).attrs, InputAttrs)]
    return _pruned(body, ctx, inputs)


def _pruned(graph: Graph, ctx: Context, roots: Iterable[str]) -> Graph:
    graph = in_bodies(graph, lambda body: _inside(body, ctx))
    with graph.edit() as edit:
        for name in graph.in_order():
            _bypass(edit, name, ctx)
        read = {*edit.results, *roots}
        for name in reversed(graph.in_order()):
            if name in read:
                narrow(edit, name)
                read.update(edit.operands(name))
            else:
                edit.remove(name)
    return edit.graph


def _bypass(edit: Edit, name: str, ctx: Context) -> None:
    node = edit.node(name)
    match node.attrs:
        case RenameAttrs(pairs=()) if node.site is None or node.site not in ctx.keep:
            edit.redirect(name, edit.operands(name)[0])
