"""The steps of a scan of an experiment as code: what is the same at all is computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.sweeps import apart, held_as
from ..dsl.core import names
from ..dsl.program import DecodeOutput, ScanInput, ScanOutput, SweepOutput
from ..dsl.stages import all_stages
from .lowering import loaded, part_of
from .ragged import padded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import nn

    from ..compiler.graph import Graph
    from ..dsl.program import CheckedStudy, Source
    from ..dsl.stages import ScanPlan
    from .lowering import Lowered
    from .sources import Given

    Tensors = Mapping[str, torch.Tensor]


class Steps:
    """What a step computes after its stages, on what a study is `given`: the values of
    `plan.results`, each with its axes in the order of its node."""

    def __init__(
        self, study: CheckedStudy, plan: ScanPlan, given: Given, shared: nn.Module, seed: int
    ) -> None:
        self.study, self.plan, self.shared, self.seed = study, plan, shared, seed
        self._wanted = tuple(dict.fromkeys(plan.results))
        nodes = {step.node.name: step.node for step in study.body.steps}
        self._axes = {name: names(nodes[name].axes) for name in self._wanted}
        self._sizes = given.sizes
        ctx = Context(sizes=self._sizes, without=frozenset({"batch"}))
        graph = compile_graph(padded(part_of(study.body, self._wanted), given.ragged), ctx)
        self._held = apart(graph, [name for name in self._changing() if name in graph])
        self._common = self._loaded(self._held.graph) if self._held.names else None
        self._own = self._loaded(self._held.within(graph))
        self._values: dict[str, torch.Tensor] = {}

    def _changing(self) -> list[str]:
        """The inputs that are others at each step."""
        made: set[tuple[type[Source], str]] = set()
        for stage in all_stages(self.plan.stages):
            made |= {(kind, stage.name) for kind in (SweepOutput, DecodeOutput, ScanOutput)}

        def changes(source: Source) -> bool:
            match source:
                case ScanInput(scan):
                    return scan == self.plan.name
                case SweepOutput(name) | DecodeOutput(name) | ScanOutput(name):
                    return (type(source), name) in made
            return False

        return [name for name, source in self.study.sources.items() if changes(source)]

    def _loaded(self, graph: Graph) -> Lowered:
        ctx = Context(sizes=self._sizes)
        return loaded(compile_graph(graph, ctx), self.study, self.shared, seed=self.seed)

    def begun(self, inputs: Tensors) -> Self:
        """Itself, in front of the first step."""
        if self._common is not None:
            with torch.no_grad():
                found = self._common(inputs)
            for name, node, value in zip(
                self._held.names, self._common.results, found, strict=True
            ):
                order = names(self._held.graph.node(name).axes)
                self._values[held_as(name)] = ordered(value, names(node.axes), order)
        return self

    def __call__(self, inputs: Tensors) -> dict[str, torch.Tensor]:
        """The values of a step by node."""
        with torch.no_grad():
            found = self._own({**inputs, **self._values})
        return {
            name: ordered(value, names(node.axes), self._axes[name])
            for name, node, value in zip(self._wanted, self._own.results, found, strict=True)
        }


def ordered(value: torch.Tensor, axes: tuple[str, ...], order: tuple[str, ...]) -> torch.Tensor:
    """A value with its axes in another order."""
    return value.permute([axes.index(axis) for axis in order])
