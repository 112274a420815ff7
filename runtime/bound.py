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
from .products import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .module import Model

SMALL = 1 << 25  # bytes of parameters
place_of, version_of = torch.Tensor.data_ptr, attrgetter("_version")


def is_small(module: Model) -> bool:
    """Whether Python takes a good part of the time, and parameters little memory."""
    count: int = sum(where[name].nbytes for where, name in slots(module))
    return count <= SMALL


class Bound:
    """The emitted function of a module as one flat function; its own where that cannot be. That of
    a small model for `few` rows leaves products to MKL, unasked."""

    def __init__(self, module: Model, *, few: bool = False) -> None:
        self.module, self.few = module, few
        self._slots = list(slots(module))
        parts = [part for part in module.modules() if part is not module]
        self._hooks = [
            hooks for part in parts for hooks in (part._forward_pre_hooks, part._forward_hooks)
        ]
        self._places: list[int] = []
        self._versions: list[int] = []
        self._copied: list[torch.Tensor] = []  # what is bound does not see change in place
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
            places, versions = list(map(place_of, held)), list(map(version_of, self._copied))
        except RuntimeError:  # tensors of a transform, or made for inference
            return self.module._emitted
        if self._step is None or places != self._places or versions != self._versions:
            if self._make is None:
                return self.module._emitted
            device = held[0].device if held else torch.get_default_device()
            with torch.no_grad():
                self._step, made = self._make(self.module, device)
            self._copied = [] if _are_views(made, held) else held
            self._places, self._versions = places, list(map(version_of, self._copied))
        return self._step

    @cached_property
    def _make(self) -> Callable[..., Any] | None:
        """What binds the parameters."""
        artifact, module = self.module._artifact, self.module
        classes = {path: type(own).__name__ for path, own in module.named_modules() if path}
        packs = module.packs and not self.few and hasattr(functional, "packed")
        small = is_small(module)
        text = flat(
            artifact.source, artifact.entry, classes, join=small, packed="F.packed" if packs else ""
        )
        if text is None:
            return None
        around = dict(sys.modules[type(module).__module__].__dict__)
        if small and self.few:
            around["F"] = torch.nn.functional
        given = tuple((name, value) for name, value in around.items() if name[:2] != "__")
        own = emitted.loaded(text, f"{artifact.name}_flat", given)
        made: Callable[..., Any] = own.bound
        return made


def storage_of(value: torch.Tensor) -> int:
    """Where the memory begins that a tensor looks at."""
    return value.untyped_storage().data_ptr()


def _are_views(made: Iterable[Any], held: Iterable[torch.Tensor]) -> bool:
    """Whether all tensors in what is bound share the memory of parameters or states."""
    places = set(map(storage_of, held))
    waiting = list(made)
    while waiting:
        value = waiting.pop()
        if callable(value):  # a weight in the order of a library
            return False
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, torch.Tensor) and storage_of(value) not in places:
            return False
    return True
