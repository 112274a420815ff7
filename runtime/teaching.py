"""A `train` statement run on a model: its losses lowered, its data loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.program import FieldInput, Form
from .lowering import lower
from .module import beside
from .parameters import Parameters
from .ragged import check_limits, lengths_of, sizes_of
from .sources import read_by
from .training import SILENT, Functions, train

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from ..dsl.program import CheckedStudy, CheckedTraining, Source
    from .data import Dataset
    from .lowering import Lowered
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
    others: Mapping[str, Model] | None = None,
) -> Trained:
    """Train the model in place; `others` are the weights that runs have of their own, by name."""
    assert training.train.data is not None
    data = library.lessons(training.train.data)
    parameters = parameters_of(model)
    given: dict[Source, torch.Tensor] = {}
    shared = beside(model, others or {})

    def lowered(study: CheckedStudy) -> Lowered:
        ragged = _ragged(study, data)
        return lower(study, study.body.results, shared, ragged=ragged, seed=seed)

    forms = [Form(training.train, training.evaluate), *training.forms.values()]
    for study in (study for form in forms for study in (form.train, form.evaluate)):
        for step in study.body.steps:
            source = study.sources.get(step.node.name)
            if source is not None and not isinstance(source, FieldInput):
                given[source] = library.tensor(step.node, source, {}, parameters.device)
    learn = lowered(training.train)
    # where there is nothing to measure, nothing is called
    measure = lowered(training.evaluate) if training.evaluate.body.results else learn
    functions = Functions(learn, measure, given, lowered)
    return train(
        training,
        functions,
        parameters,
        data,
        folder=folder,
        seed=seed,
        resume=resume,
        progress=progress,
        beside={name: parameters_of(other) for name, other in (others or {}).items()},
    )


def _ragged(study: CheckedStudy, data: Dataset) -> set[str]:
    """Along which axes examples have lengths of their own, in the data or what is held back."""
    assert study.data is not None
    found: set[str] = set()
    for part in (data, data.held):
        if part is not None and len(part):
            lengths = lengths_of(read_by(study), {study.data.name: part})
            check_limits(study.limits, sizes_of(part), lengths)
            found |= set(lengths)
    return found
