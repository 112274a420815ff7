"""The law of clamps: what is held passes no gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..dsl import sizes
from ..dsl.core import DType
from ..dsl.elaborate.sites import model_axis
from ..runtime.examples import inputs_for
from .changes import some, writes
from .interventions import under, writable
from .models import computing_in, held_in, model_of, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..runtime.model import SpecModel
    from ..runtime.program import Program

CLAMPS = ("0", "0.5", "stop(it)")
MOST = 3  # sites that are clamped at once


def check_clamps(program: Program, model: SpecModel | str | None = None, *, seed: int = 0) -> None:
    """What is clamped, to a number or to what it holds behind a `stop`, passes no gradient: exactly
    none comes back to what is added to a site in front of the clamp, in the part that is clamped."""
    made = model_of(program, model)
    numbers = np.random.default_rng(seed)
    checked, top = made.checked, {step.node.site for step in made.checked.body.steps}
    sites = [
        site
        for site in some(writable(made), seed)
        if site.node.dtype is DType.FLOAT
        and checked.aliases.get(site.address, site.address) in top
        and all(a.name.isidentifier() and model_axis(a.name, checked) == a for a in site.node.axes)
    ][:MOST]
    if not sites:
        return
    lines, params, parts = [], [], []
    for place, site in enumerate(sites):
        axes, region = site.axes, ""
        axis = axes[int(numbers.integers(len(axes)))] if axes and numbers.random() < 0.5 else None
        if axis is not None:
            region = f"[{axis} = 0]"
        parts.append(axis)
        params.append(f"v{place}[{', '.join(axes)}]")
        lines.append(f"{site.address} += v{place}")
        lines.append(f"{site.address}{region} = {CLAMPS[int(numbers.integers(len(CLAMPS)))]}")
    text = writes(checked.name, lines, ", ".join(params))
    given = inputs_for(made, seed)
    known = {
        axis: size
        for decl, value in zip(checked.inputs, given, strict=True)
        for axis, size in zip(decl.order, np.shape(value), strict=True)
    }
    shapes = [[sizes.evaluate(axis.size, known) for axis in site.node.axes] for site in sites]
    added = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    for site, axis, back in zip(sites, parts, _back(under(made, text), given, added), strict=True):
        clamped = back if axis is None else back.select(site.axes.index(axis), 0)
        assert not clamped.any(), f"{text}a gradient comes through `{site.address}`:\n{clamped}"


def _back(
    model: SpecModel, given: Sequence[Any], added: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """The gradient of a sum over the results with respect to the last inputs."""
    held = held_in(model, "float64")
    with torch.enable_grad(), computing_in("float64"):
        found = held(*map(tensor, given), *added)
        all_of = found if isinstance(found, tuple) else (found,)
        parts = [r.clip(-1e3, 1e3).tanh().sum() for r in all_of if r.requires_grad]
        if not parts:
            return [torch.zeros_like(value) for value in added]
        return list(
            torch.autograd.grad(sum(parts), added, allow_unused=True, materialize_grads=True)
        )
