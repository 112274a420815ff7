"""When what holds in a training: its phases, and writes that hold for a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug
from ..program import Call, Phase, Timed, holding
from .attempts import Attempts
from .optimisation import (
    NONE,
    SCHEDULES,
    read_call,
    read_groups,
    read_using,
    trained,
)
from .values import HaltError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from .scope import Scope

IN_A_PHASE = s.Doc | s.Using | s.Schedule | s.Only | s.OptimiserGroup | s.Until | s.UntilHolds


@dataclass(frozen=True, slots=True)
class Lines:
    """The writes of a training in their order, each with its number among those that hold for a
    time, if it is one."""

    writes: tuple[tuple[s.Write | s.During, int | None], ...]
    timed: tuple[Timed, ...]
    phases: tuple[s.Phase, ...]

    @classmethod
    def of(cls, tree: s.Train) -> Lines:
        """What the body of a training says of writes and phases."""
        writes: list[tuple[s.Write | s.During, int | None]] = []
        timed: list[Timed] = []
        phases = tuple(step for step in tree.body if isinstance(step, s.Phase))
        for phase, step in _steps(tree):
            write, until = as_write(step, in_phase=phase is not None), None
            if isinstance(step, s.Until):
                write, until = step.write, step.count
            if write is not None and phase is None and until is None:
                writes.append((write, None))
            elif write is not None:
                writes.append((write, len(timed)))
                timed.append(Timed(phase, until))
        return cls(tuple(writes), tuple(timed), phases)

    def in_form(self, form: Collection[int]) -> tuple[s.Write | s.During, ...]:
        """The writes that hold, given the numbers of those that do for a time."""
        return tuple(write for write, place in self.writes if place is None or place in form)


def _steps(tree: s.Train) -> Iterator[tuple[int | None, s.Lesson]]:
    """The steps of a training, those of a phase with its number."""
    count = 0
    for step in tree.body:
        if isinstance(step, s.Phase):
            yield from ((count, inner) for inner in step.body)
            count += 1
        else:
            yield None, step


def as_write(step: s.Lesson, *, in_phase: bool = False) -> s.Write | s.During | None:
    """The write that a line is, or those of a scope. A name alone on the left is that of a value,
    `loss = ...`, but for a phase, which has no values."""
    match step:
        case s.Write() | s.During():
            return step
        case s.Assign((site,), (value,)) if in_phase or not isinstance(site, s.Name):
            return s.Write(site, "=", value, span=step.span)
    return None


def read_phase(
    tree: s.Train,
    phase: s.Phase | None,
    known: Mapping[str, bool],
    scope: Scope,
    *,
    is_last: bool = True,
) -> Phase:
    """How it goes in a phase, or outside of all. `known` are the parameters, and whether each is
    for the optimiser."""
    outer: list[s.Lesson] = [step for step in tree.body if not isinstance(step, s.Phase)]
    own: Sequence[s.Lesson] = phase.body if phase is not None else outer
    attempts = Attempts()
    for step in own if phase is not None else ():
        attempts.at(partial(_check_phase_step, step, scope))
    using = attempts.at(lambda: _using(tree, outer, phase, scope))
    is_none = using is not None and using[0].name == NONE
    if is_none:
        attempts.at(lambda: _check_none(own, scope))
    trains = [] if is_none else outer if phase is None else [*outer, *own]
    known = dict.fromkeys(known, False) if is_none else known
    scheduled = own if any(isinstance(step, s.Schedule) for step in own) else outer
    schedule = attempts.at(lambda: _schedule(scheduled, scope))
    chosen = attempts.at(lambda: trained(trains, known, scope))
    groups = attempts.at(lambda: read_groups(trains, known, scope))
    end = attempts.at(lambda: _end(own, phase, scope, is_last=is_last))
    if attempts.failed or using is None:
        raise HaltError
    return Phase(
        phase.name if phase is not None else "",
        *using,
        schedule or (),
        chosen or (),
        groups or (),
        phase is not None and scheduled is own,
        *(end or (None, None)),
    )


def _check_phase_step(step: s.Lesson, scope: Scope) -> None:
    if isinstance(step, s.Unbuilt):
        scope.fail(Slug.UNBUILT, f"{step.feature} is not built yet", step.span)
    if not isinstance(step, IN_A_PHASE) and as_write(step, in_phase=True) is None:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            "a phase says what is trained and how, and no values",
            step.span,
            notes=[Note("it has `only`, `freeze`, `group`, `using`, `schedule`, `until`, writes")],
        )


def _check_none(own: Sequence[s.Lesson], scope: Scope) -> None:
    """Nothing is said of an optimiser that is none."""
    for step in own:
        if isinstance(step, s.Only | s.OptimiserGroup | s.Schedule):
            scope.fail(
                Slug.WRONG_ARGUMENTS, "`using none` trains nothing, so this says nothing", step.span
            )


def _using(
    tree: s.Train, outer: Sequence[s.Lesson], phase: s.Phase | None, scope: Scope
) -> tuple[Call, float]:
    """The optimiser and where gradients are clipped: in a phase, what it does not say otherwise."""
    optimiser, clip = _using_line(outer, f"the training `{tree.name}`", tree, scope, None)
    if phase is not None and any(isinstance(step, s.Using) for step in phase.body):
        where = f"the phase `{phase.name}`"
        own, own_clip = _using_line(phase.body, where, phase, scope, phase.name)
        optimiser, clip = own or optimiser, clip if own_clip is None else own_clip
    assert optimiser is not None
    return optimiser, clip or 0.0


def _using_line(
    steps: Sequence[s.Lesson], where: str, tree: s.Train | s.Phase, scope: Scope, phase: str | None
) -> tuple[Call | None, float | None]:
    using = [step for step in steps if isinstance(step, s.Using)]
    if len(using) != 1:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"{where} has {len(using)} `using` lines, and wants 1",
            using[1].span if using else tree.span.word(tree.name),
            hint="using adamw(lr = 3e-4), batch 32, steps 2000" if not using else None,
        )
    optimiser, settings = read_using(using[0], scope, phase)
    return optimiser, settings.get("clip")


def _schedule(steps: Sequence[s.Lesson], scope: Scope) -> tuple[Call, ...]:
    return tuple(
        read_call(part, SCHEDULES, "schedule", scope)
        for step in steps
        if isinstance(step, s.Schedule)
        for part in step.parts
    )


def _end(
    own: Sequence[s.Lesson], phase: s.Phase | None, scope: Scope, *, is_last: bool
) -> tuple[int | None, str | None]:
    """Before which step, and with what holding, it is over."""
    ends = [step for step in own if isinstance(step, s.Until) and step.write is None]
    holds = [step for step in own if isinstance(step, s.UntilHolds)]
    what = "the training" if phase is None else f"the phase `{phase.name}`"
    for several in (ends, holds):
        if len(several) > 1:
            scope.fail(Slug.WRONG_ARGUMENTS, f"{what} already has such an end", several[1].span)
    if phase is not None and not is_last and not ends and not holds:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"{what} has no end, and another follows",
            phase.span.word(phase.name),
            hint="until step 100",
        )
    return ends[0].count if ends else None, holds[0].condition.span.text if holds else None


def check_until(step: s.Until, scope: Scope) -> None:
    """Steps are what is counted, from 1 on."""
    if step.unit not in ("step", "steps"):
        scope.fail(
            Slug.UNKNOWN_OPTION,
            f"a training is counted in steps, and not in `{step.unit}`",
            step.span,
            hint=f"until step {step.count}",
        )
    if step.count < 1:
        scope.fail(Slug.BAD_SIZE, f"no step is before step {step.count}", step.span)


def forms(lines: Lines) -> list[tuple[int, ...]]:
    """All sets of timed writes that may hold together, those of the beginning first."""
    steps = sorted({0, *(write.until for write in lines.timed if write.until is not None)})
    return list(
        dict.fromkeys(
            holding(lines.timed, phase, step)
            for phase in range(len(lines.phases) + 1)
            for step in steps
        )
    )
