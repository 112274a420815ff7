"""Where a model holds parameters and states: drawn, shared with others, kept for others."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..compiler.artifact import Stored
from ..compiler.draws import initial
from ..compiler.emit.functions import path_of
from ..dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..compiler.artifact import Artifact
    from ..dsl.core import Node

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


def links(one: Holder, other: nn.Module) -> Iterator[Link]:
    """Where two models hold what has the same address: a dictionary of each, and the name there."""
    for stored in one._artifact.stored:
        with suppress(KeyError):
            held, name = slot(other, stored)
            yield slot(one, stored)[0], held, name


def slots(model: Holder) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a model holds its parameters and states: a dictionary of each, and the name there."""
    return (slot(model, stored) for stored in model._artifact.stored)


class Holder(nn.Module):
    """A module of emitted source with its parameters and states."""

    _artifact: Artifact
    _seed: int
    _held: tuple[Stored, ...]
    _like: tuple[Mapping[str, torch.Tensor], str] | None
    _links: tuple[weakref.ref[nn.Module] | None, int, list[Link]] = None, 0, []

    def _share(self, other: nn.Module | None) -> None:
        """Take parameters and states from another model."""
        for own, held, name in () if other is None else self._linked(other):
            value = held[name]
            if own[name] is not value and own[name].shape == value.shape:
                own[name] = value if isinstance(own[name], nn.Parameter) else _constant(value)

    def _linked(self, other: nn.Module) -> list[Link]:
        """Where the two hold what has the same address, found once."""
        more = len(getattr(other, "_held", ()))
        known, count, found = self._links
        if known is None or known() is not other or count != more:
            found = list(links(self, other))
            self._links = weakref.ref(other), more, found
        return found

    def _draw_initial(self, filled: Collection[str]) -> None:
        """Initial values for what has none yet. What is shared stays where it is."""
        for stored in self._artifact.stored:
            held, name = slot(self, stored)
            if held[name].is_meta:
                own, kind = None, held[name].dtype
                if stored.node.site not in filled:
                    own = _start(stored.node, self._seed)
                    kind = own.dtype
                # in memory as the emitted code wants it
                value = torch.empty_like(held[name], device="cpu", dtype=kind)
                if own is not None:
                    value.copy_(own)
                trained = isinstance(held[name], nn.Parameter)
                held[name] = nn.Parameter(value) if trained else value
        self._lay_out()

    def _lay_out(self) -> None:
        """Put parameters side by side in memory where the emitted code wants them so."""
        for module in self.modules():
            lay_out: Callable[[Any], None] | None = getattr(type(module), "lay_out", None)
            if lay_out is not None:
                lay_out(module)

    def _probe(self) -> tuple[Mapping[str, torch.Tensor], str] | None:
        """Where some parameter is held, by whose device and dtype inputs are made."""
        for stored in self._artifact.stored:
            if stored.node.dtype is DType.FLOAT:
                return slot(self, stored)
        return None

    def _given_like(self) -> torch.Tensor | None:
        """That parameter, as it is now."""
        return None if self._like is None else self._like[0][self._like[1]]

    def parameters_by_site(self) -> tuple[dict[str, nn.Parameter], dict[str, torch.Tensor]]:
        """Parameters and states by address."""
        weights: dict[str, nn.Parameter] = {}
        states: dict[str, torch.Tensor] = {}
        for stored in (*self._artifact.stored, *self._held):
            held, name = slot(self, stored)
            (weights if isinstance(held[name], nn.Parameter) else states)[stored.site] = held[name]
        return weights, states

    def hold(self, nodes: Iterable[Node], shared: Holder | None = None) -> None:
        """Keep further parameters at their addresses, such as those that interventions own: the
        ones of `shared`, or drawn."""
        theirs = shared.parameters_by_site()[0] if shared is not None else {}
        for node in nodes:
            site = node.site or ""
            *path, name = path_of(site)
            at: Any = self
            for key in path:
                if key not in at._modules:
                    at.add_module(key, nn.Module())
                at = at._modules[key]
            value = theirs.get(site)
            if value is None:
                value = nn.Parameter(_start(node, self._seed))
            at.register_parameter(name, value)
            self._held = (*self._held, Stored(site, ".".join(path_of(site)), node))

    @property
    def held(self) -> tuple[Node, ...]:
        """The nodes of the parameters that it keeps for others."""
        return tuple(stored.node for stored in self._held)


def as_tensor(array: NDArray[Any]) -> torch.Tensor:
    """The array's memory as a tensor; a copy if it may not be written."""
    return torch.from_numpy(array if array.flags.writeable else np.array(array))


def _constant(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers as what is no parameter."""
    return tensor.detach() if isinstance(tensor, nn.Parameter) else tensor


def _start(node: Node, seed: int) -> torch.Tensor:
    """What a parameter or a state starts from: floats, also where whole numbers are drawn, for by
    its dtype inputs are made."""
    value = as_tensor(initial(node, seed))
    wants_floats = node.dtype is DType.FLOAT and not value.is_floating_point()
    return value.to(torch.get_default_dtype()) if wants_floats else value
