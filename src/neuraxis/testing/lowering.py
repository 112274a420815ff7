"""The law of lowering: the emitted module computes what the oracle does, and so do its gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.reference import evaluate_nodes
from ..dsl.core import DType, names
from ..dsl.ops import INPUT
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from ..dsl.source import GENERATED
from ..runtime.examples import inputs_for
from ..runtime.module import Model, build
from .comparing import assert_close, largest
from .data import FINE, Given, data_for, given_for, moved
from .models import computing_in, held_in, model_of
from .slopes import Slopes, can_differ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..compiler.graph import Graph
    from ..runtime.model import SpecModel
    from ..runtime.program import Program

HELD = {DType.INT: torch.int64, DType.BOOL: torch.bool}


def check_lowering(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    dtype: str = "float64",
    seed: int = 0,
    gradients: bool = True,
) -> None:
    """The emitted module gives what the oracle gives: results, new states, and gradients.

    Gradients are compared with finite differences of the oracle, in float64, along random directions
    in inputs and parameters. A direction along which the oracle has a kink says nothing.
    """
    made = model_of(program, model)
    given = given_for(made, inputs_for(made, seed) if inputs is None else inputs, dtype)
    _check_values(_Both(made.checked, made, given, dtype))
    if gradients and dtype == "float64":
        fine = given
        if inputs is None:
            fine = moved(given_for(made, inputs_for(made, seed, parts=FINE)), seed)
        _check_slopes(_Both(made.checked, made, fine, dtype), seed)


def check_graph(graph: Graph, seed: int = 0, length: int = 3, *, gradients: bool = True) -> None:
    """The same for a graph: all passes and the emitted module keep what the oracle computes of it."""
    checked, given = _around(graph), data_for(graph, seed, length)
    made: Model = build(compile_graph(graph, Context(sizes=given.sizes)), checked, seed=seed)
    _check_values(_Both(checked, made, given, "float64"))
    if gradients:
        given = data_for(graph, seed, length, parts=FINE)
        _check_slopes(_Both(checked, made, given, "float64"), seed)


def _around(graph: Graph) -> CheckedModel:
    """A model around a graph: its inputs in their order, its results as they are typed."""
    nodes = [graph.node(n) for n in graph.in_order()]
    inputs = [
        InputDecl(n.site or n.name, names(n.axes), n.dtype, GENERATED)
        for n in nodes
        if n.op is INPUT
    ]
    results = [ResultDecl(n, names(graph.node(n).axes)) for n in graph.results]
    return CheckedModel("drawn", graph.to_body(), tuple(inputs), tuple(results), GENERATED)


@dataclass(frozen=True)
class _Both:
    """A program and what was emitted for it, with the data for both."""

    checked: CheckedModel
    model: Model
    given: Given
    dtype: str

    def oracle(self) -> tuple[list[Any], float]:
        """The results with their axes as the model writes them, then the new states; and the
        largest number met on the way."""
        values = evaluate_nodes(self.checked.body, **self.given.keywords())
        found = [values[name] for name in self.checked.body.results]
        count = len(self.checked.results)
        results = [
            value.arranged([*(n for n in value.axes if n not in decl.order), *decl.order])
            for value, decl in zip(found[:count], self.checked.results, strict=True)
        ]
        return [*results, *(value.array for value in found[count:])], largest(values.values())

    def tensors(self) -> list[torch.Tensor]:
        """The inputs in their order, then the drawn numbers."""
        held = getattr(torch, self.dtype)
        nodes = [step.node for step in self.checked.body.steps if step.node.op is INPUT]
        found = {node.site or node.name: self._input(node) for node in nodes}
        return [
            torch.tensor(found[decl.name], dtype=HELD.get(decl.dtype, held))
            for decl in self.checked.inputs
        ]

    def _input(self, node: Any) -> Any:
        given = self.given.inputs
        value = given[node.site] if node.site in given else given[node.name]
        decl = next(decl for decl in self.checked.inputs if decl.name == (node.site or node.name))
        return np.array(value.arranged(decl.order))

    def lowered(self) -> Model:
        """The module with its parameters as given, in the dtype."""
        made: Model = held_in(self.model, self.dtype, self.given.call)
        weights, states = made.parameters_by_site()
        with torch.no_grad():
            for site, held in {**weights, **states}.items():
                value = self.given.params.get(site, self.given.states.get(site))
                held.copy_(torch.tensor(np.array(value)))
        return made

    def run(self, made: Model, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The results of the module."""
        with computing_in(self.dtype):
            found = made(*inputs)
        return found if isinstance(found, tuple) else (found,)


def _check_values(both: _Both) -> None:
    made = both.lowered()
    with torch.no_grad():
        found: list[Any] = list(both.run(made, both.tensors()))
    _, states = made.parameters_by_site()
    found += [states[address] for address in both.checked.updates]
    wanted, met = both.oracle()
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert_close(one, other, both.dtype, met=met, what=f"result {place} of the emitted module")


def _check_slopes(both: _Both, seed: int) -> None:
    """Along random directions: the module's gradient against what the oracle's results do."""
    if not can_differ(both.checked.body):
        return
    slopes = Slopes(both.checked.body, both.given, len(both.checked.results), seed)
    made = both.lowered().requires_grad_(True)
    weights, _ = made.parameters_by_site()
    inputs = both.tensors()
    leaves: dict[str, torch.Tensor] = dict(weights)
    for decl, tensor in zip(both.checked.inputs, inputs, strict=True):
        if decl.dtype is DType.FLOAT:
            leaves[decl.name] = tensor.requires_grad_(True)
    results = both.run(made, inputs)
    loss = torch.zeros((), dtype=torch.float64)
    for given, result, weight in zip(both.checked.results, results, slopes.weights, strict=True):
        if weight is not None:
            loss = loss + (result * torch.from_numpy(weight.arranged(given.order).copy())).sum()
    if not leaves or not loss.requires_grad:
        gradients = dict.fromkeys(leaves, np.zeros(()))
    else:
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        gradients = {
            name: np.zeros(leaf.shape) if grad is None else grad.numpy()
            for (name, leaf), grad in zip(leaves.items(), found, strict=True)
        }
    slopes.compare(gradients)
