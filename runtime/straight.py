"""The straight way: a call like one before, past all that was found out then.

A light kernel leaves nothing of Python in the cache, and what runs then takes several times as long
as it does warm. So a call that is like one before runs as little as can be: one test of PyTorch's,
memory for the results, the kernel; and the same on the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.autograd import forward_ad

from .eager import alike, is_eager

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .called import Called, Gradients, Tensors
    from .calls import Planned
    from .operators import Operator

MOST = 8  # kinds of calls that are remembered of a kernel


class Return(Protocol):
    """A kernel of a way back."""

    @property
    def operator(self) -> Operator:
        """The kernel as it is called."""

    @property
    def every(self) -> int:
        """The number that it is given beside its tensors."""

    @property
    def places(self) -> Sequence[int]:
        """What it reads, of operands, what was remembered, and gradients of results, one after
        another."""

    @property
    def gathered(self) -> Sequence[Callable[[Tensors], torch.Tensor] | None]:
        """What makes the gradient of each operand of what it gives."""


class Ways:
    """The calls that are remembered, by what tensors do not say: whether gradients may be wanted,
    and how many threads there are. Of each kind `found` has a test of tensors, and what to do."""

    def __init__(self) -> None:
        self.found: dict[object, list[tuple[Callable[..., bool], Any]]] = {}

    def put(self, key: object, tensors: Tensors, way: Any) -> None:
        """Remember it."""
        held = self.found.setdefault(key, [])
        if len(held) == MOST:
            held.clear()
        held.append((alike(tensors), way))


def is_plain(tensors: Tensors) -> bool:
    """Whether these may be remembered: nothing looks on, and none is left over from a transform."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return is_eager(tensors) and not any(wrapped(x) for x in tensors)


class Ahead:
    """A planned call of a kernel that has a way back."""

    __slots__ = ("called", "count", "hidden", "planned", "ways")

    def __init__(self, called: Called, planned: Planned) -> None:
        self.called, self.planned, self.count = called, planned, called.count
        made = planned.made[: self.count]
        self.hidden = [at for at, (dtype, _) in enumerate(made) if not dtype.is_floating_point]
        self.ways = Ways()

    def __call__(self, *operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The results; no gradients are wanted."""
        return tuple(self.planned(operands)[: self.count])

    def back(self, saved: Tensors, gradients: Gradients, wanted: tuple[bool, ...]) -> Any:
        """Gradients of operands from what was saved and those of results."""
        if torch.is_grad_enabled() or forward_ad._current_level >= 0:
            return self._found(saved, gradients, wanted)
        came = [one for one in gradients if one is not None]
        which = tuple([one is None for one in gradients])
        key = wanted, which, torch.get_num_threads()
        tensors = (*saved, *came)
        way = next((own for like, own in self.ways.found.get(key, ()) if like(*tensors)), None)
        if way is None:
            way = self._back(saved, gradients, wanted) if is_plain(tensors) else None
            if way is None:
                return self._found(saved, gradients, wanted)
            self.ways.put(key, tensors, way)
        return way(tensors)

    def _found(self, saved: Tensors, gradients: Gradients, wanted: Sequence[bool]) -> Any:
        count = len(wanted)
        return self.called.gradients(saved[:count], saved[count:], gradients, wanted)

    def _back(self, saved: Tensors, gradients: Gradients, wanted: Sequence[bool]) -> Any:
        """The planned call of the way back, if a kernel has one."""
        known = self.called.returning(saved[: len(wanted)], gradients, wanted)
        if known is None:
            return None
        places = []
        for at in known.places:
            behind = gradients[: max(0, at - len(saved))]
            places.append(at - sum(one is None for one in behind))
        tensors = (*saved, *[one for one in gradients if one is not None])
        planned = known.operator.planned([tensors[at] for at in places], known.every)
        if planned is None:
            return None
        gathered = [
            gather if need else None for gather, need in zip(known.gathered, wanted, strict=True)
        ]

        def run(tensors: Tensors) -> list[torch.Tensor | None]:
            made = planned([tensors[at] for at in places])
            return [None if gather is None else gather(made) for gather in gathered]

        return run


class _Recorded(torch.autograd.Function):
    """A planned call that PyTorch records. No transform looks on, so it needs no other rules."""

    @staticmethod
    def forward(ctx: Any, ahead: Ahead, *operands: torch.Tensor) -> Any:
        made = ahead.planned(operands)
        ctx.ahead = ahead
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*operands, *ahead.called.remembered(made))
        found = made[: ahead.count]
        if ahead.hidden:
            ctx.mark_non_differentiable(*[found[at] for at in ahead.hidden])
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> Any:
        return None, *ctx.ahead.back(ctx.saved_tensors, gradients, ctx.needs_input_grad[1:])


# past the Python of `apply`, which asks again whether a transform looks on
recorded: Any = super(torch.autograd.Function, _Recorded).apply
