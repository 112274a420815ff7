"""Runs an experiment: sweeps first, then what stands on them; values, plots and expectations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ..dsl.core import names
from ..dsl.program import SweepInput, SweepOutput
from .lowering import lower, part_of
from .sources import lengths
from .sweep import run_sweep
from .training.expectations import Expectation, expectation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from ..dsl.core import Node
    from ..dsl.program import CheckedStudy, Output
    from .sources import Library


@dataclass
class Outcome:
    """All that an experiment gave. `shown` and `plots` are names of `values`."""

    name: str
    values: dict[str, xarray.DataArray] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    plots: list[tuple[str, dict[str, str | float]]] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    how: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def dataset(self) -> xarray.Dataset:
        """The values as one data set, expectations as attributes."""
        dataset = xarray.Dataset(
            {_key(name): value.rename(_key(name)) for name, value in self.values.items()}
        )
        for place, expected in enumerate(self.expectations):
            sides = expected.left if expected.right is None else [expected.left, expected.right]
            dataset.attrs[f"expect_{place}"] = f"{expected.label}: {expected.holds} {sides}"
        return dataset


def _key(name: str) -> str:
    return name.replace("/", " over ")


def run_experiment(
    study: CheckedStudy, shared: nn.Module, library: Library, *, seed: int = 0
) -> Outcome:
    """Run everything that the experiment declares."""
    data = library.part(study.data) if study.data is not None else None
    nodes = {step.node.name: step.node for step in study.body.steps}
    inputs: dict[str, torch.Tensor] = {}
    for name, source in study.sources.items():
        if not isinstance(source, SweepOutput):
            inputs[nodes[name].site or name] = library.tensor(nodes[name], source, data)
    outcome = Outcome(study.name)
    known = lengths(data)
    coordinates: dict[str, np.ndarray] = {}  # type: ignore[type-arg]
    for sweep in study.sweeps:
        members = run_sweep(study, sweep, inputs, known, shared, seed=seed)
        for name, source in study.sources.items():
            if isinstance(source, SweepInput) and source.sweep == sweep.name:
                coordinates[f"{sweep.name}:{source.variable}"] = inputs[
                    nodes[name].site or name
                ].numpy()
        outcome.how[sweep.name] = members.how
        read = next((n for n, s in study.sources.items() if s == SweepOutput(sweep.name)), None)
        values = _named(members.values, members.axes, sweep.name, coordinates)
        outcome.values[sweep.name] = values
        if read is not None:
            order = [members.axes.index(axis.name) for axis in nodes[read].axes]
            inputs[nodes[read].site or read] = members.values.permute(order)
    _outputs(study, outcome, inputs, nodes, shared, seed, known)
    return outcome


def _outputs(
    study: CheckedStudy,
    outcome: Outcome,
    inputs: Mapping[str, torch.Tensor],
    nodes: Mapping[str, Node],
    shared: nn.Module,
    seed: int,
    known: Mapping[str, int],
) -> None:
    wanted = tuple(dict.fromkeys(n for output in study.outputs for n in output.nodes))
    if not wanted:
        return
    lowered = lower(part_of(study.body, wanted), study.name, study.model, shared, seed=seed)
    with torch.no_grad():
        found = lowered(inputs)
    results = {
        name: _named(tensor, names(node.axes), name, {})
        for name, node, tensor in zip(wanted, lowered.results, found, strict=True)
    }
    del known, nodes
    for output in study.outputs:
        _put(output, [results[n] for n in output.nodes], outcome)


def _put(output: Output, values: list[xarray.DataArray], outcome: Outcome) -> None:
    match output.kind:
        case "value":
            outcome.values[output.label] = values[0].rename(output.label)
        case "show":
            known = outcome.values.get(output.label)
            outcome.values[output.label] = (
                values[0].rename(output.label) if known is None else known
            )
            outcome.shown.append(output.label)
        case "plot":
            options = dict(output.options)
            label = str(output.label)
            known = next(
                (
                    v
                    for v in outcome.values.values()
                    if v.dims == values[0].dims and v.equals(values[0])
                ),
                None,
            )
            outcome.values.setdefault(
                label, values[0].rename(label) if known is None else known.rename(label)
            )
            outcome.plots.append((label, options))
        case "expect":
            outcome.expectations.append(expectation(output, [float(v) for v in values]))


def _named(
    tensor: torch.Tensor, axes: tuple[str, ...], name: str, coordinates: Mapping[str, np.ndarray]
) -> xarray.DataArray:  # type: ignore[type-arg]
    own = {axis: coordinates[f"{name}:{axis}"] for axis in axes if f"{name}:{axis}" in coordinates}
    return xarray.DataArray(tensor.detach().cpu().numpy(), dims=axes, coords=own, name=name)
