"""Runs of experiments that decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ...dsl.core import names
from ...dsl.diagnostics import Slug
from ...dsl.program import DecodeOutput
from ...dsl.signatures import EXAMPLES
from ..data import DataError
from ..lowering import address, lower
from ..mistakes import mistake
from ..model import spec_model

if TYPE_CHECKING:
    from torch import nn

    from ...dsl.core import Node
    from ...dsl.program import CheckedStudy, DecodePlan
    from ..sources import Given, Library

WHOLE = ("top_k", "samples", "seed", "stop")


def decode_run(
    plan: DecodePlan,
    study: CheckedStudy,
    given: Given,
    shared: nn.Module,
    library: Library,
    values: dict[str, xarray.DataArray],
    *,
    seed: int,
) -> Node:
    """Decode, and give the tokens to the study at the node that is returned; keep them, and their
    text, among its values."""
    lacking = [name for name, value in plan.given.items() if value is None]
    if lacking:
        message = f"`{lacking[0]}` is given no value"
        raise mistake(Slug.WRONG_ARGUMENTS, message, plan.span)
    own = shared if not plan.weights else shared.get_submodule(f"{plan.weights}:")
    model = spec_model(plan.model, library.module, plan.given, shared=own, seed=seed)
    options = {k: int(v) if k in WHOLE else v for k, v in plan.options.items() if k != "steps"}
    steps = int(plan.options["steps"])
    prompts = _prompts(plan, study, given, shared, library, seed)
    found = model.decode(prompts, steps=steps, **options)
    node = _output(plan, study)
    tokens = _filled(found.tokens, steps)
    given.inputs[address(node)] = tokens
    label = f"{plan.name}.tokens"
    values[label] = xarray.DataArray(tokens.cpu().numpy(), dims=names(node.axes), name=label)
    if plan.data or plan.text is not None:
        label = f"{plan.name}.text"
        values[label] = _texts(values[f"{plan.name}.tokens"], plan, library).rename(label)
    return node


def _output(plan: DecodePlan, study: CheckedStudy) -> Node:
    """The input of the study that holds what was decoded."""
    wanted = DecodeOutput(plan.name)
    name = next(name for name, source in study.sources.items() if source == wanted)
    return next(step.node for step in study.body.steps if step.node.name == name)


def _prompts(
    plan: DecodePlan,
    study: CheckedStudy,
    given: Given,
    shared: nn.Module,
    library: Library,
    seed: int,
) -> list[torch.Tensor] | torch.Tensor:
    """The tokens of the prompts, each as long as it is."""
    if plan.text is not None:
        try:
            tokens = library.reader(plan.data).encode(plan.text)
        except DataError as error:
            raise mistake(error.slug, error.message, plan.span, hint=error.hint) from None
        return torch.as_tensor(np.asarray(tokens))
    lowered = lower(study, (plan.prompt,), shared, ragged=given.ragged, seed=seed)
    with torch.no_grad():
        (found,) = lowered(given.inputs)
    axes, time = names(lowered.results[0].axes), plan.model.time or ""
    if EXAMPLES not in axes:
        return found
    rows = found.movedim(axes.index(EXAMPLES), 0)
    counts = given.inputs.get(f"lengths.{time}")
    if counts is None or rows.shape[1] != counts.max():
        return rows
    return [row[:count] for row, count in zip(rows, counts.tolist(), strict=True)]


def _filled(tokens: torch.Tensor, steps: int) -> torch.Tensor:
    """As many places as there may be tokens."""
    missing = steps - tokens.shape[-1]
    return torch.nn.functional.pad(tokens, (0, missing), value=-1) if missing else tokens


def _texts(tokens: xarray.DataArray, plan: DecodePlan, library: Library) -> xarray.DataArray:
    """What was decoded as text."""
    reader = library.reader(plan.data)
    texts = np.empty(tokens.shape[:-1], dtype=object)
    for place in np.ndindex(texts.shape):
        own = tokens.values[place]
        texts[place] = reader.decode(own[own >= 0])
    return xarray.DataArray(texts.astype(str), dims=tokens.dims[:-1])
