"""The parameters and states of a model: tensors by address, drawn from a seed, loaded, moved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler import draws
from ..dsl.core import DType
from ..dsl.diagnostics import Diagnostic, Note, Slug, SpecError, or_nearest
from ..dsl.ops import ParamAttrs, StateAttrs
from ..dsl.source import GENERATED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..dsl.core import Body, Node
    from ..dsl.source import Span

    Array = NDArray[Any] | torch.Tensor

TORCH = {DType.FLOAT: torch.float32, DType.INT: torch.int64, DType.BOOL: torch.bool}
LISTED = 6  # addresses that a message names before it says "..."


class Parameters(Mapping[str, torch.Tensor]):
    """Parameters, trained or not, then states, each by its address.

    All changes are made in place: what holds one of the tensors sees them.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.nn.Parameter],
        states: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.weights = dict(weights)
        self.states = dict(states or {})
        if both := self.weights.keys() & self.states.keys():
            raise ValueError(f"{min(both)} is a parameter and a state")

    @classmethod
    def of(cls, *bodies: Body, seed: int) -> Parameters:
        """All that the programs read, as it is before training; equal addresses are one."""
        weights: dict[str, torch.nn.Parameter] = {}
        states: dict[str, torch.Tensor] = {}
        for node in (step.node for body in bodies for step in body.steps):
            site = node.site or node.name
            match node.attrs:
                case ParamAttrs(trained=trained) if site not in weights:
                    grows = trained and node.dtype is DType.FLOAT
                    weights[site] = torch.nn.Parameter(_start(node, seed), requires_grad=grows)
                case StateAttrs() if site not in states:
                    states[site] = _start(node, seed)
        return cls(weights, states)

    def __getitem__(self, site: str) -> torch.Tensor:
        return self.weights[site] if site in self.weights else self.states[site]

    def __iter__(self) -> Iterator[str]:
        yield from self.weights
        yield from self.states

    def __len__(self) -> int:
        return len(self.weights) + len(self.states)

    @property
    def trained(self) -> tuple[str, ...]:
        """The addresses of those that get gradients."""
        return tuple(site for site, weight in self.weights.items() if weight.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return next((tensor.device for tensor in self.values()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """What those that are no whole numbers are held as."""
        floats = (tensor.dtype for tensor in self.values() if tensor.is_floating_point())
        return next(floats, torch.float32)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Parameters:
        """Move itself to a device; floats become the dtype."""
        for tensor in self.values():
            tensor.grad = None
            own = dtype if tensor.is_floating_point() else None
            tensor.data = tensor.data.to(device=device, dtype=own)
        return self

    def copy(self) -> Parameters:
        """The same numbers in tensors of their own."""
        weights = {
            site: torch.nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
            for site, weight in self.weights.items()
        }
        return Parameters(weights, {site: state.clone() for site, state in self.states.items()})

    def state(self) -> dict[str, torch.Tensor]:
        """All tensors without gradients, the very ones and no copies."""
        return {site: tensor.detach() for site, tensor in self.items()}

    @contextmanager
    def only(self, sites: Collection[str]) -> Iterator[None]:
        """For a while, just these get gradients; afterwards none is left."""
        before = {site: weight.requires_grad for site, weight in self.weights.items()}
        try:
            self.let_grow(sites)
            yield
        finally:
            for site, weight in self.weights.items():
                weight.grad = None
                weight.requires_grad_(before[site])

    def let_grow(self, sites: Collection[str]) -> None:
        """From now on just these get gradients; none is left of before."""
        for site, weight in self.weights.items():
            weight.grad = None
            weight.requires_grad_(site in sites)

    def load(
        self,
        arrays: Mapping[str, Array],
        *,
        fresh: Collection[str] = (),
        partial: bool = False,
        extras: bool = False,
        span: Span = GENERATED,
    ) -> None:
        """Take over numbers by address; SpecError if they do not fit, and then nothing changes.

        What is `fresh` stays as it is. With `partial` some parameters may be missing, and with
        `extras` there may be others; a state may always be missing.
        """
        found = []
        if missing := [site for site in self.weights if site not in arrays and site not in fresh]:
            found += [] if partial else [_missing(missing, span)]
        if unknown := [site for site in arrays if site not in self]:
            found += [] if extras else [_unknown(unknown, self, span)]
        taken = {site: arrays[site] for site in self if site in arrays and site not in fresh}
        if misfits := [site for site, array in taken.items() if array.shape != self[site].shape]:
            found.append(_misfit(misfits, taken, self, span))
        if found:
            raise SpecError(found)
        with torch.no_grad():
            for site, array in taken.items():
                self[site].copy_(as_tensor(array))


def as_tensor(array: Array) -> torch.Tensor:
    """An array as a tensor, which shares its memory where it can."""
    if isinstance(array, torch.Tensor):
        return array.detach()
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def shape_text(shape: Sequence[int]) -> str:
    """`50257 x 768`; of one number, that."""
    return " x ".join(map(str, shape)) or "one number"


def _start(node: Node, seed: int) -> torch.Tensor:
    return torch.tensor(draws.initial(node, seed), dtype=TORCH[node.dtype])


def _missing(sites: Sequence[str], span: Span) -> Diagnostic:
    message = f"{_count(sites)} no values: {_list(sites)}"
    return Diagnostic(Slug.UNKNOWN_SITE, message, span)


def _unknown(sites: Sequence[str], known: Iterable[str], span: Span) -> Diagnostic:
    message = f"values for what is no parameter: {_list(sites)}"
    return Diagnostic(Slug.UNKNOWN_SITE, message, span, hint=or_nearest(sites[0], known))


def _misfit(
    sites: Sequence[str], arrays: Mapping[str, Array], own: Parameters, span: Span
) -> Diagnostic:
    first = sites[0]
    found, expected = shape_text(arrays[first].shape), shape_text(own[first].shape)
    notes = (Note(f"so it is with {_list(sites[1:])}"),) if sites[1:] else ()
    message = f"`{first}` is {expected}, and its values are {found}"
    return Diagnostic(Slug.SIZE_MISMATCH, message, span, notes=notes)


def _count(sites: Sequence[str]) -> str:
    return f"{len(sites)} parameters have" if len(sites) > 1 else "a parameter has"


def _list(sites: Sequence[str]) -> str:
    """Some addresses, turns that differ by their number alone said once."""
    general = list(dict.fromkeys(re.sub(r"\[\d+\]", "[*]", site) for site in sites))
    shown = general if len(general) < len(sites) else list(sites)
    rest = ", ..." if len(shown) > LISTED else ""
    return ", ".join(f"`{site}`" for site in shown[:LISTED]) + rest
