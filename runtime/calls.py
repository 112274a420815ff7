"""How a kernel is called: what follows from the shapes of tensors is worked out once for each."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .memory import empty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.emit.cpp.borders import Border
    from ..compiler.emit.cpp.kernel import Kernel

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]

MOST = 64  # plans that are kept
HALVES = (torch.bfloat16, torch.float16)
"""What is read and written as such, and is held as float32 inside."""


@dataclass(frozen=True)
class _Plan:
    """The operands that have to be copied, the numbers of a call, and the tensors that it makes."""

    copied: tuple[int, ...]
    numbers: Any
    made: tuple[tuple[torch.Size, torch.dtype], ...]


class Calls:
    """Calls of a kernel on tensors whose axes stand in these orders.

    `made` gives empty results for operands, and after how many steps carries are kept; `counts`
    what a kernel is told first, for the sizes of axes, how many steps there are, and that number.
    """

    def __init__(
        self,
        kernel: Kernel,
        orders: Sequence[Order],
        results: Sequence[Order],
        made: Callable[[Tensors, int], Tensors],
        counts: Callable[[dict[str, Any], int, int], list[int]],
    ) -> None:
        self.kernel, self.orders, self.results, self.made = kernel, orders, results, made
        self.counts = counts
        self.count = len(kernel.borders)
        self.pointers = ctypes.c_void_p * self.count
        self.plans: dict[object, _Plan] = {}

    def __call__(self, function: Any, operands: Tensors, every: int) -> list[torch.Tensor]:
        """The results of the compiled function."""
        key = (every, torch.get_num_threads(), *[(x.shape, x.stride(), x.dtype) for x in operands])
        plan = self.plans.get(key)
        held = [x.float() if x.dtype in HALVES else x for x in operands]
        if plan is None:
            plan = self._planned(held, self.made(operands, every), every)
            if len(self.plans) == MOST:
                self.plans.clear()
            self.plans[key] = plan
        made = [empty(shape, _wide(dtype)) for shape, dtype in plan.made]
        for at in plan.copied:
            held[at] = _dense(held[at], self.orders[at], self.kernel.operands[at])
        found = self.pointers(*[x.data_ptr() for x in held], *[x.data_ptr() for x in made])
        function(ctypes.byref(found), plan.numbers)
        return [
            one if one.dtype is dtype else one.to(dtype)
            for one, (_, dtype) in zip(made, plan.made, strict=True)
        ]

    def _planned(self, operands: Tensors, made: Tensors, every: int) -> _Plan:
        ins, outs = self.kernel.operands, self.kernel.results
        held = [_dense(*row) for row in zip(operands, self.orders, ins, strict=True)]
        views = [_arranged(*row) for row in zip(made, self.results, outs, strict=True)]
        known: dict[object, int] = {}
        every_size: dict[str, Any] = {}
        axis = self.kernel.axis
        steps = axis.size if isinstance(axis.size, int) else 0
        for border, value in zip((*ins, *outs), (*held, *views), strict=True):
            sizes = dict(zip((*border.outer, *border.inner), value.shape, strict=True))
            known |= {own.size: sizes[own.name] for own in border.axes}
            every_size |= sizes
            steps = sizes.get(axis.name, steps)
        numbers = self.counts(every_size, steps, every)
        numbers += [known[size] for size in self.kernel.sizes]
        for border, value in zip((*ins, *outs), (*held, *views), strict=True):
            numbers += value.stride()[: len(border.outer)]
        same = zip(operands, held, strict=True)
        return _Plan(
            tuple(at for at, (own, new) in enumerate(same) if new.data_ptr() != own.data_ptr()),
            (ctypes.c_long * len(numbers))(*numbers),
            tuple((value.shape, value.dtype) for value in made),
        )


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in HALVES else dtype


def _arranged(value: torch.Tensor, order: Sequence[str], border: Border) -> torch.Tensor:
    return value.permute([order.index(name) for name in (*border.outer, *border.inner)])


def _dense(value: torch.Tensor, order: Sequence[str], border: Border) -> torch.Tensor:
    """The tensor with its axes as the kernel has them, the inner ones densely in memory."""
    value = _arranged(value, order, border)
    step, first = 1, len(border.outer)
    for size, stride in zip(
        reversed(value.shape[first:]), reversed(value.stride()[first:]), strict=True
    ):
        if size > 1 and stride != step:
            return value.contiguous()
        step *= size
    return value
