"""The function of a step with parameters bound: made when they change, and not at each step."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ...compiler.decoding.flat import flat
from .. import emitted
from ..module import slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..module import Model


class Bound:
    """The emitted function of a module as one flat function; its own where that cannot be.

    A flat function holds what it computes to its end, so it is for one position.
    """

    def __init__(self, module: Model) -> None:
        self.module = module
        self._slots = list(slots(module))
        self._seen: list[tuple[int, int]] = []
        self._step: Callable[..., Any] | None = None

    def current(self) -> Callable[..., Any]:
        """The function, with the parameters as they are now. It gives no gradients."""
        held = [where[name] for where, name in self._slots]
        try:
            seen = [(value.data_ptr(), value._version) for value in held]
        except RuntimeError:  # tensors of a transform, or made for inference
            return self.module._emitted
        if self._make is None:
            return self.module._emitted
        if self._step is None or seen != self._seen:
            device = held[0].device if held else torch.get_default_device()
            with torch.no_grad():
                self._step = self._make(self.module, device)
            self._seen = seen
        return self._step

    @cached_property
    def _make(self) -> Callable[..., Any] | None:
        """What binds the parameters."""
        artifact, module = self.module._artifact, self.module
        classes = {path: type(own).__name__ for path, own in module.named_modules() if path}
        text = flat(artifact.source, artifact.entry, classes)
        if text is None:
            return None
        around = sys.modules[type(module).__module__].__dict__
        given = tuple((name, value) for name, value in around.items() if name[:2] != "__")
        own = emitted.loaded(text, f"{artifact.name}_flat", given)
        made: Callable[..., Any] = own.bound
        return made
