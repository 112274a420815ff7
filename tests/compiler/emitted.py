"""Runs what is emitted for a graph, in float64, on data for the oracle."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neuraxis.compiler.build import build as graph_of
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT
from neuraxis.dsl.program import CheckedModel, InputDecl, ResultDecl
from neuraxis.dsl.source import GENERATED
from neuraxis.runtime.module import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuraxis.compiler.graph import Graph

TORCH = {DType.FLOAT: torch.float64, DType.INT: torch.int64, DType.BOOL: torch.bool}


def checked(graph: Graph, name: str = "drawn") -> CheckedModel:
    """A model around a graph: its inputs in their order, its results as they are typed."""
    nodes = [graph.node(n) for n in graph.in_order()]
    inputs = [
        InputDecl(n.site or n.name, names(n.axes), n.dtype, GENERATED)
        for n in nodes
        if n.op is INPUT
    ]
    results = [ResultDecl(n, names(graph.node(n).axes)) for n in graph.results]
    return CheckedModel(name, graph.to_body(), tuple(inputs), tuple(results), GENERATED)


def model_of(text: str, name: str = "test.nax") -> CheckedModel:
    """The one model of a spec."""
    found = check_text(name, textwrap.dedent(text).lstrip("\n"))
    assert found.ok, "\n".join(map(str, found.diagnostics))
    (model,) = found.models.values()
    return model


def compiled(model: CheckedModel) -> Graph:
    """Its graph after all passes."""
    return compile_graph(graph_of(model), Context())


@contextmanager
def doubles() -> Iterator[None]:
    """Floats are float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


def module(
    graph: Graph, params: Mapping[str, Any], seed: int = 0, model: CheckedModel | None = None
) -> Any:
    """The emitted module in float64, with these parameters by address."""
    made = build(graph, model or checked(graph), seed=seed).double()
    weights, states = made.parameters_by_site()
    with torch.no_grad():
        for site, array in params.items():
            held = weights.get(site, states.get(site))
            if held is not None:
                held.copy_(torch.from_numpy(np.asarray(array)))
    return made


def inputs_of(graph: Graph, inputs: Mapping[str, NamedArray]) -> list[torch.Tensor]:
    """Tensors in the order of the inputs."""
    found = []
    for name in graph.in_order():
        node = graph.node(name)
        if node.op is INPUT:
            array = np.array(inputs[name].arranged(names(node.axes)))
            found.append(torch.tensor(array, dtype=TORCH[node.dtype]))
    return found


def results_of(graph: Graph, model: CheckedModel, found: Any) -> list[NamedArray]:
    """What the module gives, with the axes that the model says."""
    several = found if isinstance(found, tuple) else (found,)
    arrays = []
    for name, decl, value in zip(graph.results, model.results, several, strict=True):
        assert value.dtype == TORCH[graph.node(name).dtype], (value.dtype, graph.node(name).dtype)
        arrays.append(NamedArray(decl.order, value.detach().numpy()))
    return arrays


def emulate(graph: Graph, given: Any, original: Graph | None = None) -> list[NamedArray]:
    """What the emitted module computes of what `evaluate` would be given.

    `original` is the graph before the passes, which has all inputs and parameters.
    """
    whole = original or graph
    with doubles():
        model = checked(whole)
        made = module(graph, given.params, given.seed, model)
        return results_of(whole, model, made(*inputs_of(whole, given.inputs)))


def floats(values: Any) -> list[torch.Tensor]:
    """The float tensors among results."""
    several = values if isinstance(values, tuple) else (values,)
    return [value for value in several if value.is_floating_point()]


def slope(made: Any, inputs: list[torch.Tensor], way: list[torch.Tensor]) -> float:
    """How fast the sum of the cosines of all results grows along a way, by automatic gradients.

    The way has a part for each parameter, then for each float input.
    """
    given = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    leaves = [*made.parameters(), *(x for x in given if x.is_floating_point())]
    found = floats(made(*given))
    if not any(value.requires_grad for value in found):
        return 0.0
    total = torch.stack([value.cos().sum() for value in found]).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    parts = [(g * v).sum() for g, v in zip(gradients, way, strict=True) if g is not None]
    return float(torch.stack(parts).sum()) if parts else 0.0


def measured_slope(
    graph: Graph, model: CheckedModel, made: Any, given: Any, way: list[torch.Tensor], step: float
) -> float:
    """The same by the oracle, from both sides."""
    sites = {key: site for site, key in _keys(made).items()}
    order = [sites[name] for name, _ in made.named_parameters()]
    moved = [n for n in map(graph.node, graph.in_order()) if n.op is INPUT]
    moved = [n for n in moved if n.dtype is DType.FLOAT]

    def at(distance: float) -> float:
        parts = [part.numpy() * distance for part in way]
        params = {**given.params}
        for site, part in zip(order, parts, strict=False):
            params[site] = params[site] + part
        inputs = {**given.inputs}
        for node, part in zip(moved, parts[len(order) :], strict=True):
            array = inputs[node.name].arranged(names(node.axes)) + part
            inputs[node.name] = NamedArray(names(node.axes), array)
        keywords = {**given.keywords(), "inputs": inputs, "params": params}
        values = [value.array for value in evaluate(graph, **keywords)]
        return float(sum(np.cos(v).sum() for v in values if v.dtype == np.float64))

    return (at(step) - at(-step)) / (2 * step)


def _keys(made: Any) -> dict[str, str]:
    return {stored.site: stored.key for stored in made._artifact.stored}
