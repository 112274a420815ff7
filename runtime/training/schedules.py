"""Schedules: by what factor the learning rate is changed at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.diagnostics import Diagnostic, Slug, SpecError
from ...dsl.elaborate.optimisation import SCHEDULES
from .options import bound, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...dsl.program import Call
    from ...dsl.source import Span

DEFAULTS: Mapping[str, Mapping[str, float]] = {"linear": {"to": 0.0}, "cosine": {"to": 0.0}}
COUNTS = frozenset({"steps", "every"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a schedule: which rule, from which factor, for how many steps."""

    rule: str
    options: Mapping[str, float]
    start: float
    length: int

    def factor(self, at: int) -> float:
        """The factor `at` steps after the part's beginning; what it ends with stays."""
        return RULES[self.rule](self, min(at, self.length))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Parts one after the other."""

    parts: tuple[Part, ...]

    def factor(self, step: int) -> float:
        """The factor of a step, counted from 0."""
        for part in self.parts[:-1]:
            if step < part.length:
                return part.factor(step)
            step -= part.length
        return self.parts[-1].factor(step) if self.parts else 1.0


def schedule(calls: Sequence[Call], total: int, span: Span) -> Schedule:
    """`warmup(100) then cosine(to = 0.1)` over so many steps.

    Parts that do not say how long they are share what is left.
    """
    options = [_options(call, span) for call in calls]
    fixed = sum(int(given.get("steps", 0)) for given in options)
    open_ = [place for place, given in enumerate(options) if "steps" not in given]
    left = max(total - fixed, 0)
    parts: list[Part] = []
    factor = 1.0
    for place, (call, given) in enumerate(zip(calls, options, strict=True)):
        if place in open_:
            turn = open_.index(place)
            length = left * (turn + 1) // len(open_) - left * turn // len(open_)
        else:
            length = int(given["steps"])
        parts.append(Part(call.name, given, factor, length))
        factor = parts[-1].factor(length)
    return Schedule(tuple(parts))


def _options(call: Call, span: Span) -> dict[str, float]:
    names = SCHEDULES[call.name]
    given = bound(call, names, span, defaults=DEFAULTS.get(call.name, {}))
    for name in names:
        if name not in given and name != "steps":
            message = f"the schedule `{call.name}` needs `{name}`"
            raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    for name, value in given.items():
        if name in COUNTS:
            whole(f"`{name}` of `{call.name}`", value, span, least=0 if name == "steps" else 1)
        elif not value >= 0:
            message = f"`{name}` of `{call.name}` is at least 0, not {value:g}"
            raise SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
    return given


# ---- the rules


def _warmup(part: Part, at: int) -> float:
    return min((at + 1) / part.length, 1.0) if part.length else 1.0  # the first step learns too


def _constant(part: Part, _: int) -> float:
    return part.start


def _linear(part: Part, at: int) -> float:
    done = at / part.length if part.length else 1.0
    return part.start + (part.options["to"] - part.start) * done


def _cosine(part: Part, at: int) -> float:
    done = at / part.length if part.length else 1.0
    end = part.options["to"]
    return end + (part.start - end) * (1 + math.cos(math.pi * done)) / 2


def _exponential(part: Part, at: int) -> float:
    return float(part.start * part.options["rate"] ** at)


def _step(part: Part, at: int) -> float:
    return float(part.start * part.options["rate"] ** (at // int(part.options["every"])))


RULES: Mapping[str, Callable[[Part, int], float]] = {
    "warmup": _warmup,
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "exponential": _exponential,
    "step": _step,
}
