"""Whether PyTorch does nothing with operations but run them, so that a kernel can be called as it
is: no transform, no tracing, no subclass of tensors looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._C._dynamo.guards import TensorGuards
from torch.autograd import forward_ad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Jvp = torch._C._functorch.TransformType.Jvp
PLAIN = frozenset([torch.Tensor, torch.nn.Parameter])


def is_watched() -> bool:
    """Whether a transform or a trace is active."""
    return bool(
        torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def is_eager(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether these are numbers in the memory of the CPU, and nothing but the kernel is wanted."""
    if is_watched():
        return False
    return all(
        type(x) in PLAIN and x.is_cpu and x.layout is torch.strided and not x.is_neg()
        for x in tensors
    )


def alike(tensors: Sequence[torch.Tensor]) -> Callable[..., bool]:
    """Whether others are like these: in type, shape, strides, dtype and device, in what looks on,
    and in whether gradients are wanted. It is PyTorch's own test, in one call."""
    shapes: Any = [list(x.shape) for x in tensors]
    strides: Any = [list(x.stride()) for x in tensors]
    made = TensorGuards(*tensors, dynamic_dims_sizes=shapes, dynamic_dims_strides=strides)
    check: Callable[..., bool] = made.check
    return check


def wants_gradients(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether what is made of these may be asked for gradients."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def is_pushed_twice() -> bool:
    """Whether a tangent of a tangent is wanted. PyTorch sees none of the inner one in a rule of a
    function of its own, and would give 0 for it."""
    stack = torch._C._functorch.get_interpreter_stack() or ()
    return sum(transform.key() == Jvp for transform in stack) > 1
