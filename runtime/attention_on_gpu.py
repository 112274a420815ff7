"""Contractions shaped like attention on a GPU: their kernels in Triton, as they are called."""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import torch

from ..compiler.attention.contraction import DOT, KEY, QUERY, VALUE
from ..compiler.costs import gpu_contraction_for, is_worth_on_gpu
from ..compiler.emit.triton.attention.border import GAP, RESULTS
from ..compiler.emit.triton.attention.kernel import backward
from ..compiler.emit.triton.attention.plans import planned
from ..compiler.emit.unsupported import UnsupportedError
from . import gpu
from .contracting import AnyContraction
from .fused import Fused, fitted
from .operators import KernelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..compiler.artifact import ContractionCall
    from ..compiler.attention import Contraction
    from ..compiler.emit.triton.attention.kernel import ContractionKernel
    from ..compiler.emit.triton.attention.plans import Plan
    from .fused import Alone

    Tensors = Sequence[torch.Tensor]
    Order = tuple[str, ...]

GROUP = 64
"""Rows that four warps of an H100 multiply at once. In chunks of recurrences these instructions
gave wrong numbers where registers were spilled."""


def provides(made: Contraction) -> bool:
    """Whether this machine has a kernel of a contraction for its GPU."""
    return gpu.runs_here() and not isinstance(_kernel_for(made), str)


@lru_cache(maxsize=256)
def _kernel_for(made: Contraction) -> ContractionKernel | str:
    return gpu_contraction_for(made)


