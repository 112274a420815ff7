"""Contractions shaped like attention that are run by kernels, with all rules of differentiation.

Where a kernel cannot run (another device, a rare dtype, a transform, a second derivative, whole
numbers that are too large), what PyTorch would run is run instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..dsl.core import names
from .alone import alone
from .eager import is_pushed_twice, is_watched, wants_gradients
from .operators import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.artifact import ContractionCall
    from .contracting import AnyContraction

    Tensors = Sequence[torch.Tensor]
    Gradients = Sequence[torch.Tensor | None]
    Order = tuple[str, ...]


class Alone:
    """One contraction in PyTorch."""

    def __init__(self, call: ContractionCall) -> None:
        self.call = call
        self.written: dict[tuple[int, bool], Callable[..., tuple[torch.Tensor, ...]]] = {}
        short, long = self(call.read), self(call.read, slow=True)  # not while PyTorch traces a call

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if is_compiling() or not (is_watched() or wants_gradients(operands)):
                return short(*operands)
            return long(*operands)

        self.run = run
        """A function of the operands that gives a tuple of the results that are read."""

    def __call__(
        self, count: int, *, slow: bool = False
    ) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The same of so many results, the first ones. What is `slow` has derivatives of any order,
        which PyTorch's own call of attention lacks on the CPU: the scores are values of it."""
        if (count, slow) not in self.written:
            call, made = self.call, self.call.contraction
            results, orders = made.body.results[:count], call.results[:count]
            if slow:
                score = next(s.node for s in made.body.steps if s.node.name == made.score)
                results, orders = (*results, score.name), (*orders, names(score.axes))
            written = alone(call.name, replace(made.body, results=results), call.orders, orders)

            def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
                found = written(*operands)
                return found[:count] if isinstance(found, tuple) else (found,)

            self.written[count, slow] = run
        return self.written[count, slow]


class Fused(ABC):
    """One contraction, as it is called. Which kernels run it is said by a subclass."""

    operator: AnyContraction

    def __init__(self, call: ContractionCall, alone: Alone) -> None:
        self.call, self.made, self.alone = call, call.contraction, alone
        self.inputs = [node.name for node in self.made.inputs]

    def start(self) -> None:
        """Say what the operator's rules are, once there is one."""
        self.operator.instead = self._instead
        torch.library.register_autograd(
            self.operator.call, self._backward, setup_context=self._setup, lib=LIBRARY
        )

    @abstractmethod
    def fits(self, operands: Tensors) -> bool:
        """Whether kernels take these tensors, and are worth it."""

    @abstractmethod
    def back(
        self, operands: Tensors, results: Tensors, came: Tensors, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by kernels, if there are any that take it."""

    @property
    def run(self) -> Callable[..., Any]:
        """A function of the operands that gives a tuple of the results that are read."""
        plain = self.alone.run
        known: dict[object, bool] = {}

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if is_compiling():
                fits = self.fits(operands)
                return self.read(self.operator(operands), operands) if fits else plain(*operands)
            key = tuple([(x.shape, x.dtype, x.device) for x in operands])
            if key not in known:
                known[key] = self.fits(operands)
            if not known[key] or is_pushed_twice():
                return plain(*operands)
            return self.read(_differentiable(self, *operands), operands)

        return run

    def read(self, found: Tensors, operands: Tensors) -> tuple[torch.Tensor, ...]:
        """The results that are read."""
        return tuple(found[: self.call.read])

    def _instead(self, operands: Tensors) -> Tensors:
        return [value.clone() for value in self.alone(len(self.call.results))(*operands)]

    # ---- the way back

    def gradients(
        self, operands: Tensors, results: Tensors, came: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results."""
        if not torch.is_grad_enabled():
            own = [
                torch.zeros_like(x) if g is None else g for x, g in zip(results, came, strict=True)
            ]
            found = self.back(operands, results, own, wanted)
            if found is not None:
                return found
        return self.pulled_back(operands, came, wanted)

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
        own = [
            torch.zeros_like(x) if g is None else g.to(x.dtype)
            for x, g in zip(found, came, strict=True)
        ]
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
            return self.alone(count, slow=True)(*given)

        found, pull, *_ = torch.func.vjp(results, *(operands[at] for at in places))
        return found, pull


def fitted(value: torch.Tensor, own: Order, wanted: Order) -> torch.Tensor:
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
        every = fused.alone(len(fused.call.results), slow=True)
        found = torch.vmap(every, in_dims[1:], randomness=info.randomness)(*operands)
        return tuple(found), tuple([0] * len(found))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: torch.Tensor | None) -> Any:
        wanted = [tangent is not None for tangent in tangents]
        given = [tangent for tangent in tangents if tangent is not None]
        return ctx.fused.moved(ctx.saved_tensors[: len(wanted)], given, wanted)


_differentiable: Any = _Differentiable.apply
