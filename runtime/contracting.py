"""Kernels of contractions as operators of PyTorch, which it can trace: compiled when first run."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from ..compiler.attention.contraction import DOT, KEY, QUERY, VALUE
from .operators import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.attention.tensors import Tensor
    from ..compiler.emit.cpp.attention.kernel import ContractionKernel
    from .operators import Compiled

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]

OUTSIDE, TOO_LARGE = 1, 2  # what a kernel may answer


class TooLargeError(Exception):
    """Whole numbers that a kernel does not take."""


class AnyContraction(ABC):
    """A kernel on tensors whose axes stand in these orders: `neuraxis::<name>`.

    `instead` is run where it cannot be. What runs it is a subclass.
    """

    devices: tuple[str, ...] = ()
    """The kinds of devices that it runs on, as PyTorch dispatches by them."""

    def __init__(self, name: str, orders: Sequence[Order], results: Sequence[Order]) -> None:
        self.orders, self.results = tuple(orders), tuple(results)
        self.instead: Callable[[Tensors], Tensors] | None = None
        given = ", ".join(f"Tensor x{at}" for at in range(len(self.orders)))
        made = ", ".join(["Tensor"] * len(self.results))
        LIBRARY.define(f"{name}({given}) -> ({made})")
        for device in self.devices:
            LIBRARY.impl(name, self._run, device)
        torch.library.register_fake(f"neuraxis::{name}", self._fake, lib=LIBRARY)
        self.call: Any = getattr(torch.ops.neuraxis, name).default

    def __call__(self, operands: Tensors) -> tuple[torch.Tensor, ...]:
        """The results."""
        found = self.call(*operands)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    @abstractmethod
    def runs(self, operands: Tensors) -> bool:
        """Whether it can be run on these."""

    def sizes(self, operands: Tensors) -> dict[str, Any]:
        """How long each axis is."""
        found: dict[str, Any] = {}
        for order, value in zip(self.orders, operands, strict=True):
            found |= dict(zip(order, value.shape, strict=True))
        return found

    def shapes(self, operands: Tensors) -> list[list[Any]]:
        """The shapes of the results."""
        sizes = self.sizes(operands)
        return [[sizes[axis] for axis in order] for order in self.results]

    @abstractmethod
    def _made(self, operands: Tensors) -> list[torch.Tensor]:
        """Memory for the results."""

    def _fake(self, *given: Any) -> Any:
        return self._given_out(self._made(given))

    def _given_out(self, made: Tensors) -> Any:
        return made[0] if len(made) == 1 else tuple(made)

    @abstractmethod
    def _run(self, *operands: Any) -> Any:
        """The results, one by itself or several in a tuple."""


class ContractionOperator(AnyContraction):
    """A kernel of a library. `instead` is run where the compiler fails, or a whole number is too
    large; without it the latter raises TooLargeError. Raises IndexError for a position outside of a
    table.
    """

    devices = ("CPU",)

    def __init__(
        self,
        name: str,
        kernel: ContractionKernel,
        library: Compiled,
        orders: Sequence[Order],
        results: Sequence[Order],
    ) -> None:
        self.kernel, self.library = kernel, library
        super().__init__(name, orders, results)

    def runs(self, operands: Tensors) -> bool:
        """Whether the compiler takes it."""
        return self.library.function(self.kernel.symbol, operands[0].dtype) is not None

    def _made(self, operands: Tensors) -> list[torch.Tensor]:
        """Memory for the results; gradients are added to what is there."""
        like = operands[0]
        make = like.new_zeros if self.kernel.returns else like.new_empty
        return [make(shape) for shape in self.shapes(operands)]

    def _run(self, *operands: Any) -> Any:
        function = self.library.function(self.kernel.symbol, operands[0].dtype)
        if function is None and self.instead is not None:
            return self._given_out(self.instead(operands))
        made = self._made(operands)
        sizes = self.sizes(operands)
        reads = [own for own in self.kernel.tensors if own.read]
        writes = [own for own in self.kernel.tensors if not own.read]
        held = [_near(*row) for row in zip(operands, self.orders, reads, strict=True)]
        held += [_near(*row) for row in zip(made, self.results, writes, strict=True)]
        numbers = [torch.get_num_threads(), sizes[QUERY], sizes[KEY], sizes[DOT], sizes[VALUE]]
        numbers += [sizes[axis] for axis in self.kernel.sizes]
        for value, order, own in held:
            steps = dict(zip(order, value.stride(), strict=True))
            numbers += [0 if axis is None else steps[axis] for axis in own.slots]
        pointers = [value.data_ptr() for value, _, _ in held]
        answer = function(
            ctypes.byref((ctypes.c_void_p * len(pointers))(*pointers)),
            ctypes.byref((ctypes.c_long * len(numbers))(*numbers)),
        )
        if answer & TOO_LARGE:
            if self.instead is None:
                raise TooLargeError
            return self._given_out(self.instead(operands))
        if answer & OUTSIDE:
            raise IndexError("index out of range in a table that scores are read from")
        return self._given_out(made)


def _near(value: torch.Tensor, order: Order, own: Tensor) -> tuple[torch.Tensor, Order, Tensor]:
    """The tensor; neighbours along keys side by side, if it has queries too."""
    if {QUERY, KEY} <= set(order):
        at = order.index(KEY)
        if value.shape[at] > 1 and value.stride(at) != 1:
            value = value.movedim(at, -1).contiguous()
            order = (*order[:at], *order[at + 1 :], KEY)
    return value, order, own
