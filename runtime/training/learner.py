"""One step of a training: a batch, the loss, its gradients, what the optimiser makes of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ...dsl.diagnostics import Diagnostic, Slug, SpecError
from .inputs import Inputs
from .optimisers import optimiser_for
from .schedules import schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...dsl.program import CheckedTraining
    from ..data import Dataset
    from ..parameters import Parameters
    from .inputs import Functions

    Results = tuple[torch.Tensor, ...]


class Learner:
    """Changes the trained parameters, step by step, and the states."""

    def __init__(
        self,
        training: CheckedTraining,
        functions: Functions,
        parameters: Parameters,
        *,
        steps: int,
        seed: int,
    ) -> None:
        self.training, self.function, self.parameters = training, functions.train, parameters
        self.clip = training.settings["clip"]
        self.optimiser = optimiser_for(training, parameters)
        self.schedule = schedule(training.schedule, steps, training.train.span)
        self.inputs = Inputs(training.train, parameters, functions.given, seed=seed)

    def learn(self, batch: Dataset, step: int) -> Results:
        """Take a step, counted from 0; gives the results as they were before it."""
        inputs = self.inputs.at(batch, step)
        self.optimiser.scale(self.schedule.factor(step))
        first: list[Results] = []

        def loss() -> float:
            self.optimiser.torch.zero_grad()
            results = self.function(inputs)
            if not first:  # an optimiser may ask again, with parameters that it tries
                first.append(results)
            value = results[0].item()
            if not math.isfinite(value):
                raise self._diverged("loss", value, step)
            if not results[0].requires_grad:
                raise self._untrained()
            torch.autograd.backward(results[0])
            self._clip(step)
            return value

        self.optimiser.torch.step(loss)
        self._update(first[0])
        return first[0]

    def rate(self, step: int) -> float:
        """The learning rate at a step, of what is in no group."""
        return self.optimiser.rate * self.schedule.factor(step)

    def _clip(self, step: int) -> None:
        if self.clip:
            weights = [self.parameters[site] for site in self.optimiser.sites]
            norm = torch.nn.utils.clip_grad_norm_(weights, self.clip).item()
            if not math.isfinite(norm):
                raise self._diverged("gradient", norm, step)

    def _update(self, results: Sequence[torch.Tensor]) -> None:
        """States take their new values, which are the last results."""
        updates = self.training.train.updates
        for (site, _), value in zip(updates, results[len(results) - len(updates) :], strict=True):
            state = self.parameters[site]
            if state.shape != value.shape:
                raise ValueError(f"{site} is {tuple(state.shape)}, to become {tuple(value.shape)}")
            state.copy_(value.detach())

    def _diverged(self, what: str, value: float, step: int) -> SpecError:
        message = f"the {what} of `{self.training.name}` is {value} at step {step + 1}"
        span = self.training.train.outputs[0].span
        hint = "a smaller `lr`, a longer `warmup`, or `clip 1.0`"
        return SpecError([Diagnostic(Slug.FAILED_EXPECTATION, message, span, hint=hint)])

    def _untrained(self) -> SpecError:
        message = f"the loss of `{self.training.name}` depends on nothing that is trained"
        span = self.training.train.outputs[0].span
        return SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
