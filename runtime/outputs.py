"""What an experiment gives out: values, tables, figures and expectations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ..dsl.core import names
from ..dsl.figures import FIGURES, TOKENS
from ..dsl.signatures import EXAMPLES
from .lowering import lower
from .results import in_text, together
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
    which have the options of each plot beside them: of further values their names."""

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


def put_outputs(
    study: CheckedStudy,
    outcome: Outcome,
    given: Given,
    shared: nn.Module,
    labels: Mapping[str, str],
    coordinates: Coordinates,
    seed: int,
    library: Library,
) -> None:
    """All outputs of the study, computed at once. `labels` are what nodes are kept as already."""
    wanted = tuple(dict.fromkeys(name for output in study.outputs for name in output.nodes))
    if not wanted:
        return
    lowered = lower(study, wanted, shared, ragged=given.ragged, seed=seed, known=given.sizes)
    with torch.no_grad():
        found = dict(zip(wanted, lowered(given.inputs), strict=True))
    axes = {name: names(node.axes) for name, node in zip(wanted, lowered.results, strict=True)}
    outputs = _Outputs(outcome, given, library, coordinates, found, axes, dict(labels))
    for output in study.outputs:
        outputs.put(output)


@dataclass
class _Outputs:
    """Values by node, and where they are kept."""

    outcome: Outcome
    given: Given
    library: Library
    coordinates: Coordinates
    found: Mapping[str, torch.Tensor]
    axes: Mapping[str, tuple[str, ...]]
    labels: dict[str, str]

    def put(self, output: Output) -> None:
        """Keep an output under its name."""
        outcome, first = self.outcome, output.nodes[0]
        match output.kind:
            case "expect":
                sides = [float(self.found[name]) for name in output.nodes]
                outcome.expectations.append(expectation(output, sides))
            case "text":
                outcome.shown.append(self.keep_texts(output, first))
            case "value":  # two names may stand for the same value
                kept = outcome.values[self.keep(first, output.label)]
                outcome.values.setdefault(output.label, kept.rename(output.label))
            case "show":
                outcome.shown.append(self.keep(first, output.label))
            case "plot":
                label = self.keep(first, output.label)
                outcome.plots.append((label, self.options(output)))

    def keep(self, node: str, label: str) -> str:
        """Under which name a value is kept: the one it has, or this one."""
        if node not in self.labels:
            array = named(self.found[node], self.axes[node], label, self.coordinates)
            self.labels[node] = self.keep_array(array, label)
        return self.labels[node]

    def keep_array(self, array: xarray.DataArray, label: str) -> str:
        """Keep an array under this name, unless what has the name is the same already."""
        known = self.outcome.values.get(label)
        if known is None or not array.identical(known):
            label = _free(label, self.outcome)
            self.outcome.values[label] = array.rename(label)
        return label

    def options(self, output: Output) -> dict[str, str]:
        """The options of a plot; what is a value is kept, and named."""
        options = {key: str(value) for key, value in output.options if key != "data"}
        kinds = FIGURES[options["kind"]].options
        for node, (role, written) in zip(output.nodes[1:], output.roles, strict=True):
            if kinds[role] == TOKENS:
                options[role] = self.keep_each(output, node, f"text({written})")
            else:
                options[role] = self.keep(node, written)
        return options

    def keep_each(self, output: Output, node: str, label: str) -> str:
        """Keep the text of each token by itself; under which name."""
        tokenizer = self.library.reader(str(dict(output.options)["data"]))
        tokens = self.found[node].cpu().numpy()
        texts = np.array([in_text(tokenizer.decode(token[None])) for token in tokens], dtype=str)
        return self.keep_array(xarray.DataArray(texts, dims=self.axes[node], name=label), label)

    def keep_texts(self, output: Output, node: str) -> str:
        """Keep tokens as text along an axis, which goes; of each example, as many as it has."""
        options, axes = dict(output.options), self.axes[node]
        tokenizer, axis = self.library.reader(str(options["data"])), str(options["axis"])
        lengths = {own: self.given.inputs[f"lengths.{own}"] for own in self.given.ragged}
        outer = tuple(name for name in axes if name != axis)
        rows = xarray.DataArray(self.found[node].cpu().numpy(), dims=axes)
        rows = rows.transpose(*outer, axis) if axis else rows.expand_dims("", rows.ndim)
        texts = np.empty(rows.shape[:-1], dtype=object)
        for place in np.ndindex(texts.shape):
            end = rows.shape[-1]
            if options["ragged"] and axis in lengths and EXAMPLES in outer:
                end = min(end, int(lengths[axis][place[outer.index(EXAMPLES)]]))
            own = rows.values[place][:end]
            texts[place] = in_text(tokenizer.decode(own[own >= 0]))  # behind what was decoded is -1
        label = _free(output.label, self.outcome)
        self.outcome.values[label] = xarray.DataArray(texts.astype(str), dims=outer, name=label)
        return label


def _free(label: str, outcome: Outcome) -> str:
    while label in outcome.values:
        label += "'"
    return label


def named(
    tensor: torch.Tensor, axes: tuple[str, ...], name: str, coordinates: Coordinates
) -> xarray.DataArray:
    """A tensor as an array with named axes, and with the values that were swept along them."""
    own = {
        axis: coordinates[axis]
        for axis, size in zip(axes, tensor.shape, strict=True)
        if axis in coordinates and len(coordinates[axis]) == size
    }
    return xarray.DataArray(tensor.detach().cpu().numpy(), dims=axes, coords=own, name=name)
