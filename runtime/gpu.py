"""Kernels in Triton as operators of PyTorch, on the devices that Triton has."""

from __future__ import annotations

import importlib.util
import os
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import torch

from ..dsl.core import DType
from . import emitted
from .operators import HELD, AnyOperator, KernelError, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.emit.triton.borders import Border
    from ..compiler.emit.triton.kernel import Kernel
    from .operators import Order, Tensors

DEVICES = frozenset(["cuda"])
"""The kinds of devices whose tensors are given to Triton."""
EXACT = {torch.float32: "tf32x3", torch.bfloat16: "tf32", torch.float16: "tf32"}
"""How exact products of matrices are, in which all is held as float32: as what comes in."""


def multiplied(dtype: torch.dtype) -> Any:
    """What products of matrices are of, where what comes in is not made wide: the same, but that
    NumPy, which runs kernels without a GPU, knows no bfloat16."""
    import triton  # type: ignore[import-untyped]  # it has no types

    narrow = dtype is not torch.bfloat16 or not triton.knobs.runtime.interpret
    return getattr(triton.language, str(dtype if narrow else torch.float32).removeprefix("torch."))


@cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def runs_here() -> bool:
    """Whether Triton may be given anything on this machine."""
    devices = "cpu" in DEVICES or torch.cuda.is_available()
    if devices and not _installed():
        notice("Triton is not installed: on the GPU recurrences are run step by step in PyTorch")
    return devices and _installed()


def function(source: str, symbol: str) -> Any:
    """A function of some source, ready to be launched."""
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # the default of versions differs
    return getattr(emitted.loaded(source, symbol), symbol)


def say_failed(error: Exception, instead: str) -> None:
    """Say once what Triton says, and what is done instead."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    notice(f"Triton fails ({first}): {instead}")


class TritonOperator(AnyOperator):
    """A kernel that Triton compiles for what it is given."""

    devices = ("CUDA", "CPU")
    kernel: Kernel
    broken = False

    def __init__(
        self,
        name: str,
        kernel: Kernel,
        orders: Sequence[Order],
        results: Sequence[Order],
        instead: Callable[..., Tensors] | None = None,
    ) -> None:
        self.kernel = kernel
        super().__init__(f"{name}_gpu", orders, results, instead)

    @cached_property
    def function(self) -> Any:
        """The kernel, ready to be launched."""
        return function(self.kernel.source, self.kernel.symbol)

    def _made(self, operands: Tensors, every: int) -> list[torch.Tensor]:
        """Memory for the results."""
        sizes = self.sizes(operands, every)
        like = next(x for x in operands if x.is_floating_point())
        made = []
        for border, order in zip(self.kernel.results, self.results, strict=True):
            known = {axis.name: axis.size for axis in border.axes}
            shape = [self._long(border, name, sizes.get(name, known[name])) for name in order]
            made.append(like.new_empty(shape, dtype=self._held(border, like.dtype)))
        return made

    def _long(self, border: Border, axis: str, size: Any) -> Any:
        """Parts of a sum are as many as blocks."""
        plan = self.kernel.plan
        blocks = axis in border.parts and plan.block is not None
        return -(-size // plan.width) if blocks else size

    def _held(self, border: Border, dtype: torch.dtype) -> torch.dtype:
        """Floats that are kept, or are parts of sums, are as in the kernel."""
        if border.dtype is not DType.FLOAT:
            return HELD[border.dtype]
        summed = border.kind == "gone" and (
            bool(border.parts) or self.kernel.axis not in border.axes
        )
        return torch.float32 if border.kind == "kept" or summed else dtype

    def _run(self, *given: Any) -> Any:
        *operands, every = given
        made = self._made(operands, every)
        if not self.broken:
            try:
                self._launch(operands, made, every)
                return self._given_out(made)
            except Exception as error:  # Triton raises what its compilers and the driver raise
                self.broken = True
                say_failed(error, "the recurrence is run step by step in PyTorch")
        if self.instead is None:
            raise KernelError
        return self._given_out(self.instead(*operands, every))

    def _launch(self, operands: Tensors, made: Tensors, every: int) -> None:
        kernel, plan = self.kernel, self.kernel.plan
        sizes = self.sizes(operands, every)
        programs = 1
        for axis in plan.lanes:
            size = sizes[axis.name]
            programs *= -(-size // plan.width) if axis == plan.block else size
        if not programs:
            return
        numbers = [sizes[kernel.axis.name], *(sizes[axis.name] for axis in kernel.sized)]
        values = (*operands, *made)
        orders = (*self.orders, *self.results)
        for border, value, order in zip(
            (*kernel.operands, *kernel.results), values, orders, strict=True
        ):
            numbers += [value.stride(order.index(axis.name)) for axis in border.axes]
        dtype = next(x.dtype for x in operands if x.is_floating_point())
        modes: dict[str, Any] = {"PRECISION": EXACT[dtype]}
        if kernel.kept:
            modes["KEEP"] = every > 0
        device = values[0].device
        with torch.cuda.device(device if device.type == "cuda" else -1):
            self.function[(programs,)](
                *values, *numbers, **modes, num_warps=plan.warps, num_stages=plan.stages
            )
