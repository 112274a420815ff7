"""A recurrence by Newton's method over all steps, and step by step where that does not end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from ..compiler.context import Context
from ..compiler.costs import FEWEST_STEPS
from ..compiler.recurrences import newton
from ..dsl.core import names
from .eager import PLAIN, is_watched
from .loops import SCAN_NODE, Alone, axis_at, written
from .operators import notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 16  # turns, each of which squares the error once it is small
RESIDUAL = {torch.float32: 1e-5, torch.float64: 1e-9}
"""At which residual of a guess the next one is the last: its error is squared, so that its slopes,
and with them the gradients of the turn that is made from it, are exact to rounding."""


def _wide(value: torch.Tensor) -> torch.Tensor:
    """The same in float64, if it is of floats and the device has such."""
    return value.double() if value.is_floating_point() and value.device.type != "mps" else value


class Newton:
    """A function of a recurrence's operands, which gives a tuple of its results.

    Guesses are improved without gradients until the residual is small; the last turn carries them,
    and is computed in float64: what comes back through a long product of slopes is added up in
    another order than by steps, which in float32 costs a digit.
    Where it does not get small in so many turns, or is not a number, `loop` is run, with a notice;
    and for few steps, under transforms, and where PyTorch traces.
    """

    def __init__(self, own: Alone, loop: Callable[..., tuple[Any, ...]]) -> None:
        self.loop, self.name = loop, own.name
        self.place = axis_at(own.given, own.axis)
        turn = newton(own.graph, SCAN_NODE, Context())
        guesses = [names(turn.graph.node(name).axes) for name in turn.guesses]
        self.count = len(turn.guesses)
        self.start = written(f"{own.name}_start", turn.graph, turn.starts, guesses)
        self.improve = written(
            f"{own.name}_turn", turn.graph, (*turn.after, turn.residual), (*guesses, ())
        )
        self.finish = written(f"{own.name}_end", turn.graph, turn.results, own.orders)

    def __call__(self, *operands: torch.Tensor) -> tuple[Any, ...]:
        """The results, in the orders of the call."""
        if not self.applies(operands):
            return self.loop(*operands)
        guesses = self.solution([x.detach() for x in operands])
        if guesses is None:
            return self.loop(*operands)
        found = self.finish(*map(_wide, operands), *map(_wide, guesses))
        like = next(x.dtype for x in operands if x.is_floating_point())
        return tuple(value.to(like) if value.is_floating_point() else value for value in found)

    def applies(self, operands: Sequence[torch.Tensor]) -> bool:
        """Whether the method is tried, on whatever device: there are many steps, and no transform
        or trace looks on, for when it ends is known only when it runs."""
        plain = not (is_compiling() or is_watched()) and all(type(x) in PLAIN for x in operands)
        return plain and self.steps(operands) >= FEWEST_STEPS

    def steps(self, operands: Sequence[torch.Tensor]) -> int:
        """How many there are, as far as the operands tell."""
        return 0 if self.place is None else operands[self.place[0]].shape[self.place[1]]

    def solution(self, operands: list[torch.Tensor]) -> list[torch.Tensor] | None:
        """All states, nearly; None where that fails."""
        floats = {x.dtype for x in operands if x.is_floating_point()}
        small = RESIDUAL.get(next(iter(floats))) if len(floats) == 1 else None
        if small is None:
            return None
        with torch.no_grad():
            absent = [operands[0].new_empty(0)] * self.count
            guesses = list(self.start(*operands, *absent))
            for _ in range(MOST):
                *after, residual = self.improve(*operands, *guesses)
                guesses = after
                if bool(residual <= small):
                    return guesses
        notice(f"Newton's method did not end in {MOST} turns: a recurrence is run step by step")
        return None
