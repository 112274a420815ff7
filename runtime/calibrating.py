"""A `calibrate` statement run on a model: batch after batch, and what was found kept in a file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..dsl.core import names
from ..dsl.diagnostics import Slug
from ..dsl.program import FieldInput, StatisticsInput
from . import statistics
from .lowering import lower
from .mistakes import mistake
from .parameters import Parameters
from .training.fingerprint import digest, plain
from .training.inputs import Inputs
from .weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from ..dsl.program import CheckedCalibration, Source
    from .data import Dataset
    from .sources import Library

Array = NDArray[Any]
BATCH = 32
AUTOSAVE = 60.0  # seconds after which what is known is written, to go on from
KEY = "neuraxis"


def calibrate(
    calibration: CheckedCalibration,
    shared: nn.Module,
    library: Library,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    batch: int = BATCH,
) -> dict[str, Array]:
    """The statistics by name, in float64; SpecError. They are written to `NAME.safetensors` in the
    folder; with `resume`, what stands there of the very same calibration is gone on from."""
    study = calibration.study
    assert study.data is not None
    data = library.lessons(study.data)
    if any(column.lengths for column in data.columns.values()):
        message = "statistics of examples that have lengths of their own are not built yet"
        raise mistake(Slug.UNBUILT, message, study.span)
    data = data.pick(slice(0, calibration.examples))
    path = folder / f"{calibration.name}.safetensors"
    print_ = _print(calibration, shared, data, seed)
    states, done = _before(path, print_) if resume else ({}, 0)
    if done < len(data):
        given: dict[Source, torch.Tensor] = {}
        own = Parameters(dict(shared.named_parameters()))
        for node in (step.node for step in study.body.steps):
            source = study.sources.get(node.name)
            if source is not None and not isinstance(source, FieldInput):
                given[source] = library.tensor(node, source, {}, own.device)
        how = (given, own, path, print_, seed, batch)
        states = _run(calibration, shared, data, states, done, *how)
    return _results(calibration, states, len(data))


def _run(
    calibration: CheckedCalibration,
    shared: nn.Module,
    data: Dataset,
    states: dict[int, statistics.State],
    done: int,
    given: Mapping[Source, torch.Tensor],
    own: Parameters,
    path: Path,
    print_: str,
    seed: int,
    batch: int,
) -> dict[int, statistics.State]:
    study = calibration.study
    lowered = lower(study, study.body.results, shared, seed=seed)
    inputs = Inputs(study, own, given, seed=seed)
    axes = _axes(calibration)
    saved = time.monotonic()
    for first in range(done, len(data), batch):
        part = data.pick(slice(first, first + batch))
        with torch.no_grad():
            found = iter(lowered(inputs.at(part, first)))
        for at, fold in enumerate(calibration.folds):
            values = [next(found).cpu().numpy() for _ in fold.nodes]
            try:
                new = statistics.kept(fold, values, axes[at], first)
            except ValueError as error:
                raise mistake(Slug.BAD_INDEX, str(error), study.span) from None
            states[at] = statistics.joined(fold, states[at], new) if at in states else new
        done = min(first + batch, len(data))
        if done == len(data) or time.monotonic() - saved > AUTOSAVE:
            _save(path, states, done, print_, calibration, len(data))
            saved = time.monotonic()
    return states


def _axes(calibration: CheckedCalibration) -> list[list[tuple[str, ...]]]:
    nodes = {step.node.name: step.node for step in calibration.study.body.steps}
    return [[names(nodes[name].axes) for name in fold.nodes] for fold in calibration.folds]


def _results(
    calibration: CheckedCalibration, states: Mapping[int, statistics.State], count: int
) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for at, (fold, axes) in enumerate(zip(calibration.folds, _axes(calibration), strict=True)):
        made = statistics.results(fold, states[at], axes)
        for name, own in fold.results:
            if made[name].shape != tuple(axis.size for axis in own):
                message = f"`{name}` wants more than the {count} examples that there are"
                raise mistake(Slug.BAD_SIZE, message, calibration.study.span)
        found |= made
    return found


def _save(
    path: Path,
    states: Mapping[int, statistics.State],
    done: int,
    print_: str,
    calibration: CheckedCalibration,
    count: int,
) -> None:
    """What is known so far and, once it is all, what was found."""
    arrays = {f"kept/{name}": array for name, array in statistics.packed(states).items()}
    if done == count:
        arrays |= _results(calibration, states, count)
    about = json.dumps({"done": done, "of": print_})
    save_weights(path, {n: np.ascontiguousarray(a) for n, a in arrays.items()}, about={KEY: about})


def _before(path: Path, print_: str) -> tuple[dict[int, statistics.State], int]:
    """What an earlier run of the very same calibration kept, and of how many examples."""
    if not path.exists():
        return {}, 0
    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "{}"))
            kept = {
                name.removeprefix("kept/"): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118  # no dict
                if name.startswith("kept/")
            }
    except (SafetensorError, OSError, ValueError):
        return {}, 0
    if about.get("of") != print_:
        return {}, 0
    return statistics.unpacked(kept), int(about["done"])


def _print(calibration: CheckedCalibration, shared: nn.Module, data: Dataset, seed: int) -> str:
    """What must be the same for a calibration to go on."""
    numbers = [
        (name, digest(value.detach().cpu().float().numpy().tobytes()))
        for name, value in shared.named_parameters()
    ]
    fields = [
        (name, column.axes, column.values.shape, digest(column.values.tobytes()))
        for name, column in data.columns.items()
    ]
    return digest((plain(calibration), numbers, fields, seed))


def sources_of(study: Any) -> set[str]:
    """The calibrations that a study reads."""
    return {s.calibration for s in study.sources.values() if isinstance(s, StatisticsInput)}
