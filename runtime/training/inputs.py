"""What a lowered program reads at a call: fields, lengths, drawn numbers, constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from ...compiler import draws
from ...dsl import sizes
from ...dsl.ops import InputAttrs, RandomAttrs
from ...dsl.program import ArgumentInput, FieldInput, Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...dsl.core import Node
    from ...dsl.program import CheckedStudy
    from ..data import Dataset
    from ..parameters import Parameters

Lowered = Callable[[Mapping[str, torch.Tensor]], tuple[torch.Tensor, ...]]
"""A study to be called: inputs and drawn numbers by address (`Node.site`, else its name), with the
axes in their nodes' order; gives the results of its body in order."""


@dataclass(frozen=True, slots=True)
class Functions:
    """A training in both modes, and the values of those inputs that are no fields of the data.

    `lower` makes the programs in which timed writes hold.
    """

    train: Lowered
    evaluate: Lowered
    given: Mapping[Source, torch.Tensor] = field(default_factory=dict)
    lower: Callable[[CheckedStudy], Lowered] | None = None


class Inputs:
    """What one study reads at each call. Numbers are drawn by seed, address and call."""

    def __init__(
        self,
        study: CheckedStudy,
        parameters: Parameters,
        given: Mapping[Source, torch.Tensor],
        *,
        seed: int,
    ) -> None:
        self.device, self.dtype, self.seed = parameters.device, parameters.dtype, seed
        self.fields: dict[str, tuple[Node, str]] = {}
        self.constants: dict[str, torch.Tensor] = {}
        self.random: list[Node] = []
        for node in (step.node for step in study.body.steps):
            if isinstance(node.attrs, RandomAttrs):
                self.random.append(node)
            elif isinstance(node.attrs, InputAttrs):
                match study.sources[node.name]:
                    case FieldInput(field=name):
                        self.fields[_address(node)] = node, name
                    case source:
                        value = _constant(source, given)
                        self.constants[_address(node)] = self._placed(value)

    def at(self, batch: Dataset, call: int) -> dict[str, torch.Tensor]:
        """All inputs for one call."""
        found = dict(self.constants)
        known: dict[str, int] = {}
        for address, (node, name) in self.fields.items():
            column = batch[name]
            assert isinstance(node.attrs, InputAttrs)
            values = column.values.transpose([column.axes.index(axis) for axis in node.attrs.order])
            found[address] = self._tensor(values)
            for axis, lengths in column.lengths.items():
                found[f"lengths.{axis}"] = self._tensor(lengths)
            for own in node.attrs.axes:
                if own.size == sizes.symbol(own.name):
                    known[own.name] = column.values.shape[column.axes.index(own.name)]
        draw = draws.drawn(self.seed, call)
        for node in self.random:
            shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
            found[_address(node)] = self._tensor(draw(node, shape))
        return found

    def _tensor(self, array: NDArray[np.generic]) -> torch.Tensor:
        return self._placed(torch.from_numpy(array))

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else tensor.dtype)


def _address(node: Node) -> str:
    return node.site or node.name


def _constant(source: Source, given: Mapping[Source, torch.Tensor]) -> torch.Tensor:
    if source in given:
        return given[source]
    if isinstance(source, ArgumentInput) and source.default is not None:
        return torch.tensor(source.default)
    raise ValueError(f"no value is given for {source}")
