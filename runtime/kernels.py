"""Which recurrences and regions are run by kernels, and how recurrences are on the CPU.

On a GPU they are Triton (`runtime/on_gpu.py`).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from ..compiler.artifact import KernelCall, Provided, RegionCall
from ..compiler.costs import in_parallel, kernel_for, region_for
from ..compiler.emit.backward import given_out
from ..compiler.emit.cpp.adjoint import adjoint
from ..compiler.emit.pytorch.kernels import laid
from ..compiler.emit.unsupported import UnsupportedError
from ..dsl.core import DType
from . import attention, cpp, gpu, on_gpu
from .called import Called, gatherings
from .calls import HALVES
from .loops import Plain
from .operators import REALS, Compiled, Operator, notice
from .regions import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from ..compiler.artifact import ContractionCall
    from ..compiler.emit.cpp.kernel import Kernel
    from ..compiler.fusion.region import Region
    from ..dsl.ops import ScanAttrs
    from .called import Gradients, Tensors

_known: dict[str, Callable[..., Any]] = {}


def chosen(scan: ScanAttrs) -> Provided[Kernel] | None:
    """What this machine has for a recurrence besides a loop, if it is worth it."""
    found: Kernel | None = None
    if cpp.compiler() is not None:
        own = _kernel_for(scan)
        found = None if isinstance(own, str) else own
    elif not cpp.switched_off():
        notice("no C++ compiler: recurrences are run by PyTorch")
    if found is None and in_parallel(scan) is None and not on_gpu.provides(scan):
        return None
    return Provided(found)


@lru_cache(maxsize=256)
def _kernel_for(scan: ScanAttrs) -> Kernel | str:
    return kernel_for(scan)


def worth(region: Region) -> bool:
    """Whether this machine can have the kernel of a region, and it is worth it."""
    if isinstance(region_for(region), str):
        return False
    if cpp.compiler() is None:
        if not cpp.switched_off():
            notice("no C++ compiler: operations are run one after another in PyTorch")
        return False
    return True


def functions(
    calls: Sequence[KernelCall | ContractionCall | RegionCall],
) -> tuple[tuple[str, Callable[..., Any]], ...]:
    """The functions that emitted source calls. Those that are new are compiled together."""
    new = [call for call in calls if call.name not in _known]
    library = Compiled(
        cpp.compiler() or "", [call.kernel for call in new if call.kernel is not None]
    )
    family = Family(library)
    for call in new:
        if isinstance(call, KernelCall):
            _known[call.name] = _by_device(call, library)
        elif isinstance(call, RegionCall):
            _known[call.name] = family.region(call).run
        else:
            _known[call.name] = attention.function(call, library)
    return tuple((call.name, _known[call.name]) for call in calls)


def _by_device(call: KernelCall, library: Compiled) -> Callable[..., Any]:
    """A recurrence, by what there is for the device of its operands."""
    kernel = call.kernel
    on_cpu = Plain(call).ready() if kernel is None else _Scan(call, kernel, library).run
    return on_gpu.Devices(call, on_cpu).run if gpu.runs_here() else on_cpu


class _Scan(Called):
    """One recurrence, as it is called."""

    call: KernelCall
    kernel: Kernel
    operator: Operator

    def __init__(self, call: KernelCall, kernel: Kernel, library: Compiled) -> None:
        self.call, self.kernel = call, kernel
        self.operator = Operator(
            call.name, kernel, library, call.orders, call.results, self._instead
        )
        self.given_out = given_out(call.scan)
        self.ways: dict[tuple[frozenset[int], frozenset[int]], _WayBack | None] = {}
        self.start()

    @cached_property
    def plain(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The same in PyTorch."""
        return Plain(self.call)

    def fits(self, operands: Tensors) -> bool:
        """Whether the kernel takes these tensors."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        on_cpu = all(x.is_cpu for x in operands)
        return on_cpu and len(floats) == 1 and next(iter(floats)) in (*REALS, *HALVES)

    def every(self, operands: Tensors, *, learns: bool) -> int:
        """After how many steps carries are kept."""
        return self.kernel.every if learns else 0

    def remembered(self, output: Tensors) -> Tensors:
        """What is kept, or the outputs that are the carries."""
        if self.given_out is None:
            return super().remembered(output)
        return [output[self.call.scan.carries + at] for at in self.given_out]

    def way_back(self, wanted: frozenset[int], came: frozenset[int]) -> _WayBack | None:
        """The kernel of the way back to these operands from these results, if there is one."""
        if (wanted, came) not in self.ways:
            try:
                self.ways[wanted, came] = _WayBack(self, wanted, came)
            except UnsupportedError:
                self.ways[wanted, came] = None
        return self.ways[wanted, came]

    def returning(
        self, operands: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> _WayBack | None:
        """The kernel of the way back, if there is one and the compiler takes it."""
        places = frozenset(at for at, need in enumerate(wanted) if need)
        came = frozenset(at for at, one in enumerate(gradients) if one is not None)
        found = self.way_back(places, came)
        return found if found is not None and found.compiles(operands) else None

    def back(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by a kernel, if there is one and the compiler takes it."""
        found = self.returning(operands, gradients, wanted)
        return None if found is None else found(operands, before, gradients, wanted)


class _WayBack:
    """The kernel of the way back of one recurrence, to operands that are wanted from results that
    have gradients. Raises UnsupportedError where there is none."""

    def __init__(self, scan: _Scan, wanted: frozenset[int], came: frozenset[int]) -> None:
        self.scan, call = scan, scan.call
        made = adjoint(call.scan, scan.kernel, wanted, came)
        self.given_out = made.given_out
        carries = call.scan.carries
        floats = [at for at in sorted(came) if scan.kernel.results[at].dtype is DType.FLOAT]
        orders, places, count = [*call.orders], [*range(carries)], len(call.orders)
        if made.given_out is None:
            orders += call.results[scan.count :]
            places = [*range(count, len(orders))]
        else:
            orders += [call.results[carries + place] for place in made.given_out]
            places = [at for own in range(carries) for at in (own, count + own)]
        places += range(carries, count)
        places += [len(orders) + at for at in floats]
        orders += call.results[: scan.count]
        self.places, self.every = tuple(places), scan.kernel.every
        likes = {
            border: order
            for order, borders in zip(call.orders, made.returns, strict=True)
            for border in borders
        }
        results = [laid(border, likes.get(border, ())) for border in made.kernel.results]
        which = "_to_".join("_".join(map(str, sorted(one))) for one in (came, wanted))
        self.operator = Operator(
            f"{call.name}_back_{which}",
            made.kernel,
            Compiled(scan.operator.library.command, [made.kernel]),
            [orders[at] for at in places],
            results,
        )
        known = dict(zip(made.kernel.results, results, strict=True))
        self.gathered = gatherings(call.orders, made.returns, known)

    def __call__(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        # of those that came there are no others: `way_back` was asked for these
        known = (*operands, *before, *gradients)
        given = [one for at in self.places if (one := known[at]) is not None]
        made = self.operator(given, self.every)
        return [
            gather(made) if need and gather is not None else None
            for gather, need in zip(self.gathered, wanted, strict=True)
        ]

    def compiles(self, operands: Tensors) -> bool:
        """Whether the compiler takes it."""
        dtype = next(x.dtype for x in operands if x.is_floating_point())
        kernel = self.operator.kernel
        return self.operator.library.function(kernel.symbol, dtype) is not None
