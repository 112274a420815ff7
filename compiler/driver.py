"""The pipeline: the passes in their order, the graph verified after each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .garbage import uncollected
from .passes import PASSES, Pass
from .verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from .context import Context
    from .graph import Graph


@uncollected()
def compile_graph(
    graph: Graph,
    ctx: Context,
    *,
    after: str | None = None,
    observer: Callable[[str, Graph], None] | None = None,
) -> Graph:
    """The graph after all passes, or after the one called `after` ("build" for none).

    The observer is shown the name of each pass and the graph that it made.
    """
    rows = (Pass("build", lambda built, _: built), *PASSES)
    if after is not None and after not in [row.name for row in rows]:
        raise ValueError(f"no pass {after}; there are {', '.join(row.name for row in rows)}")
    for row in rows:
        if row.name not in ctx.without:
            graph = row.function(graph, ctx)
            if ctx.verify:
                verify(graph, row.name)
            if observer is not None:
                observer(row.name, graph)
        if row.name == after:
            break
    return graph