class TritonContraction(AnyContraction):
    """Kernels that Triton compiles for what they are given, one after another.

    `words` are the operands as the kernels call them, `made` the results, to some of which,
    `added`, programs add.
    """

    devices = ("CUDA", "CPU")
    broken = False

    def __init__(
        self,
        name: str,
        kernels: Sequence[ContractionKernel],
        words: Sequence[str],
        orders: Sequence[Order],
        made: Sequence[str],
        results: Sequence[Order],
        added: Sequence[str] = (),
    ) -> None:
        self.kernels, self.words, self.made = tuple(kernels), tuple(words), tuple(made)
        self.added = frozenset(added)
        super().__init__(f"{name}_gpu", orders, results)

    @cached_property
    def functions(self) -> list[Any]:
        """The kernels, ready to be launched."""
        return [gpu.function(kernel.source, kernel.symbol) for kernel in self.kernels]

    def runs(self, operands: Tensors) -> bool:
        """Whether Triton takes it, as far as is known."""
        return not self.broken

    def plan(self, kernel: ContractionKernel, operands: Tensors) -> Plan | None:
        """How a kernel is run, if a program holds what it has to."""
        sizes = self.sizes(operands)
        return planned(kernel, sizes[DOT], sizes[VALUE], operands[0].element_size())

    def _made(self, operands: Tensors) -> list[torch.Tensor]:
        """Memory for the results. What is a sum, here or outside, or the log of one is wide."""
        like = operands[0]
        own = dict(zip((f"d_{word}" for word in self.words), self.orders, strict=True))
        made = []
        rows = zip(self.made, self.results, self.shapes(operands), strict=True)
        for word, order, shape in rows:
            whole = word not in self.added and set(order) == set(own.get(word, ()))
            dtype = like.dtype if whole or word == RESULTS[0] else torch.float32
            make = like.new_zeros if self.kernels[0].is_back else like.new_empty
            made.append(make(shape, dtype=dtype))
        return made

    def _run(self, *operands: Any) -> Any:
        made = self._made(operands)
        if not self.broken:
            try:
                self._launch(operands, made)
                return self._given_out(made)
            except Exception as error:  # Triton raises what its compilers and the driver raise
                self.broken = True
                gpu.say_failed(error, "attention is run by PyTorch alone")
        if self.instead is None:
            raise KernelError
        found = self.instead(operands)
        return self._given_out([x.to(y.dtype) for x, y in zip(found, made, strict=True)])

    def _launch(self, operands: Tensors, made: Tensors) -> None:
        sizes = self.sizes(operands)
        held = dict(zip(self.words, zip(operands, self.orders, strict=True), strict=True))
        held |= dict(zip(self.made, zip(made, self.results, strict=True), strict=True))
        if "total" in held:
            total, order = held["total"]
            held.setdefault(GAP, (torch.empty_like(total, dtype=torch.float32), order))
        for kernel, function in zip(self.kernels, self.functions, strict=True):
            plan = self.plan(kernel, operands)
            assert plan is not None, "asked before"
            lanes = math.prod(sizes[axis] for axis in kernel.lanes)
            programs = -(-sizes[kernel.rows] // plan.rows) * lanes
            if programs:
                self._start(function[(programs,)], kernel, plan, held, sizes)

    @staticmethod
    def _start(
        launch: Any,
        kernel: ContractionKernel,
        plan: Plan,
        held: Mapping[str, tuple[torch.Tensor, Order]],
        sizes: Mapping[str, int],
    ) -> None:
        values = [held[own.word][0] for own in kernel.tensors]
        numbers = [sizes[QUERY], sizes[KEY], *(sizes[axis] for axis in kernel.sizes)]
        for own in kernel.tensors:
            value, order = held[own.word]
            numbers += [value.stride(order.index(axis)) for axis in own.axes]
        modes: dict[str, Any] = {
            "K": sizes[DOT],
            "V": sizes[VALUE],
            "KP": plan.dot,
            "VP": plan.value,
            "ROWS": plan.rows,
            "COLUMNS": plan.columns,
            "HELD": gpu.multiplied(values[0].dtype),
            "PRECISION": gpu.EXACT[values[0].dtype],
        }
        if kernel.asserts:  # as PyTorch does on a GPU where a position is out of range
            modes |= {"debug": True, "sanitize_overflow": False}
        device = values[0].device
        with torch.cuda.device(device if device.type == "cuda" else -1):
            done = launch(*values, *numbers, **modes, num_warps=plan.warps, num_stages=plan.stages)
        spilled = getattr(done, "n_spills", None)  # Triton's interpreter gives none
        if plan.rows >= GROUP and spilled:
            raise KernelError("registers are spilled where 64 rows are multiplied at once")


class OnGpu(Fused):
    """One contraction, as its Triton is called."""

    operator: TritonContraction

    def __init__(self, call: ContractionCall, alone: Alone) -> None:
        super().__init__(call, alone)
        kernel = _kernel_for(call.contraction)
        assert not isinstance(kernel, str), "asked before"
        made = RESULTS[: len(call.results)]
        self.operator = TritonContraction(
            call.name, [kernel], self.inputs, call.orders, made, call.results
        )
        self.backs: dict[tuple[bool, ...], _WayBack | None] = {}
        self.start()

    def fits(self, operands: Tensors) -> bool:
        """Whether Triton takes these tensors, and is worth it."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        devices = {x.device for x in operands}
        if len(floats) > 1 or not floats <= gpu.EXACT.keys() or len(devices) > 1:
            return False
        if self.operator.plan(self.operator.kernels[0], operands) is None:
            return False
        return is_worth_on_gpu(self.operator.sizes(operands)[QUERY], self.call.is_usual)

    def read(self, found: Tensors, operands: Tensors) -> tuple[torch.Tensor, ...]:
        """The results that are read, no wider than what came in."""
        return tuple(value.to(operands[0].dtype) for value in super().read(found, operands))

    def back(
        self, operands: Tensors, results: Tensors, came: Tensors, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by kernels, if there are any and Triton takes them."""
        key = tuple(wanted[3:])
        if key not in self.backs:
            try:
                self.backs[key] = _WayBack(self, key)
            except UnsupportedError:
                self.backs[key] = None
        back = self.backs[key]
        if back is None or not back.operator.runs(operands):
            return None
        try:
            return back(operands, results, came, wanted)
        except KernelError:
            return None


class _WayBack:
    """The kernels of the way back to query, key, value, and to those of the other operands that are
    wanted. Raises UnsupportedError where there are none."""

    def __init__(self, fused: OnGpu, wanted: tuple[bool, ...]) -> None:
        call, made = fused.call, fused.made
        more = [node.name for node, need in zip(made.more, wanted, strict=True) if need]
        kernels = backward(made, more)
        results = call.results if made.softmax else ()
        words = [*fused.inputs, *RESULTS[: len(results)]]
        words += [f"came_{word}" for word in RESULTS[: len(call.results)]]
        known = dict(zip(fused.inputs, call.orders, strict=True))
        self.orders = [_laid(axes, known[name]) for name, axes in kernels.returns]
        self.names = [name for name, _ in kernels.returns]
        self.known = known
        self.operator = TritonContraction(
            f"{call.name}_back{''.join('01'[need] for need in wanted)}",
            kernels.kernels,
            words,
            [*call.orders, *results, *call.results],
            [f"d_{name}" for name in self.names],
            self.orders,
            [f"d_{name}" for name in kernels.added],
        )
        self.softmax = made.softmax

    def __call__(
        self, operands: Tensors, results: Tensors, came: Tensors, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        found = self.operator([*operands, *(results if self.softmax else ()), *came])
        made = dict(zip(self.names, zip(found, self.orders, strict=True), strict=True))
        gathered: list[torch.Tensor | None] = []
        for (name, order), value, need in zip(self.known.items(), operands, wanted, strict=True):
            gathered.append(fitted(*made[name], order).to(value.dtype) if need else None)
        return gathered


def _laid(own: Order, like: Order) -> Order:
    """The order of a gradient in memory: as its operand lies, behind what that lacks."""
    return (*(axis for axis in own if axis not in like), *(axis for axis in like if axis in own))
