"""A training from its first step to its last: batches, evaluations, checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...dsl.diagnostics import Diagnostic, Slug, SpecError
from ...dsl.elaborate.optimisation import NONE
from ..data import Cursor
from .checkpoints import Checkpoint, Folder
from .fingerprint import fingerprint
from .history import History
from .interrupts import deferred
from .learner import Learner
from .options import whole
from .phases import Phases
from .programs import Programs
from .progress import SILENT, Moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray

    from ...dsl.program import CheckedTraining
    from ..data import Dataset
    from ..parameters import Parameters
    from .expectations import Expectation
    from .inputs import Functions
    from .interrupts import Stop
    from .progress import Progress

AUTOSAVE = 300.0  # seconds after which a checkpoint is written, asked for or not


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training, besides its parameters."""

    history: xarray.Dataset
    expectations: tuple[Expectation, ...]


def train(
    training: CheckedTraining,
    functions: Functions,
    parameters: Parameters,
    data: Dataset,
    *,
    folder: Path,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = SILENT,
    beside: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
) -> Trained:
    """Train `parameters`, in place; SpecError if the spec asks for what cannot be.

    Checkpoints go to `folder`; with `resume` it goes on from the latest of them. It is evaluated
    on `data.held`, or on all the data if nothing is held back. `beside` are the numbers of weights
    that runs have of their own. Ctrl-C: KeyboardInterrupt, once a checkpoint is written.
    """
    with parameters.only(()), deferred() as stop:
        loop = _Loop(
            training, functions, parameters, data, folder, seed, progress, stop, beside or {}
        )
        loop.begin(resume=resume)
        loop.run()
    about = {
        "training": training.name,
        "seed": loop.seed,
        "evaluated_on": "data" if data.held is None else "held",
    }
    return Trained(loop.history.dataset(about), loop.history.expectations(loop.steps))


class _Loop:
    """A training on its way. What it is between two steps, a checkpoint holds."""

    def __init__(
        self,
        training: CheckedTraining,
        functions: Functions,
        parameters: Parameters,
        data: Dataset,
        folder: Path,
        seed: int,
        progress: Progress,
        stop: Stop,
        beside: Mapping[str, Mapping[str, torch.Tensor]],
    ) -> None:
        self.training, self.parameters, self.data = training, parameters, data
        self.progress, self.stop = progress, stop
        self.batch, self.steps = _lengths(training, data)
        self.seed = seed + int(training.settings["seed"])
        self.learner = Learner(training, parameters, steps=self.steps)
        self.programs = Programs(training, functions, parameters, seed=self.seed)
        self.phases = Phases(training)
        self.history = History(training.evaluate.outputs)
        self.folder = Folder(folder, training.train.span)
        self.fingerprint = fingerprint(training, data, self.seed, beside)
        self.step, self.cursor = 0, Cursor()
        self.saved = time.monotonic()

    def begin(self, *, resume: bool) -> None:
        """From the latest checkpoint, or anew."""
        found = self.folder.latest(self.fingerprint) if resume else None
        if found is None:
            self.folder.set_aside()
            self._enter()
            return
        self.parameters.load(found.parameters, span=self.training.train.span)
        self.phases.now, self.phases.since = found.phase
        self._enter()
        self.learner.restore(found.optimiser)
        self.history.restore(found.history)
        self.step, self.cursor = found.step, found.cursor

    def _enter(self) -> None:
        """Take up the phase that it is in. After the last one the training is over."""
        if self.phases.over:
            self.steps = self.step
        else:
            self.learner.enter(self.phases.current, self.phases.since)

    def run(self) -> None:
        """To the last step, or to where the user stops it."""
        self.progress.start(self.training.name, self.step, self.steps)
        try:
            self._now_and_then()
            batches = self.data.stream(self.batch, seed=self.seed, start=self.cursor)
            while self.step < self.steps and not self.stop.asked:
                batch, cursor = next(batches)
                self._learn(batch)
                self.step, self.cursor = self.step + 1, cursor
                self._now_and_then()
            self._save()
        finally:
            self.progress.stop()
        if self.stop.asked:
            raise KeyboardInterrupt

    def _learn(self, batch: Dataset) -> None:
        program = self.programs.at(self.phases.now, self.step, learns=True)
        results = self.learner.learn(program, batch, self.step)
        values = [result.item() for result in results[: self.history.results]]
        rate = self.learner.rate(self.step)
        self.history.learned(values, rate)
        self.progress.step(
            Moment(self.step + 1, values[0] if values else None, rate, *_amount(batch))
        )

    def _now_and_then(self) -> None:
        """What is due after so many steps; evaluations first, so that a checkpoint holds them."""
        rows = self.training.every if self.step else ()
        due = {action for count, action in rows if count and self.step % count == 0}
        if "evaluate" in due or self.step == self.steps:
            self._evaluate()
        if self.phases.advance(self.step, self.history):
            self._enter()
        if "snapshot" in due and not self.stop.asked:
            self._save(keep=True)
        elif time.monotonic() - self.saved > AUTOSAVE:
            self._save()

    def _evaluate(self) -> None:
        """Means of the outputs over the batches of the held-out part, weighted by examples."""
        if self.step in self.history.held:
            return
        if not self.history.results:
            self.history.held[self.step] = ()
            return
        program = self.programs.at(self.phases.now, self.step, learns=False)
        part = self.data if self.data.held is None else self.data.held
        total, count = np.zeros(self.history.results), 0
        with torch.no_grad():
            for number, batch in enumerate(part.batches(self.batch), start=1):
                if self.stop.asked:  # it is done when the training is taken up again
                    return
                # calls below 0: what is drawn here is never what is drawn at a step
                results = program(batch, -number)
                total += len(batch) * np.array([r.item() for r in results[: len(total)]])
                count += len(batch)
        held = (total / count).tolist()
        self.history.held[self.step] = tuple(held)
        self.progress.held(self.step, {name: held[at] for name, at in self.history.places.items()})

    def _save(self, *, keep: bool = False) -> None:
        checkpoint = Checkpoint(
            self.step,
            (self.phases.now, self.phases.since),
            self.cursor,
            self.fingerprint,
            self.parameters.state(),
            self.learner.state(),
            self.history.tensors(),
        )
        self.folder.save(checkpoint, keep=keep)
        self.saved = time.monotonic()


def _lengths(training: CheckedTraining, data: Dataset) -> tuple[int, int]:
    """The size of a batch, and how many steps there are: the fewer, if epochs are said too."""
    span, settings = training.train.span, training.settings
    batch = whole("`batch`", settings["batch"], span, least=1)
    if not len(data):
        raise SpecError([Diagnostic(Slug.BAD_FILE, "there is no example to train on", span)])
    phases = [*training.phases, training.course]
    if any(not phase.trained and phase.optimiser.name != NONE for phase in phases):
        message = f"`{training.name}` trains no parameter"
        raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    a_pass = len(data) // min(batch, len(data))
    ends = (
        int(settings["steps"]),
        int(settings["epochs"]) * a_pass,
        training.course.end or 0,
    )
    return batch, min(end for end in ends if end)


def _amount(batch: Dataset) -> tuple[int, str]:
    """How much a batch is: tokens where it has sequences of whole numbers, else examples."""
    sequences = [
        c for c in batch.columns.values() if len(c.axes) > 1 and c.values.dtype.kind == "i"
    ]
    counts = [
        int(next(iter(column.lengths.values())).sum()) if column.lengths else column.values.size
        for column in sequences
    ]
    return (max(counts), "tokens") if counts else (len(batch), "examples")
