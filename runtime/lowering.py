"""From a program to a function on tensors: passes, source, and the source loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.draws import drawn
from ..compiler.emit import emit
from ..compiler.graph import Graph
from ..dsl import sizes
from ..dsl.core import Body, names
from ..dsl.ops import INPUT, InputAttrs
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from .module import entry_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..compiler.artifact import Artifact
    from ..dsl.core import Node
    from .parameters import Parameters


@dataclass
class Lowered:
    """A program ready to run: tensors by the address of their input in, its results out."""

    artifact: Artifact
    module: torch.nn.Module
    inputs: tuple[Node, ...]
    results: tuple[Node, ...]
    seed: int
    calls: int = 0

    def __call__(self, given: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The results, each with its axes in the order of its node."""
        arguments = [given[node.site or node.name] for node in self.inputs]
        draws = self._draws(arguments) if self.artifact.draws else ()
        self.calls += 1
        found = self.module(*arguments, *draws)
        return found if isinstance(found, tuple) else (found,)

    def _draws(self, arguments: list[torch.Tensor]) -> list[torch.Tensor]:
        known: dict[str, int] = {}
        for node, tensor in zip(self.inputs, arguments, strict=True):
            for axis, size in zip(node.axes, tensor.shape, strict=True):
                for symbol in sizes.symbols(axis.size):
                    if axis.size == sizes.symbol(symbol):
                        known[symbol] = size
        draw = drawn(self.seed, self.calls)
        device = arguments[0].device if arguments else "cpu"
        return [
            torch.as_tensor(draw(node, tuple(sizes.evaluate(a.size, known) for a in node.axes)), device=device)
            for node in self.artifact.draws
        ]


def lower(graph: Graph, name: str, model: CheckedModel, parameters: Parameters, *, seed: int = 0, ctx: Context | None = None) -> Lowered:
    """Compile a graph whose inputs are all its input nodes; parameters are shared, not copied.

    `model` says which parameters there are, and where the spec stands.
    """
    graph = compile_graph(graph, ctx or Context())
    inputs = tuple(node for node in map(graph.node, graph.in_order()) if node.op is INPUT)
    results = tuple(graph.node(result) for result in graph.results)
    as_model = CheckedModel(
        name,
        _with_inputs_first(graph.to_body()),
        tuple(_declared(node) for node in inputs),
        tuple(ResultDecl(node.site or node.name, names(node.axes)) for node in results),
        model.span,
    )
    artifact = emit(graph, as_model)
    module = entry_of(artifact, parameters)
    return Lowered(artifact, module, inputs, results, seed)


def part_of(body: Body, results: tuple[str, ...]) -> Graph:
    """The graph of some results of a program."""
    return Graph.from_body(replace(body, results=results))


def _declared(node: Node) -> InputDecl:
    assert isinstance(node.attrs, InputAttrs)
    return InputDecl(node.site or node.name, node.attrs.order, node.dtype, node.span)


def _with_inputs_first(body: Body) -> Body:
    inputs = [step for step in body.steps if step.node.op is INPUT]
    return replace(body, steps=(*inputs, *(step for step in body.steps if step.node.op is not INPUT)))
