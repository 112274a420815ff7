"""A model as one function with parameters bound: made when they change, and not at each call."""

from __future__ import annotations

import sys
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..compiler.emit.flat import flat
from . import emitted
from .eager import is_watched
from .held import slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from .module import Model

place_of, version_of = torch.Tensor.data_ptr, attrgetter("_version")


class Bound:
    """The emitted function of a module as one flat function; its own where that cannot be."""

    def __init__(self, module: Model) -> None:
        self.module = module
        self._slots = list(slots(module))
        parts = [part for part in module.modules() if part is not module]
        self._hooks = [
            hooks for part in parts for hooks in (part._forward_pre_hooks, part._forward_hooks)
        ]
        self._places: list[int] = []
        self._versions: list[int] = []
        self._step: Callable[..., Any] | None = None

    def current(self) -> Callable[..., Any]:
        """The function, with the parameters as they are now. It gives no gradients, so where one
        is wanted, or something looks on, it is the module's own."""
        if (
            is_compiling()
            or torch.is_grad_enabled()
            or is_watched()
            or torch._C._is_any_autocast_enabled()
            or any(self._hooks)
        ):
            return self.module._emitted
        held = [where[name] for where, name in self._slots]
        try:
            places, versions = list(map(place_of, held)), list(map(version_of, held))
        except RuntimeError:  # tensors of a transform, or made for inference
            return self.module._emitted
        if self._step is None or places != self._places or versions != self._versions:
            if self._make is None:
                return self.module._emitted
            device = held[0].device if held else torch.get_default_device()
            with torch.no_grad():
                self._step = self._make(self.module, device)
            self._places, self._versions = places, versions
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
