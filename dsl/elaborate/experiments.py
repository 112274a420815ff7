"""`experiment`: runs, measures, sweeps, plots and expectations become one program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug
from ..program import CheckedStudy
from .datasets import use_data
from .outputs import expect, output, show
from .plots import plot
from .study import Study
from .study_runs import Runs
from .study_scans import draw, named, study_scan
from .sweeps import sweep
from .values import Formula, HaltError, Poison, Val
from .weights import split_weights

if TYPE_CHECKING:
    from ..diagnostics import Collector
    from ..modules import Module
    from ..source import Span
    from .builder import Budget


def elaborate_experiment(
    tree: s.Experiment, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedStudy | None:
    """The experiment as a program; None if something in it is wrong."""
    study = Study(module, collector, budget)
    before = collector.errors
    try:
        experiment = _Experiment(study, tree)
        experiment.steps()
        if collector.errors > before:
            return None
        body = study.body([])
    except HaltError:
        return None
    return CheckedStudy(
        tree.name,
        study.model,
        body,
        study.sources,
        tuple(study.stages),
        tuple(study.outputs),
        experiment.data,
        study.weights,
        tree.span,
        limits=tuple(study.ctx.limits),
        beside=study.beside,
    )


class _Experiment:
    def __init__(self, study: Study, tree: s.Experiment) -> None:
        self.study, self.tree, self.scope = study, tree, study.scope
        self.data = use_data(study, tree.data)
        weights, given = split_weights(tree.given, study)
        self.runs = Runs(study, tree.model, weights, given, self.data)

    def steps(self) -> None:
        """All steps in order; one that is wrong is reported, and the others go on."""
        for step in self.tree.body:
            try:
                self._step(step)
            except HaltError:
                for name in named(step):
                    self.scope.names.setdefault(name, Poison())

    def _step(self, step: s.Trial) -> None:
        self.study.ctx.statement = step
        match step:
            case s.Run():
                self._bind(step.name, self.runs.run(step, self.scope), step.span)
            case s.Measure():
                self._bind(step.name, Formula(step, self.scope), step.span)
            case s.Sweep():
                found = sweep(self.study, step, self.runs.run, self.scope)
                self._bind(step.name, found, step.span)
            case s.StudyScan():
                study_scan(self.study, step, self.scope, self.runs)
                for name in named(step):
                    output(self.study, "value", name, [self.scope.names[name]], step.span)
            case s.Declare():
                draw(step, self.scope, self.tree.name)
            case s.Assign():
                for target, value in zip(step.targets, step.values, strict=False):
                    if not isinstance(target, s.Name):
                        self.scope.fail(Slug.BAD_WRITE, "here a name is assigned", target.span)
                    found = self.scope.evaluate(value)
                    self._bind(target.id, found, target.span)
                    output(self.study, "value", target.id, [found], value.span)
            case s.Show():
                for value in step.values:
                    show(self.study, value)
            case s.Expect():
                expect(self.study, step)
            case s.Plot():
                plot(self.study, step)
            case s.Unbuilt(feature):
                self.scope.fail(Slug.UNBUILT, f"{feature} is not built yet", step.span)

    def _bind(self, name: str, value: Val, span: Span) -> None:
        known = self.scope.names.get(name, Poison())
        if not isinstance(known, Poison) and name in self.scope.spans:
            self.scope.fail(
                Slug.REASSIGNED,
                f"`{name}` already stands for something",
                span,
                notes=[Note("here", self.scope.spans[name])],
            )
        self.scope.names[name] = value
        self.scope.spans[name] = span
