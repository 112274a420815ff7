"""The programs of a training: one for each set of timed writes that holds, with what they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .inputs import Inputs

if TYPE_CHECKING:
    import torch

    from ...dsl.program import CheckedStudy, CheckedTraining
    from ..data import Dataset
    from ..parameters import Parameters
    from .inputs import Functions, Lowered


@dataclass(frozen=True, slots=True)
class Program:
    """A study to be called with a batch."""

    function: Lowered
    inputs: Inputs

    def __call__(self, batch: Dataset, call: int) -> tuple[torch.Tensor, ...]:
        """The results; what is drawn depends on the number of the call."""
        return self.function(self.inputs.at(batch, call))


class Programs:
    """Those that learn and those that measure, each made when it is first needed."""

    def __init__(
        self, training: CheckedTraining, functions: Functions, parameters: Parameters, *, seed: int
    ) -> None:
        self.training, self.functions = training, functions
        self.parameters, self.seed = parameters, seed
        self._made: dict[tuple[tuple[int, ...], bool], Program] = {}

    def at(self, phase: int, step: int, *, learns: bool) -> Program:
        """The program in a phase at a step."""
        key = self.training.form(phase, step), learns
        if key not in self._made:
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, form: tuple[int, ...], learns: bool) -> Program:
        functions, training = self.functions, self.training
        study: CheckedStudy = training.train if learns else training.evaluate
        lowered = functions.train if learns else functions.evaluate
        if form:
            both = training.forms[form]
            study = both.train if learns else both.evaluate
            assert functions.lower is not None
            lowered = functions.lower(study)
        inputs = Inputs(study, self.parameters, functions.given, seed=self.seed)
        return Program(lowered, inputs)
