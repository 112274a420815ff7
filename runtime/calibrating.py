"""A `calibrate` statement run on a model: batch after batch, and where it takes several passes over
the examples, pass after pass."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..dsl.core import names
from ..dsl.diagnostics import Slug
from ..dsl.program import ArgumentInput, FieldInput, StatisticsInput
from . import statistics
from .calibrated import Kept, Progress
from .lowering import lower
from .mistakes import mistake
from .parameters import Parameters
from .ragged import check_limits, lengths_of, sizes_of
from .rows import Batch
from .sources import read_by
from .training.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from ..dsl.program import CheckedCalibration, Fold, Source
    from .data import Dataset
    from .sources import Library

Array = NDArray[Any]
BATCH = 32
AUTOSAVE = 60.0  # seconds after which what is known is written, to go on from


def calibrate(
    calibration: CheckedCalibration,
    shared: nn.Module,
    library: Library,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    batch: int = BATCH,
    values: Mapping[str, float | torch.Tensor | None] | None = None,
) -> dict[str, Array]:
    """The statistics by name, in float64; SpecError. They are written to `NAME.safetensors` in the
    folder; with `resume`, what stands there of the very same calibration is gone on from. `values`
    are those of further inputs of the model."""
    study = calibration.study
    assert study.data is not None
    data = library.lessons(study.data).pick(slice(0, calibration.examples))
    path = folder / f"{calibration.name}.safetensors"
    given = {
        name: torch.as_tensor(value) for name, value in (values or {}).items() if value is not None
    }
    kept = Kept.at(path, calibration, shared, given, data, seed)
    progress = kept.read() if resume else Progress()
    passes = _Passes(calibration, shared, library, data, kept, given, seed=seed, batch=batch)
    last = max((statistics.passes(fold) for fold in calibration.folds), default=0)
    while not progress.over:
        progress = passes.read(progress)
        following = passes.following(progress)
        settled = progress.turn > 0 and _same(following, progress.before)
        if progress.turn == last or settled:
            progress = replace(progress, over=True)
        else:
            progress = Progress(progress.states, 0, progress.turn + 1, following)
    found = _results(calibration, progress.states, len(data))
    kept.write(progress, found)
    return found


class _Passes:
    def __init__(
        self,
        calibration: CheckedCalibration,
        shared: nn.Module,
        library: Library,
        data: Dataset,
        kept: Kept,
        values: Mapping[str, torch.Tensor],
        *,
        seed: int,
        batch: int,
    ) -> None:
        self.calibration, self.shared, self.data = calibration, shared, data
        self.kept, self.seed, self.batch = kept, seed, batch
        study = calibration.study
        assert study.data is not None
        lengths = lengths_of(read_by(study), {study.data.name: data})
        check_limits(study.limits, sizes_of(data), lengths)
        self.ragged = tuple(lengths)
        own = Parameters(dict(shared.named_parameters()))
        given: dict[Source, torch.Tensor] = {}
        for node in (step.node for step in study.body.steps):
            source = study.sources.get(node.name)
            if isinstance(source, ArgumentInput) and source.name in values:
                given[source] = values[source.name].to(own.device)
            elif source is not None and not isinstance(source, FieldInput):
                given[source] = library.tensor(node, source, {}, own.device)
        self.inputs = Inputs(study, own, given, seed=seed)

    def read(self, progress: Progress) -> Progress:
        """Go through the examples that are left of a pass."""
        study, data = self.calibration.study, self.data
        folds = {
            at: fold
            for at, fold in enumerate(self.calibration.folds)
            if progress.turn <= statistics.passes(fold)
        }
        states = {
            at: state for at, state in progress.states.items() if progress.done or at not in folds
        }
        wanted = tuple(name for fold in folds.values() for name in fold.reads)
        lowered = lower(study, wanted, self.shared, ragged=self.ragged, seed=self.seed)
        saved = time.monotonic()
        for first in range(progress.done, len(data), self.batch):
            part = data.pick(slice(first, first + self.batch))
            with torch.no_grad():
                found = iter(lowered(self.inputs.at(part, first)))
            for at, fold in folds.items():
                batch = self._batch(fold, [next(found).cpu().numpy() for _ in fold.reads], first)
                try:
                    new = statistics.kept(fold, batch, self.seed, progress.before.get(at))
                except ValueError as error:
                    raise mistake(Slug.BAD_INDEX, str(error), study.span) from None
                if new is not None:
                    known = states.get(at)
                    states[at] = new if known is None else statistics.joined(fold, known, new)
            done = min(first + self.batch, len(data))
            progress = replace(progress, states=states, done=done)
            if time.monotonic() - saved > AUTOSAVE:
                self.kept.write(progress)
                saved = time.monotonic()
        return progress

    def following(self, progress: Progress) -> dict[int, statistics.State]:
        """What the next pass is told."""
        return {
            at: statistics.ended(fold, progress.states[at], self.seed)
            for at, fold in enumerate(self.calibration.folds)
            if progress.turn < statistics.passes(fold)
        }

    def _batch(self, fold: Fold, arrays: list[Array], first: int) -> Batch:
        """The values of a batch, and how much its examples have of the axes that go."""
        nodes = {step.node.name: step.node for step in self.calibration.study.body.steps}
        axes = [names(nodes[name].axes) for name in fold.nodes]
        counts = zip(fold.extents, arrays[len(axes) :], strict=True)
        lengths = {axis: count for (axis, _), count in counts if count.ndim}
        return Batch(arrays[: len(axes)], axes, first, lengths)


def _same(one: dict[int, statistics.State], other: dict[int, statistics.State]) -> bool:
    return one.keys() <= other.keys() and all(
        np.array_equal(value, other[at][name])
        for at, state in one.items()
        for name, value in state.items()
    )


def _results(
    calibration: CheckedCalibration, states: dict[int, statistics.State], count: int
) -> dict[str, Array]:
    nodes = {step.node.name: step.node for step in calibration.study.body.steps}
    found: dict[str, Array] = {}
    for at, fold in enumerate(calibration.folds):
        if at not in states:
            message = f"there is nothing to make `{fold.results[0][0]}` of: no example has a place"
            raise mistake(Slug.BAD_SIZE, message, calibration.study.span)
        axes = [names(nodes[name].axes) for name in fold.nodes]
        made = statistics.results(fold, states[at], axes)
        for name, own in fold.results:
            if made[name].shape != tuple(axis.size for axis in own):
                message = f"`{name}` wants more than the {count} examples that there are"
                raise mistake(Slug.BAD_SIZE, message, calibration.study.span)
        found |= made
    return found


def sources_of(study: Any) -> set[str]:
    """The calibrations that a study reads."""
    return {s.calibration for s in study.sources.values() if isinstance(s, StatisticsInput)}
