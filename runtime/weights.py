"""Weights in files: arrays of safetensors as the parameters that a spec maps them to."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..dsl import sizes
from ..dsl.diagnostics import Collector, Slug, or_nearest
from ..dsl.ops import ParamAttrs
from .atomic import replacing
from .data.files import DataError, find_files
from .parameters import as_tensor, shape_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ..dsl.program import CheckedWeights, Cut, FileMapping
    from .parameters import Array

    Pick = slice | int

HINT = "weights are read from .safetensors files, which hold numbers and nothing that runs"


@dataclass(frozen=True, slots=True)
class _Part:
    """What to read for one parameter: of which array, which part, and how its axes are moved."""

    array: Any  # a slice of safetensors', which reads what is asked for
    picks: tuple[Pick, ...]
    split: tuple[int, ...]
    order: tuple[int, ...]

    def read(self) -> NDArray[np.float32]:
        """The numbers, in the one array that is kept of them."""
        moved = self.array[self.picks or ...].reshape(self.split).permute(self.order)
        values = np.empty(tuple(moved.shape), np.float32)
        torch.from_numpy(values).copy_(moved)
        return values


def read_weights(weights: CheckedWeights, root: Path) -> dict[str, NDArray[np.float32]]:
    """The parameters that are mapped, by address; SpecError with all that does not fit.

    A pattern such as `model-*.safetensors` reads a checkpoint of several files.
    """
    collector = Collector()
    with _arrays(weights, root, collector) as arrays:
        own = _sizes(weights)
        found = [_part(m, own[m.address], weights, arrays, collector) for m in weights.mappings]
        collector.raise_if_errors()
        parts = zip(weights.mappings, found, strict=True)
        return {mapping.address: part.read() for mapping, part in parts if part is not None}


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


@contextmanager
def _arrays(weights: CheckedWeights, root: Path, collector: Collector) -> Iterator[dict[str, Any]]:
    """All arrays of the files by name, not read yet."""
    arrays: dict[str, Any] = {}
    with ExitStack() as stack:
        try:
            for path in find_files(root, weights.file):
                opened = stack.enter_context(safe_open(path, framework="pt"))
                arrays |= {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118  # no dict
        except DataError as error:
            collector.report(error.slug, error.message, weights.span, hint=error.hint)
        except (SafetensorError, OSError) as error:
            message = f'"{weights.file}" cannot be read: {error}'
            collector.report(Slug.BAD_FILE, message, weights.span, hint=HINT)
        collector.raise_if_errors()
        yield arrays


def _part(
    mapping: FileMapping,
    own: Mapping[str, int],
    weights: CheckedWeights,
    arrays: Mapping[str, Any],
    collector: Collector,
) -> _Part | None:
    """How a parameter is read; None, with a report, if the array is not there or does not fit.

    `own` are the parameter's axes as written, with their sizes.
    """
    shown = f'`{mapping.key}` in "{weights.file}"'
    if mapping.key not in arrays:
        message = f'"{weights.file}" holds no `{mapping.key}`'
        hint = or_nearest(mapping.key, arrays)
        collector.report(Slug.BAD_FILE, message, mapping.span, hint=hint)
        return None
    array = arrays[mapping.key]
    shape = tuple(array.get_shape())
    if array.get_dtype().startswith("C"):
        message = f"{shown} holds complex numbers"
        collector.report(Slug.WRONG_DTYPE, message, mapping.span)
        return None
    cut = _cut(mapping.cuts, shape)
    if cut is None:
        message = f"{shown} is {shape_text(shape)}, and has no such part"
        collector.report(Slug.BAD_INDEX, message, mapping.span)
        return None
    picks, found = cut
    groups = mapping.order if mapping.order is not None else tuple((axis,) for axis in own)
    expected = tuple(prod(own[axis] for axis in group) for group in groups)
    if found != expected:
        part = "that part of " if mapping.cuts else ""
        axes = ", ".join(
            group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups
        )
        message = (
            f"{part}{shown} is {shape_text(found)}, and"
            f" `{mapping.address}` as [{axes}] is {shape_text(expected)}"
        )
        hint = _turned(mapping, own, found)
        collector.report(Slug.SIZE_MISMATCH, message, mapping.span, hint=hint)
        return None
    given = [axis for group in groups for axis in group]
    split = tuple(own[axis] for axis in given)
    return _Part(array, picks, split, tuple(given.index(axis) for axis in own))


def _sizes(weights: CheckedWeights) -> dict[str, dict[str, int]]:
    """The axes of each parameter as written, with their sizes."""
    return {
        step.node.site or "": {
            axis.name: sizes.evaluate(axis.size, {}) for axis in step.node.attrs.axes
        }
        for step in weights.model.body.steps
        if isinstance(step.node.attrs, ParamAttrs)
    }


def _cut(
    cuts: tuple[Cut | int, ...], shape: tuple[int, ...]
) -> tuple[tuple[Pick, ...], tuple[int, ...]] | None:
    """What is picked along each axis, and the shape that is left; None if it is not there."""
    if len(cuts) > len(shape):
        return None
    picks: list[Pick] = []
    left: list[int] = []
    for cut, size in zip(cuts, shape, strict=False):
        if isinstance(cut, int):
            if not -size <= cut < size:
                return None
            picks.append(cut % size)
            continue
        start, stop = (0 if cut[0] is None else cut[0], size if cut[1] is None else cut[1])
        start, stop = (place + size if place < 0 else place for place in (start, stop))
        if not 0 <= start < stop <= size:
            return None
        picks.append(slice(start, stop))
        left.append(stop - start)
    return tuple(picks), (*left, *shape[len(cuts) :])


def _turned(mapping: FileMapping, own: Mapping[str, int], found: tuple[int, ...]) -> str | None:
    """A hint for an array that is only the other way around."""
    if mapping.order is not None or tuple(own.values())[::-1] != found:
        return None
    return f"`as [{', '.join(list(own)[::-1])}]` says the order of the axes in the file"
