"""Runs an experiment: sweeps first, then what stands on them; values, plots and expectations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ..dsl.core import names
from ..dsl.program import SweepInput, SweepOutput
from ..dsl.signatures import EXAMPLES
from .decoding.runs import decode_run
from .lowering import address, lower
from .results import together
from .sweep import Sweep
from .training.expectations import Expectation, expectation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from ..dsl.program import CheckedStudy, Output
    from .sources import Given, Library

    Coordinates = Mapping[str, NDArray[np.generic]]


@dataclass
class Outcome:
    """All that an experiment gave. `shown` are names of `values`, and so are the first of `plots`,
    which have the options of each plot beside them."""

    name: str
    values: dict[str, xarray.DataArray] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    plots: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    how: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def dataset(self) -> xarray.Dataset:
        """The values as one data set, expectations as attributes."""
        dataset = together(self.values)
        for place, found in enumerate(self.expectations):
            sides = found.left if found.right is None else [found.left, found.right]
            dataset.attrs[f"expect_{place}"] = f"{found.label}: {found.holds} {sides}"
        return dataset


def run_experiment(
    study: CheckedStudy, shared: nn.Module, library: Library, *, seed: int = 0
) -> Outcome:
    """Run everything that the experiment declares."""
    device = next((part.device for part in shared.parameters()), torch.device("cpu"))
    given = library.given(study, device)
    outcome = Outcome(study.name)
    labels: dict[str, str] = {}  # what values of the program are kept as
    for decode in study.decodes:
        node = decode_run(decode, study, given, shared, library, outcome.values, seed=seed)
        labels[node.name] = f"{decode.name}.tokens"
    coordinates = _coordinates(given)
    read = {
        source.sweep: step.node
        for step in study.body.steps
        if isinstance(source := study.sources.get(step.node.name), SweepOutput)
    }
    for plan in study.sweeps:
        sweep = Sweep.of(study, plan, given.sizes, given.ragged)
        found = sweep.run(given.inputs, given.sizes, shared, seed=seed)
        outcome.how[plan.name] = found.how
        outcome.values[plan.name] = _named(found.values, found.axes, plan.name, coordinates)
        if plan.name in read:
            node = read[plan.name]
            labels[node.name] = plan.name
            order = [found.axes.index(axis.name) for axis in node.axes]
            given.inputs[address(node)] = found.values.permute(order)
    _put_outputs(study, outcome, given, shared, labels, coordinates, seed, library)
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


def _put_outputs(
    study: CheckedStudy,
    outcome: Outcome,
    given: Given,
    shared: nn.Module,
    labels: dict[str, str],
    coordinates: Coordinates,
    seed: int,
    library: Library,
) -> None:
    """All outputs of the study, computed at once."""
    wanted = tuple(dict.fromkeys(name for output in study.outputs for name in output.nodes))
    if not wanted:
        return
    lowered = lower(study, wanted, shared, ragged=given.ragged, seed=seed)
    with torch.no_grad():
        found = dict(zip(wanted, lowered(given.inputs), strict=True))
    axes = {name: names(node.axes) for name, node in zip(wanted, lowered.results, strict=True)}
    for output in study.outputs:
        first = output.nodes[0]
        if output.kind == "expect":
            sides = [float(found[name]) for name in output.nodes]
            outcome.expectations.append(expectation(output, sides))
            continue
        if output.kind == "text":
            lengths = {axis: given.inputs[f"lengths.{axis}"] for axis in given.ragged}
            texts = _texts(output, found[first], axes[first], lengths, library)
            label = _free(output.label, outcome)
            outcome.values[label] = texts.rename(label)
            outcome.shown.append(label)
            continue
        if first not in labels:
            label = _free(output.label, outcome)
            labels[first] = label
            outcome.values[label] = _named(found[first], axes[first], label, coordinates)
        _put(output, labels[first], outcome)


def _free(label: str, outcome: Outcome) -> str:
    while label in outcome.values:
        label += "'"
    return label


def _texts(
    output: Output,
    tokens: torch.Tensor,
    axes: tuple[str, ...],
    lengths: Mapping[str, torch.Tensor],
    library: Library,
) -> xarray.DataArray:
    """Tokens as text along an axis, which goes; of each example, as many as it has."""
    options = dict(output.options)
    tokenizer, axis = library.reader(str(options["data"])), str(options["axis"])
    outer = tuple(name for name in axes if name != axis)
    rows = xarray.DataArray(tokens.cpu().numpy(), dims=axes)
    rows = rows.transpose(*outer, axis) if axis else rows.expand_dims("", rows.ndim)
    texts = np.empty(rows.shape[:-1], dtype=object)
    for place in np.ndindex(texts.shape):
        end = rows.shape[-1]
        if options["ragged"] and axis in lengths and EXAMPLES in outer:
            end = min(end, int(lengths[axis][place[outer.index(EXAMPLES)]]))
        own = rows.values[place][:end]
        texts[place] = tokenizer.decode(own[own >= 0])  # behind the end of what was decoded is -1
    return xarray.DataArray(texts.astype(str), dims=outer)


def _put(output: Output, label: str, outcome: Outcome) -> None:
    """Keep an output under its name."""
    match output.kind:
        case "value":  # two names may stand for the same value
            outcome.values.setdefault(output.label, outcome.values[label].rename(output.label))
        case "show":
            outcome.shown.append(label)
        case "plot":
            outcome.plots.append((label, {key: str(value) for key, value in output.options}))


def _named(
    tensor: torch.Tensor, axes: tuple[str, ...], name: str, coordinates: Coordinates
) -> xarray.DataArray:
    own = {
        axis: coordinates[axis]
        for axis, size in zip(axes, tensor.shape, strict=True)
        if axis in coordinates and len(coordinates[axis]) == size
    }
    return xarray.DataArray(tensor.detach().cpu().numpy(), dims=axes, coords=own, name=name)
