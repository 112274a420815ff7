"""Runs what is emitted for a graph, in float64, on data for the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neuraxis.compiler.reference import NamedArray
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT
from neuraxis.dsl.program import CheckedModel, InputDecl, ResultDecl
from neuraxis.dsl.source import GENERATED
from neuraxis.runtime.module import Model, build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis.compiler.graph import Graph

TORCH = {DType.FLOAT: torch.float64, DType.INT: torch.int64, DType.BOOL: torch.bool}


def checked(graph: Graph, name: str = "drawn") -> CheckedModel:
    """A model around a graph: its inputs in their order, its results as they are typed."""
    nodes = [graph.node(n) for n in graph.in_order()]
    inputs = [
        InputDecl(n.site or n.name, names(n.axes), n.dtype, GENERATED) for n in nodes if n.op is INPUT
    ]
    results = [ResultDecl(n, names(graph.node(n).axes)) for n in graph.results]
    return CheckedModel(name, graph.to_body(), tuple(inputs), tuple(results), GENERATED)


def module(
    graph: Graph, params: Mapping[str, Any], seed: int = 0, model: CheckedModel | None = None
) -> Model:
    """The emitted module in float64, with these parameters by address."""
    made = build(graph, model or checked(graph), seed=seed).double()
    state = made.state_dict(keep_vars=True)
    with torch.no_grad():
        for site, array in params.items():
            key = site.replace("[", ".").replace("]", "")
            if key in state:
                state[key].copy_(torch.from_numpy(np.asarray(array)))
    return made


def inputs_of(graph: Graph, inputs: Mapping[str, NamedArray]) -> list[torch.Tensor]:
    """Tensors in the order of the inputs."""
    found = []
    for name in graph.in_order():
        node = graph.node(name)
        if node.op is INPUT:
            array = inputs[name].arranged(names(node.axes))
            found.append(torch.tensor(np.array(array), dtype=TORCH[node.dtype]))
    return found


def results_of(graph: Graph, found: Any) -> list[NamedArray]:
    """What the module gives, with the axes that the graph says."""
    several = found if isinstance(found, tuple) else (found,)
    arrays = []
    for name, value in zip(graph.results, several, strict=True):
        node = graph.node(name)
        assert value.dtype == TORCH[node.dtype], (value.dtype, node.dtype)
        arrays.append(NamedArray(names(node.axes), value.detach().numpy()))
    return arrays


def emulate(graph: Graph, given: Any, original: Graph | None = None) -> list[NamedArray]:
    """What the emitted module computes of what `evaluate` would be given.

    `original` is the graph before the passes, which has all inputs and parameters.
    """
    whole = original or graph
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        made = module(graph, given.params, given.seed, checked(whole))
        return results_of(whole, made(*inputs_of(whole, given.inputs)))
    finally:
        torch.set_default_dtype(default)


