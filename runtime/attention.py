"""Contractions shaped like attention: by what they are run, and how they are on the CPU.

On a GPU they are Triton (`runtime/attention_on_gpu.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..compiler.artifact import Provided
from ..compiler.attention.contraction import KEY, QUERY
from ..compiler.costs import contraction_for, is_worth
from ..compiler.emit.cpp.attention.kernel import backward
from ..compiler.emit.unsupported import UnsupportedError
from . import attention_on_gpu, cpp, gpu
from .contracting import ContractionOperator, TooLargeError
from .fused import Alone, Fused, fitted
from .operators import REALS, Compiled, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from ..compiler.artifact import ContractionCall
    from ..compiler.attention import Contraction
    from ..compiler.emit.cpp.attention.kernel import ContractionKernel

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]


def chosen(made: Contraction) -> Provided[ContractionKernel] | None:
    """What this machine has for a contraction besides PyTorch."""
    found: ContractionKernel | None = None
    if cpp.compiler() is not None:
        own = _kernel_for(made)
        found = None if isinstance(own, str) else own
    elif not cpp.switched_off():
        notice("no C++ compiler: attention is run by PyTorch alone")
    if found is None and not attention_on_gpu.provides(made):
        return None
    return Provided(found)


@lru_cache(maxsize=256)
def _kernel_for(made: Contraction) -> ContractionKernel | str:
    return contraction_for(made)


def function(call: ContractionCall, library: Compiled) -> Callable[..., Any]:
    """What runs a contraction, by what there is for the device of its operands."""
    alone = Alone(call)
    on_cpu = alone.run if call.kernel is None else OnCpu(call, alone, call.kernel, library).run
    if not gpu.runs_here() or not attention_on_gpu.provides(call.contraction):
        return on_cpu
    on_gpu = attention_on_gpu.OnGpu(call, alone).run

    def run(*operands: torch.Tensor) -> Any:
        on_device = all(x.device.type in gpu.DEVICES for x in operands)
        return on_gpu(*operands) if on_device else on_cpu(*operands)

    return run


class OnCpu(Fused):
    """One contraction, as its C++ is called."""

    operator: ContractionOperator

    def __init__(
        self, call: ContractionCall, alone: Alone, kernel: ContractionKernel, library: Compiled
    ) -> None:
        super().__init__(call, alone)
        self.library = library
        self.backs: dict[tuple[bool, ...], _WayBack | None] = {}
        self.operator = ContractionOperator(call.name, kernel, library, call.orders, call.results)
        self.start()

    def fits(self, operands: Tensors) -> bool:
        """Whether the kernel takes these tensors, and is worth it."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        if not all(x.is_cpu for x in operands) or len(floats) > 1 or not floats <= REALS.keys():
            return False
        sizes = self.operator.sizes(operands)
        scores = sizes[QUERY] * sizes[KEY]
        for axis in self.made.lanes:
            scores *= sizes[axis.name]
        return is_worth(sizes[QUERY], scores, self.call.is_usual)

    def back(
        self, operands: Tensors, results: Tensors, came: Tensors, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by the kernel, if there is one that takes it."""
        back = self.way_back(wanted)
        if back is None or not back.operator.runs(operands):
            return None
        try:
            return back(operands, results, came, wanted)
        except TooLargeError:
            return None

    def way_back(self, wanted: Sequence[bool]) -> _WayBack | None:
        """The kernel of the way back to some operands, if there is one."""
        key = tuple(wanted[3:])
        if key not in self.backs:
            try:
                self.backs[key] = _WayBack(self, key)
            except UnsupportedError:
                self.backs[key] = None
        return self.backs[key]


class _WayBack:
    """The kernel of the way back to query, key, value, and to those of the other operands that are
    wanted. Raises UnsupportedError where there is none."""

    def __init__(self, fused: OnCpu, wanted: tuple[bool, ...]) -> None:
        self.fused, call, made = fused, fused.call, fused.made
        self.more = [node for node, need in zip(made.more, wanted, strict=True) if need]
        kernel = backward(made, [node.name for node in self.more])
        results = [call.results[0], call.results[-1]] if made.softmax else []
        orders = [*call.orders, *results, call.results[0], *call.results[1:]]
        word = "".join("01"[need] for need in wanted)
        self.operator = ContractionOperator(
            f"{call.name}_back{word}",
            kernel,
            Compiled(fused.library.command, [kernel]),
            orders,
            [self._laid(own) for own in kernel.returns],
        )

    def _laid(self, own: Order) -> Order:
        """The order of a gradient in memory: keys last if there are queries too."""
        if {QUERY, KEY} <= set(own):
            return (*(axis for axis in own if axis != KEY), KEY)
        return own

    def __call__(
        self, operands: Tensors, results: Tensors, came: Tensors, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        softmax = self.fused.made.softmax
        given = [*operands, *(results if softmax else ()), *came]
        found = self.operator(given)
        names = [*self.fused.inputs[:3], *(node.name for node in self.more)]
        made = dict(zip(names, zip(found, self.operator.results, strict=True), strict=True))
        gathered: list[torch.Tensor | None] = []
        for name, order, need in zip(
            self.fused.inputs, self.fused.call.orders, wanted, strict=True
        ):
            gathered.append(fitted(*made[name], order) if need else None)
        return gathered
