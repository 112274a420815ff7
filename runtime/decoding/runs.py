"""Runs of experiments that decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray

from ...dsl.core import names
from ...dsl.diagnostics import Slug
from ...dsl.program import DecodeOutput
from ..lowering import address
from ..mistakes import mistake
from ..model import spec_model
from ..results import in_text
from .kept import TOKENS, KeptTokens
from .members import Read

if TYPE_CHECKING:
    from torch import nn

    from ...dsl.core import Node
    from ...dsl.program import CheckedStudy
    from ...dsl.stages import DecodePlan
    from ..sources import Given, Library
    from ..sweeps import Running


def decode_run(
    plan: DecodePlan,
    study: CheckedStudy,
    given: Given,
    shared: nn.Module,
    library: Library,
    *,
    seed: int,
    how: Running,
) -> tuple[Node, dict[str, xarray.DataArray]]:
    """Decode, and give the tokens to the study at the node that is returned, in a sweep those of
    all members; and the tokens and their text, to be kept among its values. `how` says where what
    members of a sweep decode is kept meanwhile."""
    lacking = [name for name, value in plan.given.items() if value is None]
    if lacking:
        message = f"`{lacking[0]}` is given no value"
        raise mistake(Slug.WRONG_ARGUMENTS, message, plan.span)
    own = shared if not plan.weights else shared.get_submodule(f"{plan.weights}:")
    defaults = {**plan.given, **dict.fromkeys(plan.values)}
    model = spec_model(plan.model, library.module, defaults, shared=own, seed=seed)
    read = Read.of(plan, study, given, shared, library, seed)
    node = _output(plan, study)
    kept = None
    if how.folder is not None and plan.members:
        path = how.folder / "parts" / f"{plan.name}.{TOKENS}"
        kept = KeptTokens(path, read, model, resume=how.resume)
    tokens = read.decoded(model, kept)
    given.inputs[address(node)] = tokens
    swept = {n: given.inputs[address(m)].cpu().numpy() for n, m in read.members.items()}
    dims = (*swept, *names(node.axes)[len(swept) :])
    label = f"{plan.name}.tokens"
    values = {label: xarray.DataArray(tokens.cpu().numpy(), dims=dims, coords=swept, name=label)}
    if plan.data or plan.text is not None:
        text = _texts(values[label], plan, library)
        values[f"{plan.name}.text"] = text.rename(f"{plan.name}.text")
    return node, values


def _output(plan: DecodePlan, study: CheckedStudy) -> Node:
    """The input of the study that holds what was decoded."""
    wanted = DecodeOutput(plan.name)
    name = next(name for name, source in study.sources.items() if source == wanted)
    return next(step.node for step in study.body.steps if step.node.name == name)


def _texts(tokens: xarray.DataArray, plan: DecodePlan, library: Library) -> xarray.DataArray:
    """What was decoded as text."""
    reader = library.reader(plan.data)
    texts = np.empty(tokens.shape[:-1], dtype=object)
    for place in np.ndindex(texts.shape):
        own = tokens.values[place]
        texts[place] = in_text(reader.decode(own[own >= 0]))
    return xarray.DataArray(
        texts.astype(str),
        dims=tokens.dims[:-1],
        coords={n: c for n, c in tokens.coords.items() if n in tokens.dims[:-1]},
    )
