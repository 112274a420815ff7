"""A sweep made ready: in parts, with what they have in common computed once."""

from __future__ import annotations

from contextlib import nullcontext
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ...compiler.context import Context
from ...compiler.driver import compile_graph
from ...compiler.sweeps import Footprint, Packed, apart, held_as
from ...dsl.core import names
from ..lowering import address, loaded
from ..memory import given_back
from .members import whole
from .parts import WORK, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from ...compiler.graph import Graph
    from ...compiler.sweeps import Held
    from ..lowering import Lowered
    from .members import Box
    from .sweep import Sweep

    Tensors = Mapping[str, torch.Tensor]

MARGIN = 1.3  # measured memory over the estimate: 1.27 in GPT-2 small (`bench/sweep_memory.py`)
LOOSE = 2.5  # the same where freed memory stays with the process: 2.3 there


class Work:
    """A sweep on given inputs: `boxes` are its parts, each of at most so many bytes.

    `inputs` are tensors by the address of their node, swept values included; `known` are the
    run-time sizes.
    """

    def __init__(
        self,
        sweep: Sweep,
        inputs: Tensors,
        known: Mapping[str, int],
        shared: nn.Module,
        *,
        seed: int,
        memory: int,
    ) -> None:
        self.sweep, self.inputs, self.known, self.shared = sweep, inputs, known, shared
        self.seed, self.memory = seed, memory
        self.packed = sweep.packed(inputs, known)
        self.tight = False  # whether memory must go back to the system at once
        self._lowered: dict[object, Lowered] = {}

    def on(self, inputs: Tensors) -> Work:
        """The same work on other inputs of the same sizes."""
        other = copy(self)
        other.inputs = inputs
        other.__dict__.pop("_values", None)  # what members have in common is of the inputs
        return other

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The parts, in order."""
        everyone = whole(self.counts)
        found = Footprint(self._graph)
        self.tight = found.peak(self._sizes(everyone)) * LOOSE > self.memory
        if self._fits(found, everyone, self.memory):
            return (everyone,)
        held = Footprint(self._held.graph)
        room = self.memory - held.results(self._sizes(everyone))
        part = Footprint(self._held.within(self._graph))
        return tuple(split(everyone, lambda box: self._fits(part, box, room)))

    @property
    def swept(self) -> tuple[str, ...]:
        """The axes of the variables that are read, and that a box has a range of."""
        return tuple(self.sweep.graph.node(name).axes[0].name for name in self.sweep.nodes)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many values each of them has."""
        return tuple(self.sweep.counts(self.inputs).values())

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the result, the swept ones first."""
        own = names(self.sweep.graph.node(self.sweep.graph.results[0]).axes)
        swept = self.sweep.plan.variables
        return (*swept, *(axis for axis in own if axis not in swept))

    def part(self, box: Box) -> torch.Tensor:
        """What some members give, along `axes`."""
        inputs = self.sweep.chosen(self.inputs, box)
        if len(self.boxes) == 1:
            return self._run(self._graph, {**inputs, **self._numbers(self.packed)})
        packed = self.sweep.packed(inputs, self.known, self.packed)
        graph = packed.graph if isinstance(packed, Packed) else self.sweep.graph
        given = {**inputs, **self._numbers(packed), **self._values}
        return self._run(self._held.within(graph), given)

    def _run(self, graph: Graph, given: Tensors) -> torch.Tensor:
        lowered = self._lower(graph)
        with torch.no_grad(), given_back() if self.tight else nullcontext():
            (values,) = lowered(given)
        axes = names(lowered.results[0].axes)
        return values.permute([axes.index(axis) for axis in self.axes])

    def weights(self) -> list[tuple[str, torch.Tensor]]:
        """The parameters and states that the experiment runs on, by the name they are held by."""
        held = dict(self.shared.named_parameters(remove_duplicate=False))
        return sorted({**held, **dict(self.shared.named_buffers(remove_duplicate=False))}.items())

    # ---- graphs

    @property
    def _graph(self) -> Graph:
        """That of all members."""
        return self.packed.graph if isinstance(self.packed, Packed) else self.sweep.graph

    def _numbers(self, packed: Packed | str) -> dict[str, torch.Tensor]:
        """Which rows there are, as inputs."""
        if isinstance(packed, str):
            return {}
        device = next((tensor.device for tensor in self.inputs.values()), None)
        return {
            address(packed.graph.node(name)): torch.as_tensor(numbers).to(device)
            for name, numbers in packed.numbers.items()
        }

    def _lower(self, graph: Graph) -> Lowered:
        """The graph as code. Parts that differ in numbers alone have the same."""
        key = tuple(
            (name, graph.node(name).op.name, repr(graph.node(name).attrs), graph.operands(name))
            for name in graph.in_order()
        )
        if key not in self._lowered:
            compiled = compile_graph(graph, Context())
            study, name = self.sweep.study, self.sweep.plan.name
            self._lowered[key] = loaded(
                compiled, study, self.shared, seed=self.seed, name=name, lean=True
            )
        return self._lowered[key]

    # ---- what parts have in common

    @cached_property
    def _held(self) -> Held:
        own = set(self.sweep.nodes)
        if isinstance(self.packed, Packed):
            own |= self.packed.numbers.keys()
        return apart(self._graph, [name for name in own if name in self._graph])

    @cached_property
    def _values(self) -> dict[str, torch.Tensor]:
        if not self._held.names:
            return {}
        lowered = self._lower(self._held.graph)
        with torch.no_grad():
            found = zip(self._held.names, lowered.results, lowered(self.inputs), strict=True)
        held = {}
        for name, result, value in found:
            axes = names(result.axes)
            order = names(self._held.graph.node(name).axes)
            held[held_as(name)] = value.permute([axes.index(axis) for axis in order])
        return held

    # ---- what a part takes

    def _fits(self, footprint: Footprint, box: Box, memory: int) -> bool:
        known = self._sizes(box)
        return footprint.work(known) <= WORK and footprint.peak(known) * MARGIN <= memory

    def _sizes(self, box: Box) -> dict[str, int]:
        counts = self.sweep.counts(self.sweep.chosen(self.inputs, box))
        rows = self.packed.rows_within(box) if isinstance(self.packed, Packed) else {}
        return {**self.known, **counts, **rows}
