"""`train`: the losses of a model on data, in both modes, and how the training goes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Slug, or_nearest
from ..program import CheckedTraining, Form
from .attempts import Attempts
from .lessons import Lessons
from .optimisation import NONE, SETTINGS, matching, read_every, read_using
from .phases import Lines, forms, read_phase
from .values import HaltError
from .weights import check_needs, check_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..diagnostics import Collector
    from ..modules import Module
    from ..program import Phase
    from .builder import Budget


def elaborate_training(
    tree: s.Train, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedTraining | None:
    """The training; None if something in it is wrong."""
    before = collector.errors
    lines = Lines.of(tree)
    try:
        made = {
            form: tuple(
                Lessons(tree, lines.in_form(form), module, collector, budget, training=mode)
                for mode in (True, False)
            )
            for form in dict.fromkeys([(), *forms(lines)])
        }
        train, evaluate = made.pop(())
        how = _How(tree, lines, evaluate)
        found = how.training(
            train, {form: Form(a.checked(), b.checked()) for form, (a, b) in made.items()}
        )
    except HaltError:
        return None
    return None if collector.errors > before else found


class _How:
    """How a training goes: everything that its body says besides values."""

    def __init__(self, tree: s.Train, lines: Lines, lessons: Lessons) -> None:
        self.tree, self.lines, self.lessons = tree, lines, lessons
        self.study, self.scope = lessons.study, lessons.scope

    def training(self, train: Lessons, others: Mapping[tuple[int, ...], Form]) -> CheckedTraining:
        """The training, given its programs without timed writes, and the others."""
        tree = self.tree
        attempts = Attempts()  # each says what is wrong in it before the training is given up
        course = attempts.at(partial(self._phase, None, is_last=True))
        last = len(self.lines.phases) - 1
        phases = [
            attempts.at(partial(self._phase, phase, is_last=at == last))
            for at, phase in enumerate(self.lines.phases)
        ]
        attempts.at(lambda: self._check_loss([course, *phases]))
        attempts.at(self._check_start)
        attempts.at(lambda: check_needs(tree, self.study))
        every, fresh = attempts.at(self._every), attempts.at(self._fresh)
        attempts.at(lambda: self._check_measured(every or ()))
        if attempts.failed or course is None:
            raise HaltError
        using = next(step for step in tree.body if isinstance(step, s.Using))
        _, settings = read_using(using, self.scope)
        return CheckedTraining(
            tree.name,
            train.checked(),
            self.lessons.checked(),
            course,
            {**SETTINGS, **settings},
            every or (),
            self.lessons.start,
            fresh or (),
            tuple(phase for phase in phases if phase is not None),
            self.lines.timed,
            others,
            tuple(self.lessons.placed.items()),
        )

    def _phase(self, phase: s.Phase | None, *, is_last: bool) -> Phase:
        fits = self.lessons.fits
        known = {
            address: trained
            and address not in self.lessons.updated
            and (not fits or address in fits)
            for address, trained in self._params().items()
        }
        return read_phase(self.tree, phase, known, self.scope, is_last=is_last)

    def _check_loss(self, phases: list[Phase | None]) -> None:
        if None in phases:  # what is wrong was said
            return
        is_none = all(p is not None and p.optimiser.name == NONE for p in phases)
        if is_none and not any(isinstance(step, s.Update) for step in self.tree.body):
            self.scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"the training `{self.tree.name}` changes no parameter",
                self.tree.span.word(self.tree.name),
                hint="update w += 0.1 * mean[b](x)",
            )
        if self.lessons.loss or is_none:
            return
        self.scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"the training `{self.tree.name}` says no loss",
            self.tree.span,
            hint="loss = ...",
        )

    def _check_measured(self, every: tuple[tuple[int, str], ...]) -> None:
        """Whether something holds is seen when it is evaluated."""
        if any(action == "evaluate" for _, action in every):
            return
        for steps in (self.tree.body, *(phase.body for phase in self.lines.phases)):
            for step in steps:
                if isinstance(step, s.UntilHolds):
                    self.scope.fail(
                        Slug.WRONG_ARGUMENTS,
                        "whether this holds is seen at evaluations, and there are none",
                        step.span,
                        hint="every 100 steps: evaluate",
                    )

    def _every(self) -> tuple[tuple[int, str], ...]:
        return tuple(
            (step.count, read_every(step, self.scope))
            for step in self.tree.body
            if isinstance(step, s.Every)
        )

    def _fresh(self) -> tuple[str, ...]:
        fresh = self.tree.fresh
        return tuple(matching(fresh, self._params(), self.scope)) if fresh is not None else ()

    def _check_start(self) -> None:
        start, module = self.tree.start, self.study.module
        if start is None:
            return
        if start in module.broken:
            raise HaltError
        found = module.find(start)
        if found is None or not isinstance(found[0], s.Train | s.Weights):
            known = [
                n
                for n in module.names()
                if (f := module.find(n)) and isinstance(f[0], s.Train | s.Weights)
            ]
            self.scope.fail(
                Slug.UNKNOWN_NAME,
                f"no training or weights are called `{start}`",
                self.tree.span.word(start),
                hint=or_nearest(start, known),
            )
        check_own(start, self.tree.span.word(start), self.study)

    def _params(self) -> dict[str, bool]:
        """The parameters of the model, and whether each is to be trained; not those of runs with
        weights of their own."""
        return {
            step.node.site or "": step.node.attrs.trained
            for step in self.study.scope.builder.steps
            if isinstance(step.node.attrs, ops.ParamAttrs) and ":" not in (step.node.site or "")
        }
