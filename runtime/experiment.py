"""Runs an experiment: its stages, then what stands on them; values, plots and expectations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..dsl.program import SweepInput, SweepOutput
from ..dsl.stages import DecodePlan, SweepPlan
from .outputs import Outcome, named, put_outputs
from .stages import Stages
from .sweeps import Running

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from ..dsl.program import CheckedStudy
    from .outputs import Coordinates
    from .sources import Given, Library


def run_experiment(
    study: CheckedStudy,
    shared: nn.Module,
    library: Library,
    *,
    seed: int = 0,
    how: Running | None = None,
) -> Outcome:
    """Run everything that the experiment declares; `how` is about its sweeps."""
    device = next((part.device for part in shared.parameters()), torch.device("cpu"))
    given = library.given(study, device)
    outcome = Outcome(study.name)
    labels: dict[str, str] = {}  # what values of the program are kept as
    coordinates = _coordinates(study, given)

    stages = Stages(study, given, shared, library, seed=seed, how=how or Running())
    for stage in study.stages:
        match stage:
            case SweepPlan(name):
                found = stages.sweep(stage)
                outcome.values[name] = named(found.values, found.axes, name, coordinates)
                if (node := stages.input(SweepOutput(name))) is not None:
                    labels[node.name] = name
            case DecodePlan(name):
                node, values = stages.decode(stage)
                for label, value in values.items():
                    unclear = [axis for axis in value.coords if axis not in coordinates]
                    outcome.values[label] = value.drop_vars(unclear)
                if not stage.members:
                    labels[node.name] = f"{name}.tokens"
            case _:
                stages.scan(stage)
    outcome.how.update(stages.lines)
    put_outputs(study, outcome, given, shared, labels, coordinates, seed, library)
    return outcome


def _coordinates(study: CheckedStudy, given: Given) -> Coordinates:
    """The values along swept axes, where all sweeps that have an axis of a name agree on them."""
    found: dict[str, NDArray[np.generic]] = {}
    unclear = set()
    for site, source in given.sources.items():
        if isinstance(source, SweepInput):
            values = given.inputs[site].cpu().numpy()
            if found.setdefault(source.variable, values).tolist() != values.tolist():
                unclear.add(source.variable)
    for plan in study.sweeps:
        for axis, labels in plan.settled.items():
            if found.setdefault(axis, np.array(labels)).tolist() != list(labels):
                unclear.add(axis)
    return {axis: values for axis, values in found.items() if axis not in unclear}
