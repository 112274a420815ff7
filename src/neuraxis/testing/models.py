"""Models by name or as they are, and models that give other values than their results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..compiler.build import build as graph_of
from ..compiler.expose import expose
from ..dsl.core import names
from ..dsl.program import ResultDecl
from ..runtime.model import SpecModel, spec_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..runtime.program import Program


def model_of(program: Program, model: SpecModel | str | None) -> SpecModel:
    """The model; one that is named, or the only one, has the sizes that it has by itself."""
    return model if isinstance(model, SpecModel) else program.model(model)


def measuring(model: SpecModel, addresses: Sequence[str]) -> SpecModel:
    """The same model, giving only the values at addresses."""
    own = [model.checked.aliases.get(address, address) for address in addresses]
    graph, nodes = expose(graph_of(model.checked), own)
    with graph.edit() as edit:
        edit.set_results([nodes[address] for address in own])
    decls = [ResultDecl(a, names(edit.graph.node(nodes[a]).axes)) for a in own]
    checked = replace(model.checked, results=tuple(decls), body=edit.graph.to_body(), updates=())
    return spec_model(checked, model._module, model._defaults, shared=model, seed=model._seed)
