"""A `train` statement run on a model: its losses lowered, its data loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.program import FieldInput
from .lowering import Lowered, lower, part_of
from .parameters import Parameters
from .training import SILENT, Functions, train

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..dsl.program import CheckedStudy, CheckedTraining, Source
    from .module import Model
    from .sources import Library
    from .training import Progress, Trained


def parameters_of(model: Model) -> Parameters:
    """The model's own parameters and states, by address."""
    return Parameters(*model.parameters_by_site())


def teach(
    training: CheckedTraining,
    model: Model,
    library: Library,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Trained:
    """Train the model in place."""
    assert training.train.data is not None
    data = library.dataset(training.train.data.name)
    given: dict[Source, torch.Tensor] = {}
    for study in (training.train, training.evaluate):
        nodes = {step.node.name: step.node for step in study.body.steps}
        for name, source in study.sources.items():
            if not isinstance(source, FieldInput):
                given[source] = library.tensor(nodes[name], source, None)
    functions = Functions(
        _lowered(training.train, model, seed), _lowered(training.evaluate, model, seed), given
    )
    return train(
        training,
        functions,
        parameters_of(model),
        data,
        folder=folder,
        seed=seed,
        resume=resume,
        progress=progress,
    )


def _lowered(study: CheckedStudy, model: Model, seed: int) -> Lowered:
    return lower(part_of(study.body, study.body.results), study.name, study.model, model, seed=seed)
