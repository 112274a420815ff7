"""A sweep of a study as a graph: its axes riding along, or in rows where that is possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...compiler.context import Context
from ...compiler.driver import compile_graph
from ...compiler.reference import NamedArray
from ...compiler.sweeps import Packed, pack
from ...dsl import sizes
from ...dsl.core import Axis, names
from ...dsl.ops import IotaAttrs
from ...dsl.program import SweepInput
from ..lowering import address, part_of
from ..ragged import padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ...compiler.graph import Graph
    from ...dsl.program import CheckedStudy
    from ...dsl.stages import SweepPlan
    from .members import Box

    Tensors = Mapping[str, torch.Tensor]


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
        # members are put in rows, and what they have in common is taken out, before it is batched
        graph = compile_graph(graph, Context(sizes=known, without=frozenset({"batch"})))
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

    def packed(
        self, inputs: Tensors, known: Mapping[str, int], like: Packed | str | None = None
    ) -> Packed | str:
        """The sweep in rows, or why it cannot be; in those of all members, if they are some."""
        if not self.nodes:
            return "no swept value is read"
        given = {
            name: NamedArray(names(self.graph.node(name).axes), self._values(name, inputs).numpy())
            for name in self.nodes
        }
        layout = like.layout if isinstance(like, Packed) else None
        return pack(self.graph, given, {**known, **self.counts(inputs)}, layout)

    def counts(self, inputs: Tensors) -> dict[str, int]:
        """How many values each variable has, by the symbol of its axis."""
        return {
            sizes.show(self.graph.node(name).axes[0].size): len(self._values(name, inputs))
            for name in self.nodes
        }

    def chosen(self, inputs: Tensors, box: Box) -> dict[str, torch.Tensor]:
        """The inputs for the members in a box."""
        sites = [address(self.graph.node(name)) for name in self.nodes]
        parts = zip(sites, box, strict=True)
        return {**inputs, **{site: inputs[site][start:stop] for site, (start, stop) in parts}}

    def values(self, inputs: Tensors, box: Box) -> list[NDArray[np.generic]]:
        """What each variable that is read holds in a box."""
        parts = zip(self.nodes, box, strict=True)
        return [self._values(name, inputs)[start:stop].numpy() for name, (start, stop) in parts]

    def _values(self, name: str, inputs: Tensors) -> torch.Tensor:
        return inputs[address(self.graph.node(name))].cpu()

    def how(self, packed: Packed | str) -> tuple[str, ...]:
        """How the sweep is run, in a few lines."""
        nodes = [self.graph.node(name) for name in self.graph.in_order()]
        last: tuple[str, ...] = ()
        if any(node.made_by == "narrow" for node in nodes):
            last = ("of what is measured, only the part that is read is computed",)
        if not self.plan.variables:  # all are settled: each case is one member
            return last
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


def settled(plan: SweepPlan) -> tuple[str, ...]:
    """How variables are swept that must be known before anything runs, in a line for each."""
    return tuple(
        f"compiled for each value of `{axis}`: {', '.join(map(str, values))}"
        for axis, values in plan.settled.items()
    )


def _sized(graph: Graph, axis: Axis, size: int) -> Graph:
    """The graph with a number as the size of an axis: nothing reads the variable that has it."""
    with graph.edit() as edit:
        changed = [n for n in graph.in_order() if graph.node(n).attrs == IotaAttrs(axis)]
        for name in changed:
            known = Axis(axis.name, size)
            edit.put(replace(edit.node(name), attrs=IotaAttrs(known), axes=(known,)))
        edit.retype(changed)
    return edit.graph
