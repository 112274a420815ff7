"""Functions of tensors that kernels compute, with all rules of differentiation.

Where a kernel cannot run (another device, a rare dtype, a transform, a second derivative), what
PyTorch would run is run instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from ..dsl.core import DType
from .eager import is_pushed_twice, wants_gradients
from .operators import REALS, shape_of
from .products import functional
from .straight import Ahead, Ways, is_plain, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..compiler.artifact import KernelCall, RegionCall
    from .operators import AnyBorder, AnyKernel, AnyOperator
    from .straight import Return

    Tensors = Sequence[torch.Tensor]
    Gradients = Sequence[torch.Tensor | None]


class Called(ABC):
    """A kernel as it is called. Its last results may be kept for the way back alone."""

    operator: AnyOperator
    kernel: AnyKernel
    call: KernelCall | RegionCall

    def start(self) -> None:
        """Say what the operator's rules are, once there is one."""
        self.count = len(self.operator.results) - self.kernel.kept
        self.operator.differentiable(self._backward, self._setup)

    @property
    @abstractmethod
    def plain(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The same in PyTorch."""

    @abstractmethod
    def every(self, operands: Tensors, *, learns: bool) -> int:
        """The number that the operator is given beside its tensors."""

    @abstractmethod
    def back(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by a kernel, if there is one; `before` is what was remembered."""

    def returning(
        self, operands: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> Return | None:
        """The kernel of the way back, if it reads nothing but what there is, and is compiled."""
        return None

    def pays(self, operands: Tensors) -> bool:
        """Whether the kernel is worth calling for tensors of this size."""
        return True

    def fits(self, operands: Tensors) -> bool:
        """Whether the kernel takes these tensors."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        return len(floats) == 1 and floats <= REALS.keys() and all(x.is_cpu for x in operands)

    def remembered(self, output: Tensors) -> Tensors:
        """The results that the way back reads."""
        return output[self.count :]

    @property
    def run(self) -> Callable[..., Any]:
        """A function of the operands that gives a tuple of the results."""
        ways = Ways()
        found = ways.found

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if is_compiling() or forward_ad._current_level >= 0:
                return self._found(operands)
            key = torch.is_grad_enabled(), torch.get_num_threads()
            for like, way in found.get(key, ()):
                if like(*operands):
                    return way(*operands)  # type: ignore[no-any-return]  # what was remembered
            new = self._straight(operands)
            if new is None:
                return self._found(operands)
            ways.put(key, operands, new)
            return new(*operands)  # type: ignore[no-any-return]  # so is this

        return run

    def _straight(self, operands: Tensors) -> Callable[..., Any] | None:
        """What runs tensors like these, if nothing but the kernel is wanted."""
        if not (self.pays(operands) and is_plain(operands) and self.fits(operands)):
            return None
        learns = wants_gradients(operands)
        planned = self.operator.planned(operands, self.every(operands, learns=learns))
        if planned is None:
            return None
        ahead = Ahead(self, planned)
        return partial(recorded, ahead) if learns else ahead

    def _found(self, operands: Tensors) -> tuple[torch.Tensor, ...]:
        """The results where something looks on, or there is no kernel, or it is not worth it."""
        if not (self.pays(operands) and self.fits(operands)):
            return tuple(self.plain(*operands))
        count, every = self.count, self.every(operands, learns=wants_gradients(operands))
        if is_compiling():
            return self.operator(operands, every)[:count]
        if is_pushed_twice():
            return tuple(self.plain(*operands))
        return tuple(_differentiable(self, every, *operands)[:count])

    def _instead(self, *given: Any) -> Tensors:
        """Results in PyTorch, as those of the kernel; nothing is kept for the way back."""
        found = [value.clone() for value in self.plain(*given[:-1])]
        like = next(x for x in given[:-1] if x.is_floating_point())
        return [*found, *(like.new_empty(0) for _ in range(self.kernel.kept))]

    # ---- the way back

    def gradients(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None]:
        """Gradients of operands from those of results, and what was remembered."""
        lost = any(value.dim() == 1 and not value.numel() for value in before)
        if not lost and not torch.is_grad_enabled():
            found = self.back(operands, before, gradients, wanted)
            if found is not None:
                return found
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
        """The same by PyTorch; what it gives can be differentiated again."""
        found, pull = self._reversed(operands, wanted)
        borders: Sequence[AnyBorder] = self.kernel.results
        pairs = zip(borders, gradients, strict=False)
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
            return tuple(x for x in self.plain(*given) if x.is_floating_point())

        found, pull, *_ = torch.func.vjp(results, *(operands[at] for at in places))
        return found, pull


def filled(gradients: Gradients, at: int, called: Called, sizes: Any, like: torch.Tensor) -> Any:
    """The gradient of a result; zeros where nothing came back."""
    one = gradients[at]
    if one is not None:
        return one
    border, order = called.kernel.results[at], called.call.results[at]
    return like.new_zeros(shape_of(border, order, sizes))


def gatherings(
    orders: Sequence[tuple[str, ...]],
    returns: Sequence[Sequence[Any]],
    results: Mapping[Any, tuple[str, ...]],
) -> list[Callable[[Tensors], torch.Tensor] | None]:
    """For each operand, whose axes stand in these orders, what makes its cotangent of a kernel's
    results. `returns` says which borders are for it, `results` has them all with their axes."""
    places = {border: at for at, border in enumerate(results)}
    return [
        _gathering(order, [(places[border], results[border]) for border in borders])
        for order, borders in zip(orders, returns, strict=True)
    ]


def _gathering(
    order: tuple[str, ...], parts: Sequence[tuple[int, tuple[str, ...]]]
) -> Callable[[Tensors], torch.Tensor] | None:
    """What makes of a kernel's results the cotangent of an operand whose axes stand in this order:
    summed over what the operand lacks. The parts are places of results, and their axes."""
    if not parts:
        return None
    if len(parts) == 2 and (product := _product(order, parts)) is not None:
        return product
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

    if not gone and turn == sorted(turn):
        return itemgetter(place)

    def single(made: Tensors) -> torch.Tensor:
        value = made[place].sum(gone) if gone else made[place]
        return value.permute(turn)

    return single


def _product(
    order: tuple[str, ...], parts: Sequence[tuple[int, tuple[str, ...]]]
) -> Callable[[Tensors], torch.Tensor] | None:
    """The same of two results that are a product of matrices, by what is fastest for these."""
    (one, first), (other, second) = parts
    summed = [name for name in first if name in second]
    left = [name for name in first if name not in summed]
    right = [name for name in second if name not in summed]
    if not summed or sorted([*left, *right]) != sorted(order):
        return None
    turned = [first.index(name) for name in (*left, *summed)]
    turned_too = [second.index(name) for name in (*right, *summed)]
    back = [[*left, *right].index(name) for name in order]

    def product(made: Tensors) -> torch.Tensor:
        rows, columns = made[one].permute(turned), made[other].permute(turned_too)
        shape = (*rows.shape[: len(left)], *columns.shape[: len(right)])
        matrices = _matrix(rows, len(left)), _matrix(columns, len(right))
        if rows.numel() > columns.numel():  # the first is copied
            found = functional.linear(*reversed(matrices)).t()
        else:
            found = functional.linear(*matrices)
        turned_back: torch.Tensor = found.reshape(shape).permute(back)
        return turned_back

    return product


def _matrix(value: torch.Tensor, count: int) -> torch.Tensor:
    """A value as a matrix, whose rows stand along the first axes."""
    return value.flatten(count).flatten(0, count - 1) if count else value.flatten()[None]


def float_results(called: Called) -> list[int]:
    """Which results have gradients."""
    results: Sequence[AnyBorder] = called.kernel.results[: called.count]
    return [at for at, border in enumerate(results) if border.dtype is DType.FLOAT]


class _Differentiable(torch.autograd.Function):
    """The operator with its rules of differentiation, for all transforms."""

    @staticmethod
    def forward(called: Called, every: int, *operands: torch.Tensor) -> Any:
        return called.operator(operands, every)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        called, _, *operands = inputs
        ctx.called = called
        ctx.set_materialize_grads(False)
        count = called.count
        ctx.mark_non_differentiable(
            *output[count:], *(x for x in output[:count] if not x.is_floating_point())
        )
        ctx.save_for_backward(*operands, *called.remembered(output))
        ctx.save_for_forward(*operands)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> Any:
        called, wanted = ctx.called, ctx.needs_input_grad[2:]
        operands, before = ctx.saved_tensors[: len(wanted)], ctx.saved_tensors[len(wanted) :]
        return None, None, *called.gradients(operands, before, gradients[: called.count], wanted)

    @staticmethod
    def jvp(ctx: Any, _: None, __: None, *tangents: torch.Tensor | None) -> Any:
        wanted = [tangent is not None for tangent in tangents]
        given = [tangent for tangent in tangents if tangent is not None]
        return ctx.called.moved(ctx.saved_tensors[: len(wanted)], given, wanted)

    @staticmethod
    def vmap(info: Any, in_dims: Any, called: Called, _: int, *operands: torch.Tensor) -> Any:
        found = torch.vmap(called.plain, in_dims[2:], randomness=info.randomness)(*operands)
        like = next(x for x in found if x.is_floating_point())
        kept = tuple(like.new_empty(0) for _ in range(called.kernel.kept))
        return (*found, *kept), (*([0] * len(found)), *([None] * len(kept)))


_differentiable: Any = _Differentiable.apply
