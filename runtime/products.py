"""Products of values with weights, by the faster of the two libraries that PyTorch has on the CPU.

PyTorch gives products of float32 to MKL. On a processor of another maker than Intel MKL uses
vectors of 256 bits where there are some of 512, and oneDNN uses these.
"""

from __future__ import annotations

import platform
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.compiler import is_compiling

from ..compiler.costs import FEWEST_PRODUCTS, fewest_rows
from .eager import is_eager, wants_gradients

if TYPE_CHECKING:
    from collections.abc import Callable

plain = F.linear
onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
ordered: Any = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`F.linear`."""
    if is_compiling() or x.numel() * weight.shape[0] < FEWEST_PRODUCTS:
        return plain(x, weight, bias)
    given = (x, weight) if bias is None else (x, weight, bias)
    if (
        x.numel() < fewest_rows(*weight.shape) * weight.shape[-1]
        or not all(value.dtype is torch.float32 for value in given)
        or not is_eager(given)
        or torch.is_autocast_enabled("cpu")
    ):
        return plain(x, weight, bias)
    if wants_gradients(given):
        return _recorded(x, weight, bias)  # type: ignore[no-any-return]  # of a function of PyTorch
    return _times(x, weight, bias)


def _times(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    found: torch.Tensor = onednn(x, weight, bias, "none", [], "")
    return found


def packed(
    weight: torch.Tensor, bias: torch.Tensor | None = None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The product with a weight that stays as it is, held again as oneDNN wants it. Gives no
    gradients, and is for where nothing looks on."""
    given = (weight,) if bias is None else (weight, bias)
    if not (is_eager(given) and all(value.dtype is torch.float32 for value in given)):
        return partial(plain, weight=weight, bias=bias)
    least = fewest_rows(*weight.shape, packed=True) * max(weight.shape[-1], 1)
    held = ordered(weight.detach().contiguous())

    def times(x: torch.Tensor) -> torch.Tensor:
        if x.numel() < least:
            return plain(x, weight, bias)
        found: torch.Tensor = onednn(x, held, bias, "none", [], "")
        return found

    return times


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _times(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, came: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        again = torch.is_grad_enabled() or not is_eager((came,))
        times = plain if again else _times
        rows, given = (value.reshape(-1, value.shape[-1]) for value in (came, x))
        of_weight = None
        if wanted[1] and _is_turned(weight, len(rows)):
            of_weight = times(given.t(), rows.t()).t()
        elif wanted[1]:
            of_weight = times(rows.t(), given.t())
        return (
            times(came, weight.t()) if wanted[0] else None,
            of_weight,
            rows.sum(0) if wanted[2] else None,
        )


def _is_turned(weight: torch.Tensor, rows: int) -> bool:
    """Whether the gradient of a weight is made turned: as it lies in memory, unless that costs more
    than turning it. Of the two that are multiplied, the first is copied."""
    made, summed = weight.shape
    turned = weight.stride(0) == 1
    spared = rows * (made - summed) * (-1 if turned else 1)
    return turned != (spared > 2 * made * summed)


# past the Python of `apply`, which asks again whether a transform looks on
_recorded: Any = super(torch.autograd.Function, _Linear).apply


def _maker() -> str:
    """Who made the processor, as it says itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("vendor_id")), platform.processor())


def _functional() -> ModuleType:
    """`torch.nn.functional`, with the product above where it is faster."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    mkl = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch
    if not (wide and mkl and onednn and ordered) or "Intel" in _maker():
        return F
    made = ModuleType(F.__name__, F.__doc__)
    made.__dict__.update(F.__dict__, linear=linear, packed=packed)
    return made


functional = _functional()
"""What emitted source calls `F`."""
