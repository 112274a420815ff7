"""Runs an experiment: sweeps first, then what stands on them; values, plots and expectations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..dsl.program import SweepInput, SweepOutput
from .decoding.runs import decode_run
from .lowering import address
from .outputs import Outcome, named, put_outputs
from .sweeps import Running, Sweep, run

if TYPE_CHECKING:
    import numpy as np
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
    coordinates = _coordinates(given)

    def decoded(place: int) -> None:
        """What is decoded after so many sweeps."""
        for decode in study.decodes:
            if decode.after == place:
                node, found = decode_run(decode, study, given, shared, library, seed=seed)
                for label, value in found.items():
                    unclear = [name for name in value.coords if name not in coordinates]
                    outcome.values[label] = value.drop_vars(unclear)
                if not decode.members:
                    labels[node.name] = f"{decode.name}.tokens"

    read = {
        source.sweep: step.node
        for step in study.body.steps
        if isinstance(source := study.sources.get(step.node.name), SweepOutput)
    }
    for place, plan in enumerate(study.sweeps):
        decoded(place)
        sweep = Sweep.of(study, plan, given.sizes, given.ragged)
        found = run(sweep, given.inputs, given.sizes, shared, seed=seed, how=how)
        outcome.how[plan.name] = found.how
        outcome.values[plan.name] = named(found.values, found.axes, plan.name, coordinates)
        if plan.name in read:
            node = read[plan.name]
            labels[node.name] = plan.name
            order = [found.axes.index(axis.name) for axis in node.axes]
            given.inputs[address(node)] = found.values.permute(order)
    decoded(len(study.sweeps))
    put_outputs(study, outcome, given, shared, labels, coordinates, seed, library)
    return outcome


def _coordinates(given: Given) -> Coordinates:
    """The values along swept axes, where all sweeps that have an axis of a name agree on them."""
    found: dict[str, NDArray[np.generic]] = {}
    unclear = set()
    for site, source in given.sources.items():
        if isinstance(source, SweepInput):
            values = given.inputs[site].cpu().numpy()
            if found.setdefault(source.variable, values).tolist() != values.tolist():
                unclear.add(source.variable)
    return {axis: values for axis, values in found.items() if axis not in unclear}
