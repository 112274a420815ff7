"""Kernels as operators of PyTorch, which it can trace: compiled when first run."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..compiler.emit.cpp.kernel import CHUNK
from ..dsl.core import DType
from . import cpp
from .calls import HALVES, Calls
from .eager import is_eager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.emit.cpp.attention.kernel import ContractionKernel
    from ..compiler.emit.cpp.borders import Border
    from ..compiler.emit.cpp.kernel import Kernel
    from ..compiler.emit.triton.borders import Border as TritonBorder
    from ..compiler.emit.triton.kernel import Kernel as TritonKernel
    from .calls import Planned

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]
    AnyKernel = Kernel | TritonKernel
    AnyBorder = Border | TritonBorder

REALS = {torch.float32: "float", torch.float64: "double"}
HELD = {DType.INT: torch.int64, DType.BOOL: torch.bool}
LIBRARY: Any = torch.library.Library("neuraxis", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch
_said: set[str] = set()


def notice(text: str) -> None:
    """Say something once."""
    if text not in _said:
        _said.add(text)
        logging.getLogger("neuraxis").warning("%s", text)


class Compiled:
    """Kernels that are compiled together by a compiler, for each dtype when it is first needed."""

    def __init__(self, command: str, kernels: Sequence[Kernel | ContractionKernel]) -> None:
        self.command = command
        self.kernels = {kernel.symbol: kernel for kernel in kernels}
        self.found: dict[str, dict[str, Any] | None] = {}

    def function(self, symbol: str, dtype: torch.dtype) -> Any:
        """The compiled function, or None if the compiler fails."""
        real = REALS[torch.float32 if dtype in HALVES else dtype]
        if real not in self.found:
            sources = [kernel.source for kernel in self.kernels.values()]
            try:
                self.found[real] = cpp.loaded(self.command, sources, self.kernels, real)
            except cpp.CompileError as error:
                notice(f"{error}: what it was to run is run by PyTorch")
                self.found[real] = None
        functions = self.found[real]
        return None if functions is None else functions[symbol]


class KernelError(Exception):
    """A kernel cannot be run, and nothing else can in its place."""


class AnyOperator(ABC):
    """A kernel on tensors whose axes stand in these orders: `neuraxis::<name>`.

    It is given tensors, and after how many steps carries are kept. `instead` is run where the
    compiler fails. What runs it is a subclass.
    """

    devices: tuple[str, ...] = ()
    """The kinds of devices that it runs on, as PyTorch dispatches by them."""
    kernel: AnyKernel

    def __init__(
        self,
        name: str,
        orders: Sequence[Order],
        results: Sequence[Order],
        instead: Callable[..., Tensors] | None = None,
    ) -> None:
        self.instead = instead
        self.orders, self.results = tuple(orders), tuple(results)
        given = ", ".join(f"Tensor x{at}" for at in range(len(self.orders)))
        made = ", ".join(["Tensor"] * len(self.results))
        LIBRARY.define(f"{name}({given}, SymInt every) -> ({made})")
        for device in self.devices:
            LIBRARY.impl(name, self._run, device)
        torch.library.register_fake(f"neuraxis::{name}", self._fake, lib=LIBRARY)
        self.call: Any = getattr(torch.ops.neuraxis, name).default

    def __call__(self, operands: Tensors, every: int) -> tuple[torch.Tensor, ...]:
        """The results."""
        direct = not is_compiling() and is_eager(operands)
        found = self._run(*operands, every) if direct else self.call(*operands, every)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)

    def planned(self, operands: Tensors, every: int) -> Planned | None:
        """How the kernel is called on tensors like these, if it is a compiled function."""
        return None

    def differentiable(self, backward: Any, setup: Any) -> None:
        """Give PyTorch the rule of the way back, for when it traces the operator."""
        torch.library.register_autograd(self.call, backward, setup_context=setup, lib=LIBRARY)

    # ---- what is made

    def said(self, operands: Tensors) -> dict[Any, Any]:
        """What operands say of sizes, by the axis and by what it is called: an axis of a result may
        have the size of another one."""
        found: dict[Any, Any] = {}
        borders: Sequence[AnyBorder] = self.kernel.operands
        for order, value, border in zip(self.orders, operands, borders, strict=True):
            own = {axis.name: axis.size for axis in border.axes}
            for name, size in zip(order, value.shape, strict=True):
                found[name] = size
                if not isinstance(own[name], int):
                    found[own[name]] = size
        return found

    def sizes(self, operands: Tensors, every: int) -> dict[Any, Any]:
        """How long each axis is."""
        found = self.said(operands)
        axis = self.kernel.axis
        found.setdefault(axis.name, axis.size)
        found[CHUNK.name] = (found[axis.name] + every - 1) // every if every else 0
        return found

    @abstractmethod
    def _made(self, operands: Tensors, every: int) -> list[torch.Tensor]:
        """Memory for the results."""

    def _fake(self, *given: Any) -> Any:
        return self._given_out(self._made(given[:-1], given[-1]))

    def _given_out(self, made: Tensors) -> Any:
        return made[0] if len(made) == 1 else tuple(made)

    @abstractmethod
    def _run(self, *given: Any) -> Any:
        """The results, one by itself or several in a tuple."""


class Operator(AnyOperator):
    """A kernel of a library."""

    devices = ("CPU",)
    kernel: Kernel

    def __init__(
        self,
        name: str,
        kernel: Kernel,
        library: Compiled,
        orders: Sequence[Order],
        results: Sequence[Order],
        instead: Callable[..., Tensors] | None = None,
    ) -> None:
        self.kernel, self.library = kernel, library
        self.calls = Calls(kernel, tuple(orders), tuple(results), self._made, self.counts)
        super().__init__(name, orders, results, instead)

    def counts(self, sizes: dict[str, Any], steps: int, every: int) -> list[int]:
        """What a kernel is told first: steps, threads, after how many steps carries are kept."""
        return [steps, torch.get_num_threads(), every]

    def _made(self, operands: Tensors, every: int) -> list[torch.Tensor]:
        """Memory for the results."""
        sizes = self.sizes(operands, every)
        floats = [x for x in operands if x.is_floating_point()]
        like = next((x for x in floats if x.dtype in HALVES), floats[0])
        made = []
        for border, order in zip(self.kernel.results, self.results, strict=True):
            shape = shape_of(border, order, sizes)
            made.append(like.new_empty(shape, dtype=_held(border, like.dtype)))
        return made

    def planned(self, operands: Tensors, every: int) -> Planned | None:
        """How the kernel is called on tensors like these; None if the compiler fails."""
        dtype = next(x.dtype for x in operands if x.is_floating_point())
        function = self.library.function(self.kernel.symbol, dtype)
        if function is None:
            return None
        return self.calls.planned(function, operands, every)

    def _run(self, *given: Any) -> Any:
        *operands, every = given
        planned = self.planned(operands, every)
        if planned is None and self.instead is not None:
            return self._given_out(self.instead(*operands, every))
        assert planned is not None
        return self._given_out(planned(operands))


def shape_of(border: AnyBorder, order: Order, sizes: dict[Any, Any]) -> list[Any]:
    """The shape of a tensor; an axis may be of different sizes in different ones."""
    known = {axis.name: axis.size for axis in border.axes}
    found = [(known[name], sizes.get(name, sizes.get(known[name]))) for name in order]
    return [size if isinstance(size, int) else given for size, given in found]


def _held(border: Border, dtype: torch.dtype) -> torch.dtype:
    """What a result holds, of operands that hold floats of a dtype: what is summed up is wide."""
    if border.dtype is not DType.FLOAT:
        return HELD[border.dtype]
    wide = dtype in HALVES and border.kind not in ("last", "output")
    return torch.float32 if wide else dtype
