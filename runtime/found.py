"""What calibrations found, as inputs of a model under interventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..dsl import syntax as s
from ..dsl.diagnostics import Slug
from .mistakes import mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray

    from ..dsl.modules import Module
    from ..dsl.program import CheckedModel


def statistics_of(
    model: CheckedModel, given: Mapping[str, Any], module: Module, intervention: str
) -> dict[str, torch.Tensor]:
    """What an intervention reads of calibrations, by input. `given` are what these found, by their
    names, and values of inputs. Raises SpecError if one is missing."""
    found: dict[str, torch.Tensor] = {}
    for decl in model.inputs:
        calibration, _, name = decl.name.partition(".")
        entry = module.find(calibration)
        if entry is None or not isinstance(entry[0], s.Calibrate):
            continue
        table: Mapping[str, xarray.DataArray] = given.get(calibration, {})
        if name in table:
            array = table[name].transpose(*decl.order).values
            value = torch.from_numpy(np.ascontiguousarray(array))
            found[decl.name] = value.float() if value.is_floating_point() else value
        elif given.get(decl.name) is None:
            message = f"`{intervention}` reads `{decl.name}`, which is not given"
            hint = f'under("{intervention}", {calibration}=program.calibrated("{calibration}"))'
            raise mistake(Slug.WRONG_ARGUMENTS, message, decl.span, hint=hint)
    return found
