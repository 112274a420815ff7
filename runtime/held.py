"""Where a module holds parameters and states."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from ..compiler.artifact import Stored
    from .module import Model

    Link = tuple[dict[str, Any], dict[str, Any], str]


def slot(module: nn.Module | None, stored: Stored) -> tuple[dict[str, Any], str]:
    """The dictionary that holds a parameter or a state, and the name in it."""
    *path, name = stored.key.split(".")
    at: Any = module
    for key in path:
        at = at._modules[key]
    held = at._parameters if name in at._parameters else at._buffers
    if name not in held:
        raise KeyError(stored.key)
    return held, name


def links(one: Model, other: nn.Module) -> Iterator[Link]:
    """Where two models hold what has the same address: a dictionary of each, and the name there."""
    for stored in one._artifact.stored:
        with suppress(KeyError):
            held, name = slot(other, stored)
            yield slot(one, stored)[0], held, name


def slots(model: Model) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a model holds its parameters and states: a dictionary of each, and the name there."""
    return (slot(model, stored) for stored in model._artifact.stored)
