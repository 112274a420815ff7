"""Weights in files: arrays of safetensors as the parameters that a spec maps them to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

from ..dsl import sizes
from ..dsl.configs import NAME
from ..dsl.diagnostics import Collector, Note, Severity, Slug
from ..dsl.files import DataError
from ..dsl.ops import ParamAttrs, StateAttrs
from .arrays import matching, stored_arrays
from .atomic import replacing
from .fitting import MisfitError, part_of
from .parameters import LISTED, as_tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ..dsl.program import CheckedWeights
    from .fitting import Part
    from .parameters import Array


def load_weights(
    weights: CheckedWeights,
    root: Path,
    tensors: Mapping[str, torch.Tensor],
    collector: Collector | None = None,
) -> None:
    """Fill the parameters that are mapped, given by address, one after another: besides them, no
    more than one array is in memory. SpecError with all that does not fit, before any is changed.

    What may be wrong is given to the collector as warnings: arrays that nothing reads.
    """
    parts = _parts(weights, root, Collector() if collector is None else collector)
    with torch.no_grad():
        for part in parts:
            part.into(tensors[part.mapping.address])


def read_weights(weights: CheckedWeights, root: Path) -> dict[str, NDArray[np.float32]]:
    """The parameters that are mapped, by address; SpecError with all that does not fit."""
    own = {address: tuple(axes.values()) for address, axes in _held(weights).items()}
    arrays = {m.address: np.empty(own[m.address], np.float32) for m in weights.mappings}
    load_weights(weights, root, {a: torch.from_numpy(array) for a, array in arrays.items()})
    return arrays


def save_weights(
    path: Path, arrays: Mapping[str, Array], *, about: Mapping[str, str] | None = None
) -> None:
    """Write arrays to a safetensors file, which is there whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}
    held: set[int] = set()
    for name, array in arrays.items():
        tensor = as_tensor(array).cpu().contiguous()
        memory = tensor.untyped_storage()
        if memory.data_ptr() in held or memory.nbytes() != tensor.nbytes:
            tensor = tensor.clone()  # a file has no two names for one memory
        held.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    with replacing(path) as file:
        save_file(tensors, file, metadata=dict(about or {}))


def _parts(weights: CheckedWeights, root: Path, collector: Collector) -> list[Part]:
    """How each parameter is read; all that is wrong is said at once."""
    try:
        arrays = stored_arrays(root, weights.file)
    except DataError as error:
        collector.report(error.slug, error.message, weights.span, hint=error.hint)
        collector.raise_if_errors()
        return []
    if weights.lacks_config:
        message = f'beside "{weights.file}" there is no "{NAME}", which the mapping speaks of'
        collector.report(Slug.BAD_FILE, message, weights.span)
    held, text = _held(weights), "\n".join(arrays)
    found: list[Part] = []
    for mapping in weights.mappings:
        own = held[mapping.address]
        try:
            found.append(part_of(mapping, own, weights.file, arrays, text))
        except MisfitError as error:
            collector.report(error.slug, error.message, mapping.span, hint=error.hint)
        except DataError as error:
            message = (
                error.message if error.message.startswith("`") else f'"{weights.file}" {error}'
            )
            collector.report(error.slug, message, mapping.span, hint=error.hint)
    collector.raise_if_errors()
    _say_unread(weights, arrays, {a.name for part in found for _, a in part.arrays}, collector)
    return found


def _say_unread(
    weights: CheckedWeights, arrays: Iterable[str], read: set[str], collector: Collector
) -> None:
    """A warning that counts the arrays that nothing reads."""
    left = [name for name in arrays if name not in read]
    text = "\n".join(left)
    skipped = {name for pattern in weights.skipped for name in matching(pattern, text)}
    unread = [name for name in left if name not in skipped]
    if not unread:
        return
    general = list(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in unread))
    shown = ", ".join(f"`{name}`" for name in general[:LISTED])
    collector.report(
        Slug.BAD_FILE,
        f'{len(unread)} arrays of "{weights.file}" are read by no line'
        if len(unread) > 1
        else f'an array of "{weights.file}" is read by no line',
        weights.span,
        severity=Severity.WARNING,
        notes=[Note(f"unread: {shown}{', ...' if len(general) > LISTED else ''}")],
        hint=f'`skip file["{general[0]}"]`',
    )


def _held(weights: CheckedWeights) -> dict[str, dict[str, int]]:
    """The axes of each parameter and state as written, with their sizes."""
    return {
        step.node.site or "": {
            axis.name: sizes.evaluate(axis.size, {}) for axis in step.node.attrs.axes
        }
        for step in weights.model.body.steps
        if isinstance(step.node.attrs, ParamAttrs | StateAttrs)
    }
