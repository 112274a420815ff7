"""What a checkpoint must agree on with the training that takes it up."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from ...dsl.ops import OpDef
from ...dsl.program import CheckedModel
from ...dsl.source import Span

if TYPE_CHECKING:
    from ...dsl.program import CheckedTraining
    from ..data import Dataset


def fingerprint(
    training: CheckedTraining,
    data: Dataset,
    seed: int,
    beside: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
) -> dict[str, str]:
    """Short texts, each equal only for an equal spec, equal data, an equal seed, and equal numbers
    in the weights that runs have of their own.

    Of the spec counts what it means, and neither its layout nor its comments; of the data the
    fields and their sizes.
    """
    parts = [data] if data.held is None else [data, data.held]
    columns = [
        (name, column.axes, column.values.shape, str(column.values.dtype))
        for part in parts
        for name, column in sorted(part.columns.items())
    ]
    return {
        "spec": digest(plain(training)),
        "data": digest(columns),
        "seed": str(seed),
        "weights": digest(
            [
                (name, site, digest_of(tensor))
                for name, held in sorted((beside or {}).items())
                for site, tensor in sorted(held.items())
            ]
        ),
    }


def digest_of(tensor: torch.Tensor) -> str:
    """The same for the numbers of a tensor."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(numbers.data, digest_size=16).hexdigest()


def digest(value: object) -> str:
    """A short text, equal only for what is shown equal."""
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()


def plain(value: object) -> object:
    """The value without places in the text, as what `repr` shows the same in every process."""
    match value:
        case Span():
            return None
        case OpDef(name=name) | CheckedModel(name=name):  # what a model means, its studies say
            return name
        case Mapping():
            return sorted((str(key), plain(item)) for key, item in value.items())
        case list() | tuple():
            return [plain(item) for item in value]
        case str() | int() | float() | None:
            return str(value) if isinstance(value, str) else value
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"a spec holds a {type(value).__name__}")
    own = [plain(getattr(value, own.name)) for own in dataclasses.fields(value)]
    return [type(value).__name__, *own]
