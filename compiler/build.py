"""From checked programs to graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.diagnostics import Diagnostic, Slug, SpecError
from ..dsl.resize import counted, resized
from ..dsl.sizes import bounded
from .graph import Graph
from .lengths import UnsupportedError
from .passes.pad import pad_counted

if TYPE_CHECKING:
    from ..dsl.core import Body
    from ..dsl.program import CheckedModel


def build(model: CheckedModel) -> Graph:
    """The graph of a model as it was checked. Raises SpecError; see `graph_of`."""
    return graph_of(model.body)


def graph_of(body: Body) -> Graph:
    """The graph of a program. An axis whose size the program counts has the most positions that
    it can have, and what reads it sees those that there are. Raises SpecError for what cannot."""
    graph = Graph.from_body(body)
    if not counted(body):
        return graph
    try:
        padded = pad_counted(graph)
    except UnsupportedError as error:
        raise SpecError([Diagnostic(Slug.UNBUILT, error.message, error.span)]) from None
    return Graph.from_body(resized(padded.to_body(), bounded))


def addresses(model: CheckedModel, graph: Graph) -> dict[str, str]:
    """The node at each address of the model, the further addresses of a value included."""
    found = graph.sites()
    aliases = {other: found[own] for other, own in model.aliases.items() if own in found}
    return aliases | found
