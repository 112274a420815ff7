"""What was measured while training: at every step, and on the held-out part now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from .expectations import Expectation, expectation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.program import Output

RATE = "optimiser.lr"  # no value of a spec can be called so


@dataclass(frozen=True, slots=True)
class History:
    """Numbers by step. A row of `steps` has the values and the learning rate, one of `held` the
    results of all outputs."""

    outputs: tuple[Output, ...]
    steps: list[tuple[float, ...]] = field(default_factory=list)
    held: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, int]:
        """Where each value stands among the results."""
        starts = np.cumsum([0, *(len(output.nodes) for output in self.outputs)])
        return {
            output.label: int(start)
            for output, start in zip(self.outputs, starts, strict=False)
            if output.kind == "value"
        }

    @property
    def results(self) -> int:
        """How many results the outputs have together."""
        return sum(len(output.nodes) for output in self.outputs)

    def learned(self, values: Sequence[float], rate: float) -> None:
        """Add a step."""
        self.steps.append((*(values[place] for place in self.places.values()), rate))

    def expectations(self, step: int) -> tuple[Expectation, ...]:
        """The expectations, judged by what was held of the outputs at a step."""
        found, at = [], 0
        for output in self.outputs:
            sides = self.held[step][at : at + len(output.nodes)]
            at += len(output.nodes)
            if output.kind == "expect":
                found.append(expectation(output, sides))
        return tuple(found)

    def holds(self, label: str, step: int) -> bool:
        """Whether the end of that label held at a step; not where nothing was measured."""
        at = 0
        for output in self.outputs:
            if output.kind == "until" and output.label == label and step in self.held:
                sides = self.held[step][at : at + len(output.nodes)]
                return expectation(output, sides).holds
            at += len(output.nodes)
        return False

    def dataset(self, attrs: Mapping[str, object]) -> xarray.Dataset:
        """Everything as arrays along `step`, and along `evaluated` for the held-out part."""
        names = [*self.places, RATE]
        steps = np.array(self.steps, dtype=np.float64).reshape(-1, len(names))
        held = np.array(list(self.held.values()), dtype=np.float64).reshape(
            len(self.held), self.results
        )
        variables = {name: ("step", steps[:, at]) for at, name in enumerate(names)}
        variables |= {
            f"held.{name}": ("evaluated", held[:, at]) for name, at in self.places.items()
        }
        coordinates = {"step": np.arange(1, len(steps) + 1), "evaluated": list(self.held)}
        return xarray.Dataset(variables, coordinates, dict(attrs))

    def tensors(self) -> dict[str, torch.Tensor]:
        """As tensors, to be kept."""
        return {
            "steps": torch.tensor(self.steps, dtype=torch.float64),
            "held": torch.tensor(list(self.held.values()), dtype=torch.float64),
            "evaluated": torch.tensor(list(self.held), dtype=torch.int64),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.steps[:] = map(tuple, tensors["steps"].tolist())
        self.held.clear()
        at = tensors["evaluated"].tolist()
        self.held.update(zip(at, map(tuple, tensors["held"].tolist()), strict=True))
