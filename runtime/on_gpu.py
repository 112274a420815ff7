"""Recurrences on a GPU: kernels in Triton as they are called, beside what there is for the CPU."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from ..compiler.context import Context
from ..compiler.costs import gpu_kernel_for, plain_form
from ..compiler.emit.triton.adjoint import adjoint
from ..compiler.emit.unsupported import UnsupportedError
from ..dsl.core import names
from . import gpu
from .called import Called, filled, float_results, gatherings
from .loops import alone, loop, parallel
from .newton import Newton
from .operators import KernelError, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from ..compiler.artifact import KernelCall
    from ..compiler.emit.triton.kernel import Kernel
    from ..dsl.ops import ScanAttrs
    from .called import Gradients, Tensors

    Function = Callable[..., Any]


def provides(scan: ScanAttrs) -> bool:
    """Whether this machine has a kernel of a recurrence for its GPU."""
    return gpu.runs_here() and not isinstance(_kernel_for(scan), str)


@lru_cache(maxsize=256)
def _kernel_for(scan: ScanAttrs) -> Kernel | str:
    return gpu_kernel_for(scan)


class Devices:
    """One recurrence, as it is called: by what there is for the device of its operands."""

    def __init__(self, call: KernelCall, on_cpu: Function) -> None:
        self.call, self.on_cpu = call, on_cpu
        _ = self.on_gpu  # not while PyTorch traces a call

    @cached_property
    def loop(self) -> Function:
        """The same step by step in PyTorch."""
        return loop(self.call)

    @cached_property
    def on_gpu(self) -> Function:
        """What runs on a GPU; without a kernel PyTorch does, and a notice is given."""
        found = _kernel_for(self.call.scan)
        if not isinstance(found, str):
            return _Scan(self.call, found).run
        notice(f"no kernel for the GPU, a recurrence is run by PyTorch: {found}")
        match plain_form(self.call.scan):
            case "newton":
                return Newton(alone(self.call), self.loop)
            case "parallel":
                return parallel(self.call, Context().chunk)
        return self.loop

    @property
    def run(self) -> Function:
        """A function of the operands that gives a tuple of the results."""

        def run(*operands: torch.Tensor) -> Any:
            if all(x.device.type in gpu.DEVICES for x in operands):
                return self.on_gpu(*operands)
            return self.on_cpu(*operands)

        return run


class _Scan(Called):
    """The Triton of one recurrence."""

    call: KernelCall
    kernel: Kernel
    operator: gpu.TritonOperator

    def __init__(self, call: KernelCall, kernel: Kernel) -> None:
        self.call, self.kernel = call, kernel
        self.kept = [names(border.axes) for border in kernel.results if border.kind == "kept"]
        results = [*call.results[: len(call.scan.body.results)], *self.kept]
        self.operator = gpu.TritonOperator(call.name, kernel, call.orders, results, self._instead)
        self.start()

    @cached_property
    def plain(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The same step by step in PyTorch."""
        return loop(self.call)

    def fits(self, operands: Tensors) -> bool:
        """Whether Triton takes these tensors."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        devices = {x.device for x in operands}
        return len(floats) == 1 and floats <= gpu.EXACT.keys() and len(devices) == 1

    def every(self, operands: Tensors, *, learns: bool) -> int:
        """After how many steps carries are kept."""
        return self.kernel.every if learns else 0

    @cached_property
    def way_back(self) -> _WayBack | None:
        """The kernel of the way back, if there is one."""
        try:
            return _WayBack(self)
        except UnsupportedError:
            return None

    def back(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by a kernel, if there is one and Triton takes it."""
        found = self.way_back
        if found is None or found.operator.broken:
            return None
        try:
            return found(operands, before, gradients, wanted)
        except KernelError:
            return None


class _WayBack:
    """The kernel of the way back of one recurrence. Raises UnsupportedError where there is none."""

    def __init__(self, scan: _Scan) -> None:
        self.scan, call = scan, scan.call
        made = adjoint(scan.kernel.plan)
        self.float_results = float_results(scan)
        orders = [*scan.kept, *call.orders[call.scan.carries :]]
        orders += [call.results[at] for at in self.float_results]
        results = [(*border.outer, *border.inner) for border in made.kernel.results]
        known = dict(zip(made.kernel.results, results, strict=True))
        self.gathered = gatherings(call.orders, made.returns, known)
        self.operator = gpu.TritonOperator(f"{call.name}_back", made.kernel, orders, results)

    def __call__(
        self, operands: Tensors, kept: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        scan = self.scan
        sizes = scan.operator.sizes(operands, scan.kernel.every)
        like = next(x for x in operands if x.is_floating_point())
        came = [filled(gradients, at, scan, sizes, like) for at in self.float_results]
        given = [*kept, *operands[scan.call.scan.carries :], *came]
        made = self.operator(given, scan.kernel.every)
        return [
            gather(made).to(x.dtype) if need and gather is not None else None
            for x, gather, need in zip(operands, self.gathered, wanted, strict=True)
        ]
