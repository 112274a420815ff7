"""What interventions own, fitted by a training: in files of its own, and in later runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl import sizes
from ..dsl.diagnostics import Slug
from ..dsl.ops import ParamAttrs
from .mistakes import mistake
from .parameters import shape_text
from .weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dsl.program import CheckedStudy
    from .module import Model


def save_owned(model: Model, folder: Path) -> None:
    """A safetensors file for each intervention, with its parameters by address."""
    weights = model.parameters_by_site()[0]
    files: dict[str, list[str]] = {}
    for node in model.held:
        site = node.site or ""
        files.setdefault(site.partition(".")[0], []).append(site)
    for name, sites in files.items():
        save_weights(folder / f"{name}.safetensors", {site: weights[site] for site in sites})


def check_owned(study: CheckedStudy, models: Mapping[str, Model]) -> None:
    """What a study reads of the interventions of its weights has the sizes with which it was
    fitted; SpecError. `models` are by the name of the weights, the study's own by none."""
    for node in (step.node for step in study.body.steps):
        if not isinstance(node.attrs, ParamAttrs):
            continue
        label, _, site = (node.site or "").rpartition(":")
        model = models.get(label)
        if model is None or site not in {held.site for held in model.held}:
            continue
        here = tuple(sizes.evaluate(axis.size, {}) for axis in node.attrs.axes)
        there = tuple(model.parameters_by_site()[0][site].shape)
        if here != there:
            message = f"`{site}` is {shape_text(here)} here, and was fitted as {shape_text(there)}"
            raise mistake(Slug.SIZE_MISMATCH, message, node.span)
