"""Contractions shaped like attention that are run by kernels, with all rules of differentiation.

Where a kernel cannot run (another device, a rare dtype, a transform, a second derivative, whole
numbers that are too large), what PyTorch would run is run instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..compiler.attention.contraction import KEY, QUERY
from ..compiler.costs import contraction_for, is_worth
from ..compiler.emit.cpp.attention.kernel import backward
from ..compiler.emit.unsupported import UnsupportedError
from . import cpp
from .alone import alone
from .contracting import ContractionOperator, TooLargeError
from .eager import is_pushed_twice
from .operators import LIBRARY, REALS, Compiled, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.artifact import ContractionCall
    from ..compiler.attention import Contraction
    from ..compiler.emit.cpp.attention.kernel import ContractionKernel

    Tensors = Sequence[torch.Tensor]
    Gradients = Sequence[torch.Tensor | None]
    Order = tuple[str, ...]


def chosen(made: Contraction) -> ContractionKernel | None:
    """The kernel of a contraction, if this machine can have it and it is worth it."""
    if cpp.compiler() is None:
        if not cpp.switched_off():
            notice("no C++ compiler: attention is run by PyTorch alone")
        return None
    found = _kernel_for(made)
    return None if isinstance(found, str) else found


@lru_cache(maxsize=256)
def _kernel_for(made: Contraction) -> ContractionKernel | str:
    return contraction_for(made)


class Fused:
    """One contraction, as it is called."""

    def __init__(self, call: ContractionCall, library: Compiled) -> None:
        self.call, self.library = call, library
        self.made = call.contraction
        self.inputs = [node.name for node in self.made.inputs]
        self.backs: dict[tuple[bool, ...], _WayBack | None] = {}
        self.written: dict[int, Callable[..., Any]] = {}
        self.operator = ContractionOperator(
            call.name, call.kernel, library, call.orders, call.results
        )
        self.operator.instead = self._instead
        torch.library.register_autograd(
            self.operator.call, self._backward, setup_context=self._setup, lib=LIBRARY
        )

    def alone(self, count: int) -> Callable[..., Any]:
        """The first results in PyTorch; gives a tuple."""
        if count not in self.written:
            call = self.call
            body = replace(self.made.body, results=self.made.body.results[:count])
            self.written[count] = alone(call.name, body, call.orders, call.results[:count])
        written = self.written[count]

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = written(*operands)
            return found if isinstance(found, tuple) else (found,)

        return run

    @property
    def run(self) -> Callable[..., Any]:
        """A function of the operands that gives a tuple of the results that are read."""
        count, plain = self.call.read, self.alone(self.call.read)
        known: dict[object, bool] = {}

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if is_compiling():
                worth = self._fits(operands)
                return self.operator(operands)[:count] if worth else tuple(plain(*operands))
            key = tuple([(x.shape, x.dtype, x.is_cpu) for x in operands])
            if key not in known:
                known[key] = self._fits(operands)
            if not known[key] or is_pushed_twice():
                return tuple(plain(*operands))
            return tuple(_differentiable(self, *operands)[:count])

        return run

    def _fits(self, operands: Tensors) -> bool:
        """Whether the kernel takes these tensors, and is faster."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        if not all(x.is_cpu for x in operands) or len(floats) > 1 or not floats <= REALS.keys():
            return False
        sizes = self.operator.sizes(operands)
        scores = sizes[QUERY] * sizes[KEY]
        for axis in self.made.lanes:
            scores *= sizes[axis.name]
        return is_worth(sizes[QUERY], scores, self.call.is_usual)

    def _instead(self, operands: Tensors) -> Tensors:
        return [value.clone() for value in self.alone(len(self.call.results))(*operands)]

    # ---- the way back

    def gradients(
        self, operands: Tensors, results: Tensors, came: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        back = None if torch.is_grad_enabled() else self.way_back(wanted)
        if back is None or not back.operator.compiles(operands):
            return self.pulled_back(operands, came, wanted)
        own = [torch.zeros_like(x) if g is None else g for x, g in zip(results, came, strict=True)]
        try:
            return back(operands, results, own, wanted)
        except TooLargeError:
            return self.pulled_back(operands, came, wanted)

    def way_back(self, wanted: Sequence[bool]) -> _WayBack | None:
        """The kernel of the way back to some operands, if there is one."""
        key = tuple(wanted[3:])
        if key not in self.backs:
            try:
                self.backs[key] = _WayBack(self, key)
            except UnsupportedError:
                self.backs[key] = None
        return self.backs[key]

    def _setup(self, ctx: Any, inputs: Any, output: Any) -> None:
        ctx.count = len(inputs)
        ctx.save_for_backward(*inputs, *(output if isinstance(output, tuple) else (output,)))

    def _backward(self, ctx: Any, *came: torch.Tensor | None) -> tuple[Any, ...]:
        operands, results = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        return tuple(self.gradients(operands, results, came, ctx.needs_input_grad))

    def pulled_back(
        self, operands: Tensors, came: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """The same by PyTorch; what it gives can be differentiated again."""
        came = came[: self.call.read]
        found, pull = self._reversed(operands, wanted, len(came))
        own = [torch.zeros_like(x) if g is None else g for x, g in zip(found, came, strict=True)]
        got = iter(pull(tuple(own)))
        return [next(got) if need else None for need in wanted]

    def moved(self, operands: Tensors, tangents: Tensors, wanted: Sequence[bool]) -> Any:
        """The tangents of results: what pulls gradients back is linear, and is pulled back too."""
        found, pull = self._reversed(operands, wanted, len(self.call.results))
        none = tuple(torch.zeros_like(one) for one in found)
        _, forward, *_ = torch.func.vjp(pull, none)
        (made,) = forward(tuple(tangents))
        return tuple(made)

    def _reversed(self, operands: Tensors, wanted: Sequence[bool], count: int) -> tuple[Any, Any]:
        """The first results, and what pulls their gradients back to some operands."""
        places = [at for at, need in enumerate(wanted) if need]

        def results(*varied: torch.Tensor) -> tuple[torch.Tensor, ...]:
            given = list(operands)
            for at, value in zip(places, varied, strict=True):
                given[at] = value
            return tuple(self.alone(count)(*given))

        found, pull, *_ = torch.func.vjp(results, *(operands[at] for at in places))
        return found, pull


class _WayBack:
    """The kernel of the way back to query, key, value, and to those of the other operands that are
    wanted. Raises UnsupportedError where there is none."""

    def __init__(self, fused: Fused, wanted: tuple[bool, ...]) -> None:
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
            gathered.append(_fitted(*made[name], order) if need else None)
        return gathered


def _fitted(value: torch.Tensor, own: Order, wanted: Order) -> torch.Tensor:
    """A gradient summed over what its operand lacks, as that has its axes."""
    gone = [at for at, axis in enumerate(own) if axis not in wanted]
    value = value.sum(gone) if gone else value
    own = tuple(axis for axis in own if axis in wanted)
    return value.permute([own.index(axis) for axis in wanted])


class _Differentiable(torch.autograd.Function):
    """The operator with all rules of differentiation."""

    @staticmethod
    def forward(fused: Fused, *operands: torch.Tensor) -> Any:
        return fused.operator(operands)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        fused, *operands = inputs
        ctx.fused = fused
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*operands, *output)
        ctx.save_for_forward(*operands)

    @staticmethod
    def backward(ctx: Any, *came: torch.Tensor | None) -> Any:
        fused, wanted = ctx.fused, ctx.needs_input_grad[1:]
        operands, results = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        return None, *fused.gradients(operands, results, came, wanted)

    @staticmethod
    def vmap(info: Any, in_dims: Any, fused: Fused, *operands: torch.Tensor) -> Any:
        every = fused.alone(len(fused.call.results))
        found = torch.vmap(every, in_dims[1:], randomness=info.randomness)(*operands)
        return tuple(found), tuple([0] * len(found))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: torch.Tensor | None) -> Any:
        wanted = [tangent is not None for tangent in tangents]
        given = [tangent for tangent in tangents if tangent is not None]
        return ctx.fused.moved(ctx.saved_tensors[: len(wanted)], given, wanted)


_differentiable: Any = _Differentiable.apply
