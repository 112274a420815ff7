"""A sweep made ready: in parts, with what they have in common computed once."""

from __future__ import annotations

from contextlib import nullcontext
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ...compiler.context import Context
from ...compiler.driver import compile_graph
from ...compiler.sweeps import Contents, Footprint, Packed, apart, held_as
from ...dsl.core import names
from ..lowering import address, loaded
from ..memory import given_back
from .members import count, whole
from .needs import Needs
from .parts import split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from ...compiler.graph import Graph
    from ...compiler.sweeps import Held
    from ..lowering import Lowered
    from .members import Box
    from .sweep import Sweep

    Tensors = Mapping[str, torch.Tensor]


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
        self._lowered: dict[object, Lowered] = {}
        self._contents = Contents()
        self._known: dict[int, torch.Tensor] = {}  # what is the same in all members

    def on(self, inputs: Tensors) -> Work:
        """The same work on other inputs of the same sizes."""
        other = copy(self)
        other.inputs = inputs
        other._known = {}  # what members have in common is of the inputs
        return other

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The parts, in order."""
        everyone = whole(self.counts)
        if self._whole.fits(self._sizes(everyone), self.memory):
            return (everyone,)
        return tuple(split(everyone, lambda box: self._part.fits(self._sizes(box), self._room)))

    @cached_property
    def excess(self) -> float:
        """Bytes that a part takes which is too much even by itself, one member; 0 if none is."""
        if len(self.boxes) == 1:
            return 0
        alone = [self._sizes(box) for box in self.boxes if count(box) == 1]
        over = [known for known in alone if not self._part.has_room(known, self._room)]
        return max((self._part.peak(known) + self.memory - self._room for known in over), default=0)

    @cached_property
    def is_tight(self) -> bool:
        """Whether memory must go back to the system at once."""
        return not self._whole.surely_fits(self._sizes(whole(self.counts)), self.memory)

    @cached_property
    def _whole(self) -> Needs:
        return Needs(self._graph, self._lower, self._rows)

    @cached_property
    def _part(self) -> Needs:
        return Needs(self._held.within(self._graph), self._lower, self._rows)

    @cached_property
    def _room(self) -> int:
        """Bytes that are left for a part beside what all have in common."""
        held = Footprint(self._held.graph).of(self._held.names, self._sizes(whole(self.counts)))
        return self.memory - held

    @property
    def _rows(self) -> tuple[str, ...]:
        """The inputs that say which rows there are."""
        return tuple(self.packed.numbers) if isinstance(self.packed, Packed) else ()

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
        if not self._known:
            self._values(self._held)
        held = self._apart(graph, packed)
        given = {**inputs, **self._numbers(packed), **self._values(held)}
        return self._run(held.within(graph), given)

    def _run(self, graph: Graph, given: Tensors) -> torch.Tensor:
        lowered = self._lower(graph)
        (values,) = self._values_of(lowered, given)
        axes = names(lowered.results[0].axes)
        return values.permute([axes.index(axis) for axis in self.axes])

    def _values_of(self, lowered: Lowered, given: Tensors) -> tuple[torch.Tensor, ...]:
        with torch.no_grad(), given_back() if self.is_tight else nullcontext():
            return lowered(given)

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
            compiled = compile_graph(graph, Context(sizes=self._sizes(whole(self.counts))))
            study, name = self.sweep.study, self.sweep.plan.name
            self._lowered[key] = loaded(
                compiled, study, self.shared, seed=self.seed, name=name, lean=True
            )
        return self._lowered[key]

    # ---- what parts have in common

    @cached_property
    def _held(self) -> Held:
        return self._apart(self._graph, self.packed)

    def _apart(self, graph: Graph, packed: Packed | str) -> Held:
        own = set(self.sweep.nodes)
        if isinstance(packed, Packed):
            own |= packed.numbers.keys()
        return apart(graph, [name for name in own if name in graph])

    def _values(self, held: Held) -> dict[str, torch.Tensor]:
        """As inputs. Each is computed once, for the first part that reads it."""
        contents = self._contents.of(held.graph)
        missing = [name for name in held.names if contents[name] not in self._known]
        if missing:
            graph = held.only(missing).graph
            lowered = self._lower(graph)
            values = self._values_of(lowered, self.inputs)
            for name, result, value in zip(missing, lowered.results, values, strict=True):
                axes = names(result.axes)
                order = [axes.index(axis) for axis in names(graph.node(name).axes)]
                self._known[contents[name]] = value.permute(order)
        return {held_as(name): self._known[contents[name]] for name in held.names}

    # ---- what a part takes

    def _sizes(self, box: Box) -> dict[str, int]:
        counts = self.sweep.counts(self.sweep.chosen(self.inputs, box))
        rows = self.packed.rows_within(box) if isinstance(self.packed, Packed) else {}
        return {**self.known, **counts, **rows}
