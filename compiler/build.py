"""From checked programs to graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .graph import Graph

if TYPE_CHECKING:
    from ..dsl.program import CheckedModel


def build(model: CheckedModel) -> Graph:
    """The graph of a model as it was checked."""
    return Graph.from_body(model.body)


def addresses(model: CheckedModel, graph: Graph) -> dict[str, str]:
    """The node at each address of the model, the further addresses of a value included."""
    found = graph.sites()
    aliases = {other: found[own] for other, own in model.aliases.items() if own in found}
    return aliases | found
