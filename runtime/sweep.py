"""Runs a sweep: all members in one graph, in rows where that is possible, in parts that fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

import torch

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.reference import NamedArray
from ..compiler.sweeps import Packed, pack
from ..dsl import sizes
from ..dsl.core import Axis, names
from ..dsl.ops import IotaAttrs
from ..dsl.program import SweepInput
from .lowering import address, loaded, part_of
from .ragged import padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

    from ..compiler.graph import Graph
    from ..dsl.program import CheckedStudy, SweepPlan

    Tensors = Mapping[str, torch.Tensor]

BUDGET = 1 << 27
"""How many numbers one value of a sweep may hold before it is run in parts (512 MiB in float32)."""


@dataclass(frozen=True)
class Members:
    """The result of a sweep: its axes, the swept ones first, and how it was run."""

    axes: tuple[str, ...]
    values: torch.Tensor
    how: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep of a study, compiled with its axes riding along. `nodes` are the inputs that hold
    the swept values, in the order of the variables."""

    study: CheckedStudy
    plan: SweepPlan
    graph: Graph
    nodes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        study: CheckedStudy,
        plan: SweepPlan,
        known: Mapping[str, int],
        ragged: Iterable[str] = (),
    ) -> Sweep:
        """The sweep, for run-time sizes, and for examples that have lengths of their own along
        ragged axes."""
        graph = padded(part_of(study.body, (plan.result,)), ragged)
        graph = compile_graph(graph, Context())
        read: dict[str, str] = {}
        for step in study.body.steps:
            source = study.sources.get(step.node.name)
            if isinstance(source, SweepInput) and source.sweep == plan.name:
                if step.node.name in graph:
                    read[source.variable] = step.node.name
                else:
                    count = source.count if source.values is None else len(source.values)
                    graph = _sized(graph, step.node.axes[0], sizes.evaluate(count, known))
        return cls(study, plan, graph, tuple(read[v] for v in plan.variables if v in read))

    def packed(self, inputs: Tensors, known: Mapping[str, int]) -> Packed | str:
        """The sweep in rows, or why it cannot be."""
        if not self.nodes:
            return "no swept value is read"
        given = {
            name: NamedArray(names(self.graph.node(name).axes), self._values(name, inputs).numpy())
            for name in self.nodes
        }
        return pack(self.graph, given, {**known, **self.counts(inputs)})

    def counts(self, inputs: Tensors) -> dict[str, int]:
        """How many values each variable has, by the symbol of its axis."""
        return {
            sizes.show(self.graph.node(name).axes[0].size): len(self._values(name, inputs))
            for name in self.nodes
        }

    def _values(self, name: str, inputs: Tensors) -> torch.Tensor:
        return inputs[address(self.graph.node(name))].cpu()

    def run(
        self,
        inputs: Tensors,
        known: Mapping[str, int],
        shared: nn.Module,
        *,
        seed: int = 0,
        budget: int = BUDGET,
    ) -> Members:
        """Run all members. `inputs` are tensors by the address of their node, swept values
        included; `known` are the run-time sizes."""
        packed = self.packed(inputs, known)
        known = {**known, **self.counts(inputs)}
        graph, given = self.graph, dict(inputs)
        if isinstance(packed, Packed):
            graph, known = compile_graph(packed.graph, Context()), {**known, **packed.rows}
            device = next((tensor.device for tensor in inputs.values()), None)
            for name, numbers in packed.numbers.items():
                given[address(packed.graph.node(name))] = torch.as_tensor(numbers).to(device)
        parts = ceil(max(_count(graph, name, known) for name in graph.in_order()) / budget)
        longest = max(self.nodes, key=lambda name: len(self._values(name, inputs)), default=None)
        if longest is not None and min(parts, len(self._values(longest, inputs))) > 1:
            return self._in_parts(parts, longest, inputs, known, shared, seed, budget)
        lowered = loaded(graph, self.study, shared, seed=seed, name=self.plan.name)
        with torch.no_grad():
            (values,) = lowered(given)
        axes = names(lowered.results[0].axes)
        order = (*self.plan.variables, *(a for a in axes if a not in self.plan.variables))
        return Members(order, values.permute([axes.index(a) for a in order]), self.how(packed))

    def how(self, packed: Packed | str) -> tuple[str, ...]:
        """How the sweep is run, in a few lines."""
        nodes = [self.graph.node(name) for name in self.graph.in_order()]
        last: tuple[str, ...] = ()
        if any(node.made_by == "narrow" for node in nodes):
            last = ("of what is measured, only the part that is read is computed",)
        if isinstance(packed, str):
            return (f"every member whole from the first write on, because {packed}", *last)
        rows = list(packed.rows.values())
        lines = [
            f"lifted from {packed.first} down: all members in one batch",
            f"{packed.prefix} of {len(nodes)} operations are the same in all, and computed once",
        ]
        if len(set(rows)) > 1:
            depths = ", ".join(map(str, rows))
            lines.append(f"members enter at their own depth: {depths} rows")
        if packed.positions:
            along = ", ".join(packed.positions)
            lines.append(f"along {along}, only positions that differ are computed again")
        return (*lines, *last)

    def _in_parts(
        self,
        parts: int,
        longest: str,
        inputs: Tensors,
        known: Mapping[str, int],
        shared: nn.Module,
        seed: int,
        budget: int,
    ) -> Members:
        """Too much at once: some members of the longest variable at a time."""
        node = self.graph.node(longest)
        site = address(node)
        done = [
            self.run({**inputs, site: part}, known, shared, seed=seed, budget=budget)
            for part in inputs[site].chunk(parts)
        ]
        whole = torch.cat([p.values for p in done], done[0].axes.index(node.axes[0].name))
        lines = (*done[0].how, f"in {len(done)} parts, so that they fit into memory")
        return replace(done[0], values=whole, how=lines)


def _sized(graph: Graph, axis: Axis, size: int) -> Graph:
    """The graph with a number as the size of an axis: nothing reads the variable that has it."""
    with graph.edit() as edit:
        changed = [n for n in graph.in_order() if graph.node(n).attrs == IotaAttrs(axis)]
        for name in changed:
            known = Axis(axis.name, size)
            edit.put(replace(edit.node(name), attrs=IotaAttrs(known), axes=(known,)))
        edit.retype(changed)
    return edit.graph


def _count(graph: Graph, name: str, known: Mapping[str, int]) -> int:
    """How many numbers a value holds."""
    return sizes.evaluate(sizes.product(axis.size for axis in graph.node(name).axes), known)
