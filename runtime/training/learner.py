"""One step of a training: a batch, the loss, its gradients, what the optimiser makes of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from ...dsl.diagnostics import Diagnostic, Slug, SpecError
from ...dsl.elaborate.optimisation import NONE
from .optimisers import optimiser_for
from .schedules import Schedule, schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.program import CheckedTraining, Phase
    from ..data import Dataset
    from ..parameters import Parameters
    from .optimisers import Optimiser
    from .programs import Program

    Results = tuple[torch.Tensor, ...]


class Learner:
    """Changes parameters, step by step, as a phase says, and the states."""

    def __init__(self, training: CheckedTraining, parameters: Parameters, *, steps: int) -> None:
        self.training, self.parameters, self.steps = training, parameters, steps
        self.span = training.train.span
        self.phase: Phase | None = None
        self.optimiser: Optimiser | None = None
        self.memory: dict[str, Any] = {}  # of what an earlier phase trained, by the same optimiser
        self.schedule, self.since = Schedule(()), 0

    def enter(self, phase: Phase, since: int) -> None:
        """Go on as a phase says that begins with a step. An optimiser that goes on remembers what
        it knows of each parameter."""
        self.memory = self.state() if self._goes_on(phase) else {}
        self.phase, self.optimiser = phase, None
        self.parameters.let_grow(phase.trained)
        if phase.optimiser.name != NONE:
            self.optimiser = optimiser_for(phase, self.parameters, self.span)
            self.restore(self.memory)
        self.since = since if phase.own_schedule else 0
        end = phase.end if phase.own_schedule and phase.end is not None else self.steps
        total = min(end, self.steps) - self.since
        self.schedule = schedule(phase.schedule, total, self.span)

    def _goes_on(self, phase: Phase) -> bool:
        before = self.phase
        if before is None or before.optimiser != phase.optimiser:
            return False
        # what it remembers is of all parameters together
        return phase.optimiser.name != "lbfgs" or before.trained == phase.trained

    def state(self) -> dict[str, Any]:
        """What optimisers remember, by address."""
        own = self.optimiser.state() if self.optimiser is not None else {}
        return {**self.memory, **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember again what `state` gave."""
        self.memory = dict(state)
        if self.optimiser is not None:
            self.optimiser.restore(state)

    def learn(self, program: Program, batch: Dataset, step: int) -> Results:
        """Take a step, counted from 0; gives the results as they were before it."""
        inputs = program.inputs.at(batch, step)
        if self.optimiser is None:
            with torch.no_grad():
                results = self._apart(program.function(inputs))
            self._update(results, step)
            return results
        optimiser = self.optimiser
        optimiser.scale(self.schedule.factor(step - self.since))
        first: list[Results] = []

        def loss() -> float:
            optimiser.torch.zero_grad()
            results = program.function(inputs)
            if not first:  # an optimiser may ask again, with parameters that it tries
                first.append(self._apart(results))
            value = results[0].item()
            if not math.isfinite(value):
                raise self._diverged("loss", value, step)
            if not results[0].requires_grad:
                raise self._untrained()
            torch.autograd.backward(results[0])
            self._clip(optimiser, step)
            return value

        optimiser.torch.step(loss)
        self._update(first[0], step)
        return first[0]

    def rate(self, step: int) -> float:
        """The learning rate at a step, of what is in no group."""
        if self.optimiser is None:
            return 0.0
        return self.optimiser.rate * self.schedule.factor(step - self.since)

    def _clip(self, optimiser: Optimiser, step: int) -> None:
        assert self.phase is not None
        if self.phase.clip:
            weights = [self.parameters[site] for site in optimiser.sites]
            norm = torch.nn.utils.clip_grad_norm_(weights, self.phase.clip).item()
            if not math.isfinite(norm):
                raise self._diverged("gradient", norm, step)

    def _apart(self, results: Results) -> Results:
        """The results, none of them in the memory of a parameter, which is about to change."""
        held = {tensor.untyped_storage().data_ptr() for tensor in self.parameters.values()}
        return tuple(
            result.detach().clone() if result.untyped_storage().data_ptr() in held else result
            for result in results
        )

    def _update(self, results: Sequence[torch.Tensor], step: int) -> None:
        """States and parameters with a rule of their own take their new values, which are the last
        results."""
        sites = [site for site, _ in self.training.train.updates]
        values = results[len(results) - len(sites) :]
        with torch.no_grad():
            for site, value in zip(sites, values, strict=True):
                own = self.parameters[site]
                if own.shape != value.shape:
                    raise ValueError(
                        f"{site} is {tuple(own.shape)}, to become {tuple(value.shape)}"
                    )
                if site in self.parameters.weights and not bool(torch.isfinite(value).all()):
                    raise self._diverged(f"update of `{site}`", math.nan, step)
                own.copy_(value)

    def _diverged(self, what: str, value: float, step: int) -> SpecError:
        message = f"the {what} of `{self.training.name}` is {value} at step {step + 1}"
        outputs = self.training.train.outputs
        span = outputs[0].span if self.training.has_loss else self.span
        hint = "a smaller `lr`, a longer `warmup`, or `clip 1.0`"
        return SpecError([Diagnostic(Slug.FAILED_EXPECTATION, message, span, hint=hint)])

    def _untrained(self) -> SpecError:
        message = f"the loss of `{self.training.name}` depends on nothing that is trained"
        span = self.training.train.outputs[0].span
        return SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
