"""Expectations: what a spec says of its numbers, and whether it is so."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...dsl.program import Output
    from ...dsl.source import Span

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One `expect` with the numbers that were found; without `op` it is one truth, on the left."""

    label: str
    op: str
    left: float
    right: float | None
    holds: bool
    span: Span


def expectation(output: Output, sides: Sequence[float]) -> Expectation:
    """An expectation judged. A truth is a mean over batches, and holds if it held in all."""
    match sides:
        case left, right:
            holds = COMPARISONS[output.op](left, right)
            return Expectation(output.label, output.op, left, right, holds, output.span)
        case (truth,):
            return Expectation(output.label, "", truth, None, truth == 1, output.span)
    raise ValueError(f"an expectation with {len(sides)} sides")
