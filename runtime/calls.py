"""How a kernel is called: what follows from the shapes of tensors is worked out once for each."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .memory import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.emit.cpp.borders import Border
    from ..compiler.emit.cpp.kernel import Kernel

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]

MOST = 64  # plans that are kept
HALVES = (torch.bfloat16, torch.float16)
"""What is read and written as such, and is held as float32 inside."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A call of a compiled function on tensors like those that it was planned for."""

    function: Any
    numbers: Any
    pointers: Any
    changed: tuple[tuple[int, Callable[[torch.Tensor], torch.Tensor]], ...]
    """The operands that have to be copied, and how."""
    made: tuple[tuple[torch.dtype, Callable[[], torch.Tensor]], ...]
    """The dtypes of the results as the function makes them, and what makes memory for them."""
    narrow: tuple[tuple[int, torch.dtype], ...]
    """The results that are given out as another dtype."""

    def __call__(self, operands: Tensors) -> list[torch.Tensor]:
        """The results."""
        if self.changed:
            operands = list(operands)
            for at, change in self.changed:
                operands[at] = change(operands[at])
        made = [make() for _, make in self.made]
        places = [x.data_ptr() for x in operands]
        places += [x.data_ptr() for x in made]
        self.function(self.pointers(*places), self.numbers)
        for at, dtype in self.narrow:
            made[at] = made[at].to(dtype)
        return made


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
        self.plans: dict[object, Planned] = {}

    def planned(self, function: Any, operands: Tensors, every: int) -> Planned:
        """How the compiled function is called on tensors like these."""
        key = (every, torch.get_num_threads(), *[(x.shape, x.stride(), x.dtype) for x in operands])
        plan = self.plans.get(key)
        if plan is None:
            plan = self._planned(function, operands, self.made(operands, every), every)
            if len(self.plans) == MOST:
                self.plans.clear()
            self.plans[key] = plan
        return plan

    def _planned(self, function: Any, operands: Tensors, made: Tensors, every: int) -> Planned:
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
        rows = zip(operands, held, self.orders, ins, strict=True)
        changed = tuple(
            (at, partial(_dense, order=order, border=border))
            for at, (own, new, order, border) in enumerate(rows)
            if new.data_ptr() != own.data_ptr()
        )
        dtypes = [(x.dtype, _wide(x.dtype)) for x in made]
        return Planned(
            function,
            (ctypes.c_long * len(numbers))(*numbers),
            self.pointers,
            changed,
            tuple((wide, maker(x.shape, wide)) for x, (_, wide) in zip(made, dtypes, strict=True)),
            tuple((at, own) for at, (own, wide) in enumerate(dtypes) if own is not wide),
        )


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in HALVES else dtype


def _arranged(value: torch.Tensor, order: Sequence[str], border: Border) -> torch.Tensor:
    return value.permute([order.index(name) for name in (*border.outer, *border.inner)])


def _dense(value: torch.Tensor, order: Sequence[str], border: Border) -> torch.Tensor:
    """The tensor with its axes as the kernel has them, the inner ones densely in memory, wide."""
    value = _arranged(value.float() if value.dtype in HALVES else value, order, border)
    step, first = 1, len(border.outer)
    for size, stride in zip(
        reversed(value.shape[first:]), reversed(value.stride()[first:]), strict=True
    ):
        if size > 1 and stride != step:
            return value.contiguous()
        step *= size
    return value
