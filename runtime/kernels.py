"""Recurrences that are run by kernels, with all rules of differentiation; which regions are.

On the CPU they are C++, on a GPU Triton (`runtime/on_gpu.py`). Where a kernel cannot run (another
device, a rare dtype, a transform, a second derivative), the loop that PyTorch would run is run
instead.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..compiler.artifact import KernelCall, Provided, RegionCall
from ..compiler.costs import kernel_for, region_for
from ..compiler.emit.backward import given_out
from ..compiler.emit.cpp.adjoint import adjoint
from ..compiler.emit.unsupported import UnsupportedError
from ..dsl.core import DType
from . import cpp, gpu, on_gpu
from .attention import Fused
from .calls import HALVES
from .eager import is_eager
from .loops import loop
from .operators import REALS, Compiled, Operator, notice
from .regions import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.artifact import ContractionCall
    from ..compiler.emit.cpp.kernel import Kernel
    from ..compiler.fusion.region import Region
    from ..dsl.ops import ScanAttrs
    from .called import Called

    Tensors = Sequence[torch.Tensor]
    Gradients = Sequence[torch.Tensor | None]

_known: dict[str, Callable[..., Any]] = {}


def chosen(scan: ScanAttrs) -> Provided | None:
    """What this machine has for a recurrence, if it is worth it."""
    found: Kernel | None = None
    if cpp.compiler() is not None:
        own = _kernel_for(scan)
        found = None if isinstance(own, str) else own
    elif not cpp.switched_off():
        notice("no C++ compiler: recurrences are run step by step in PyTorch")
    return Provided(found) if found is not None or on_gpu.provides(scan) else None


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
        made: Fused | Called
        if isinstance(call, KernelCall):
            _known[call.name] = _by_device(call, library)
            continue
        made = family.region(call) if isinstance(call, RegionCall) else Fused(call, library)
        _known[call.name] = made.run
    return tuple((call.name, _known[call.name]) for call in calls)


def _by_device(call: KernelCall, library: Compiled) -> Callable[..., Any]:
    """A recurrence, by what there is for the device of its operands."""
    on_cpu: Callable[..., Any] | None = None
    if call.kernel is not None:
        on_cpu = _Scan(call, call.kernel, library).run
        if not gpu.runs_here():
            return on_cpu
    return on_gpu.Devices(call, on_cpu).run


class _Scan:
    """One recurrence, as it is called."""

    def __init__(self, call: KernelCall, kernel: Kernel, library: Compiled) -> None:
        self.call, self.kernel = call, kernel
        self.count = len(call.results) - kernel.kept
        self.operator = Operator(
            call.name, kernel, library, call.orders, call.results, self._instead
        )
        self.operator.differentiable(self._backward, self._setup)
        self.given_out = given_out(call.scan)
        self.ways: dict[tuple[frozenset[int], frozenset[int]], _WayBack | None] = {}

    @cached_property
    def loop(self) -> Callable[..., Any]:
        """The same step by step in PyTorch; gives a tuple."""
        written = loop(self.call)

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = written(*operands)
            return found if isinstance(found, tuple) else (found,)

        return run

    @property
    def run(self) -> Callable[..., Any]:
        """A function of the operands that gives a tuple of the results."""
        count, operator = self.count, self.operator

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if not fits(operands):
                return tuple(self.loop(*operands))
            learns = torch.is_grad_enabled() and any(x.requires_grad for x in operands)
            every = self.kernel.every if learns else 0
            if is_compiling():
                return operator(operands, every)[:count]
            if is_eager(operands):
                return (_recorded(self, every, *operands) if learns else operator(operands, 0))[
                    :count
                ]
            return tuple(_differentiable(self, every, *operands)[:count])

        def fits(operands: Tensors) -> bool:
            floats = {x.dtype for x in operands if x.is_floating_point()}
            on_cpu = all(x.is_cpu for x in operands)
            return on_cpu and len(floats) == 1 and next(iter(floats)) in (*REALS, *HALVES)

        return run

    def _instead(self, *given: Any) -> Tensors:
        """Results of the loop, as those of the kernel; nothing is kept for the way back."""
        found = [value.clone() for value in self.loop(*given[:-1])]
        like = next(x for x in given[:-1] if x.is_floating_point())
        return [*found, *(like.new_empty(0) for _ in range(self.kernel.kept))]

    # ---- the way back

    def way_back(self, wanted: frozenset[int], came: frozenset[int]) -> _WayBack | None:
        """The kernel of the way back to these operands from these results, if there is one."""
        if (wanted, came) not in self.ways:
            try:
                self.ways[wanted, came] = _WayBack(self, wanted, came)
            except UnsupportedError:
                self.ways[wanted, came] = None
        return self.ways[wanted, came]

    def remembered(self, output: Tensors) -> Tensors:
        """The results that the way back reads."""
        if self.given_out is None:
            return output[self.count :]
        return [output[self.call.scan.carries + at] for at in self.given_out]

    def gradients(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results, and what was remembered."""
        kept = before if self.given_out is None else ()
        lost = any(value.dim() == 1 and not value.numel() for value in kept)
        if not lost and not torch.is_grad_enabled():
            places = frozenset(at for at, need in enumerate(wanted) if need)
            came = frozenset(at for at, one in enumerate(gradients) if one is not None)
            back = self.way_back(places, came)
            if back is not None and back.compiles(operands):
                return back(operands, before, gradients, wanted)
        return self.pulled_back(operands, gradients, wanted)

    def _setup(self, ctx: Any, inputs: Any, output: Any) -> None:
        *operands, ctx.every = inputs
        every = output if isinstance(output, (tuple, list)) else (output,)
        ctx.save_for_backward(*operands, *self.remembered(every))

    def _backward(self, ctx: Any, *gradients: torch.Tensor | None) -> tuple[Any, ...]:
        count = len(self.call.orders)
        operands, before = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        wanted = ctx.needs_input_grad[:count]
        return *self.gradients(operands, before, gradients[: self.count], wanted), None

    def pulled_back(
        self, operands: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """The same by the loop in PyTorch; what it gives can be differentiated again."""
        found, pull = self._reversed(operands, wanted)
        pairs = zip(self.kernel.results, gradients, strict=False)
        known = [one for border, one in pairs if border.dtype is DType.FLOAT]
        own = [torch.zeros_like(x) if g is None else g for x, g in zip(found, known, strict=True)]
        got = iter(pull(tuple(own)))
        return [next(got) if need else None for need in wanted]

    def moved(self, operands: Tensors, tangents: Tensors, wanted: Sequence[bool]) -> Any:
        """The tangents of results: what pulls gradients back is linear, and is pulled back too."""
        found, pull = self._reversed(operands, wanted)
        none = tuple(torch.zeros_like(one) for one in found)
        _, forward, *_ = torch.func.vjp(pull, none)
        (made,) = forward(tuple(tangents))
        got = iter(made)
        kinds = [(border.dtype, border.kind) for border in self.kernel.results]
        return tuple(
            next(got) if dtype is DType.FLOAT and kind != "kept" else None for dtype, kind in kinds
        )

    def _reversed(self, operands: Tensors, wanted: Sequence[bool]) -> tuple[Any, Any]:
        """The float results, and what pulls their gradients back to some operands."""
        places = [at for at, need in enumerate(wanted) if need]

        def results(*varied: torch.Tensor) -> tuple[torch.Tensor, ...]:
            given = list(operands)
            for at, value in zip(places, varied, strict=True):
                given[at] = value
            return tuple(x for x in self.loop(*given) if x.is_floating_point())

        found, pull, *_ = torch.func.vjp(results, *(operands[at] for at in places))
        return found, pull


class _WayBack:
    """The kernel of the way back of one recurrence, to operands that are wanted from results that
    have gradients. Raises UnsupportedError where there is none."""

    def __init__(self, scan: _Scan, wanted: frozenset[int], came: frozenset[int]) -> None:
        self.scan, call = scan, scan.call
        made = adjoint(call.scan, scan.kernel, wanted, came)
        self.given_out = made.given_out
        carries = call.scan.carries
        floats = [at for at in sorted(came) if scan.kernel.results[at].dtype is DType.FLOAT]
        self.came = floats
        orders: list[tuple[str, ...]] = []
        if made.given_out is None:
            orders += call.results[scan.count :]
        else:
            for at, place in enumerate(made.given_out):
                orders += [call.orders[at], call.results[carries + place]]
        orders += call.orders[carries:]
        orders += [call.results[at] for at in floats]
        results = [(*border.outer, *border.inner) for border in made.kernel.results]
        which = "_".join("".join(map(str, sorted(one))) for one in (wanted, came))
        self.operator = Operator(
            f"{call.name}_back_{which}",
            made.kernel,
            Compiled(scan.operator.library.command, [made.kernel]),
            orders,
            results,
        )
        places = {border: at for at, border in enumerate(made.kernel.results)}
        self.gathered = [
            _gathering(order, [(places[border], results[places[border]]) for border in borders])
            for order, borders in zip(call.orders, made.returns, strict=True)
        ]

    def __call__(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        scan, carries = self.scan, self.scan.call.scan.carries
        known = [*before]
        if self.given_out is not None:
            known = [x for pair in zip(operands, before, strict=False) for x in pair]
        came = [one for at in self.came if (one := gradients[at]) is not None]
        given = [*known, *operands[carries:], *came]
        made = self.operator(given, scan.kernel.every)
        return [
            gather(made) if need and gather is not None else None
            for gather, need in zip(self.gathered, wanted, strict=True)
        ]

    def compiles(self, operands: Tensors) -> bool:
        """Whether the compiler takes it."""
        dtype = next(x.dtype for x in operands if x.is_floating_point())
        kernel = self.operator.kernel
        return self.operator.library.function(kernel.symbol, dtype) is not None


def _gathering(
    order: tuple[str, ...], parts: Sequence[tuple[int, tuple[str, ...]]]
) -> Callable[[Tensors], torch.Tensor] | None:
    """What makes of a kernel's results the cotangent of an operand whose axes stand in this order:
    summed over what the operand lacks. The parts are places of results, and their axes."""
    if not parts:
        return None
    if len(parts) > 1:
        letters: dict[str, int] = {}
        for _, own in parts:
            letters |= {
                n: len(letters) + at for at, n in enumerate(n for n in own if n not in letters)
            }
        given = [(at, [letters[name] for name in own]) for at, own in parts]
        wanted = [letters[name] for name in order]
        return lambda made: torch.einsum(*(x for at, own in given for x in (made[at], own)), wanted)
    ((place, own),) = parts
    gone = [at for at, name in enumerate(own) if name not in order]
    left = [name for name in own if name in order]
    turn = [left.index(name) for name in order]

    def single(made: Tensors) -> torch.Tensor:
        value = made[place].sum(gone) if gone else made[place]
        return value.permute(turn)

    return single


class _Rules(torch.autograd.Function):
    """The rules of differentiation of the operator."""

    @staticmethod
    def remember(ctx: Any, scan: _Scan, operands: Tensors, output: Tensors) -> None:
        """Save what the rules read."""
        ctx.scan = scan
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(
            *output[scan.count :], *(x for x in output[: scan.count] if not x.is_floating_point())
        )
        ctx.save_for_backward(*operands, *scan.remembered(output))
        ctx.save_for_forward(*operands)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> Any:
        scan, wanted = ctx.scan, ctx.needs_input_grad[2:]
        operands, before = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        return None, None, *scan.gradients(operands, before, gradients[: scan.count], wanted)

    @staticmethod
    def jvp(ctx: Any, _: None, __: None, *tangents: torch.Tensor | None) -> Any:
        wanted = [tangent is not None for tangent in tangents]
        given = [tangent for tangent in tangents if tangent is not None]
        return ctx.scan.moved(ctx.saved_tensors[: len(wanted)], given, wanted)


class _Differentiable(_Rules):
    """The operator for all transforms."""

    @staticmethod
    def forward(scan: _Scan, every: int, *operands: torch.Tensor) -> Any:
        return scan.operator(operands, every)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        scan, _, *operands = inputs
        _Rules.remember(ctx, scan, operands, output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, scan: _Scan, _: int, *operands: torch.Tensor) -> Any:
        found = torch.vmap(scan.loop, in_dims[2:], randomness=info.randomness)(*operands)
        like = next(x for x in found if x.is_floating_point())
        kept = tuple(like.new_empty(0) for _ in range(scan.kernel.kept))
        return (*found, *kept), (*([0] * len(found)), *([None] * len(kept)))


class _Recorded(_Rules):
    """The operator where no transform looks on; PyTorch calls it with less ado."""

    @staticmethod
    def forward(ctx: Any, scan: _Scan, every: int, *operands: torch.Tensor) -> Any:
        found = scan.operator(operands, every)
        _Rules.remember(ctx, scan, operands, found)
        return found


_differentiable: Any = _Differentiable.apply
_recorded: Any = _Recorded.apply
