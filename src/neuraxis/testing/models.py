"""Models by name or as they are, and models that give other values than their results."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler.build import build as graph_of
from ..compiler.expose import expose
from ..dsl.core import names
from ..dsl.program import ResultDecl
from ..runtime.model import SpecModel, spec_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..runtime.module import Model
    from ..runtime.program import Program
    from ..runtime.trace import Trace


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


# ---- running


@contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Numbers without a tensor to go by are made in this dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def held_in(model: Model, dtype: str, call: int = 0) -> Any:
    """A copy of the model with its parameters in a dtype, about to be called for the `call`th time."""
    kept = [
        model._graph,
        model._artifact,
        model._checked,
        *vars(model).get("_variants", {}).values(),
    ]
    kept += [getattr(model, name) for name in ("checked", "_module") if hasattr(model, name)]
    with computing_in(dtype):
        made = copy.deepcopy(model, {id(part): part for part in kept}).to(getattr(torch, dtype))
    made._variants, made._calls = {}, call
    return made


def tensor(value: Any, dtype: str = "float64") -> torch.Tensor:
    """An input, its floats in a dtype."""
    held = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
    return held.to(getattr(torch, dtype)) if held.is_floating_point() else held


def results(
    model: Model, inputs: Sequence[Any], dtype: str = "float64"
) -> tuple[torch.Tensor, ...]:
    """What a model gives, the same numbers drawn at each call."""
    made = held_in(model, dtype)
    with torch.no_grad(), computing_in(dtype):
        found = made(*(tensor(value, dtype) for value in inputs))
    return found if isinstance(found, tuple) else (found,)


def trace(model: SpecModel, inputs: Sequence[Any], sites: Sequence[str]) -> Trace:
    """Values at addresses or patterns, in float64."""
    made = held_in(model, "float64")
    with torch.no_grad(), computing_in("float64"):
        found: Trace = made.trace(*map(tensor, inputs), sites=sites)
    return found
