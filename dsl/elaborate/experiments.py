"""`experiment`: runs, measures, sweeps, plots and expectations become one program."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug
from ..program import CheckedStudy
from .builtins import UNBUILT
from .datasets import use_data
from .given import split_weights
from .outputs import expect, output, plot
from .requests import laid, requested, run_model
from .study import Study
from .sweeps import sweep
from .values import Formula, HaltError, Poison, Run, Table, Val, Value

if TYPE_CHECKING:
    from ..diagnostics import Collector
    from ..modules import Module
    from ..source import Span
    from .builder import Budget
    from .scope import Scope


def elaborate_experiment(
    tree: s.Experiment, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedStudy | None:
    """The experiment as a program; None if something in it is wrong."""
    study = Study(module, collector, budget)
    before = collector.errors
    try:
        experiment = _Experiment(study, tree)
        experiment.steps()
    except HaltError:
        return None
    if collector.errors > before or study.model is None:
        return None
    body = study.body([])
    return CheckedStudy(
        tree.name,
        study.model,
        body,
        study.sources,
        tuple(study.sweeps),
        tuple(study.outputs),
        experiment.data,
        experiment.weights,
        tree.span,
        limits=tuple(study.ctx.limits),
    )


class _Experiment:
    def __init__(self, study: Study, tree: s.Experiment) -> None:
        self.study, self.tree, self.scope = study, tree, study.scope
        self.data = use_data(study, tree.data)
        self.weights, self.given = split_weights(tree.given, study)
        model = tree.model
        named = study.module.find(self.weights) if self.weights else None
        source = named[0] if named else None
        if isinstance(model, s.Name) and isinstance(source, s.Train | s.Weights):
            own = source.model.target if isinstance(source.model, s.Call) else source.model
            own = own.base if isinstance(own, s.Index) else own
            if own == model:  # made as the weights were made
                model = source.model
        self.model_tree = model
        if model is not None:
            requested(study, model)
        self.plans: dict[str, tuple[s.Given, ...]] = {}

    def steps(self) -> None:
        """All steps in order; one that is wrong is reported, and the others go on."""
        for step in self.tree.body:
            try:
                self._step(step)
            except HaltError:
                for name in _named(step):
                    self.scope.names.setdefault(name, Poison())

    def _step(self, step: s.Trial) -> None:
        self.study.ctx.statement = step
        match step:
            case s.Run():
                self._bind(step.name, self._run(step, self.scope), step.span)
            case s.Measure():
                self._bind(step.name, Formula(step, self.scope), step.span)
            case s.Sweep():
                self._bind(step.name, sweep(self.study, step, self._run), step.span)
            case s.Assign():
                for target, value in zip(step.targets, step.values, strict=False):
                    if not isinstance(target, s.Name):
                        self.scope.fail(Slug.BAD_WRITE, "here a name is assigned", target.span)
                    found = self.scope.evaluate(value)
                    self._bind(target.id, found, target.span)
                    output(self.study, "value", target.id, [found], value.span)
            case s.Show():
                for value in step.values:
                    output(
                        self.study,
                        "show",
                        value.span.text,
                        [self.scope.evaluate(value)],
                        value.span,
                    )
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

    # ---- runs

    def _run(self, step: s.Run, scope: Scope) -> Run:
        given = (*self.given, *step.given)
        tree = step.value
        found = scope.lookup(tree.id) if isinstance(tree, s.Name) else None
        if isinstance(found, Run):  # a run again, with more
            earlier = self.plans.get(found.name, ())
            _, items = split_weights(step.given, self.study)
            run = laid(
                self.study, step.name, found.model, dict(found.inputs), (*earlier, *items), scope
            )
            self.plans[run.name] = (*earlier, *items)
            return run
        if isinstance(found, Poison):
            raise HaltError
        inputs: dict[str, tuple[Val, Span]] = {}
        model = tree
        if (
            isinstance(tree, s.Call)
            and isinstance(tree.target, s.Name)
            and tree.target.id in UNBUILT
        ):
            scope.fail(Slug.UNBUILT, f"{UNBUILT[tree.target.id]} is not built yet", tree.span)
        if isinstance(tree, s.Call):
            model, inputs = self._inputs(tree, scope)
        name = model.base if isinstance(model, s.Index) else model
        same = isinstance(name, s.Name) and name == _model_name(self.model_tree)
        config = (
            self.model_tree
            if same and not isinstance(model, s.Index) and self.model_tree is not None
            else model
        )
        request = requested(self.study, config)
        settled = {p.name for p in request.block.params if p.axes is None}
        values = {key: inputs.pop(key)[0] for key in settled & set(inputs)}
        request = replace(request, values={**request.values, **values})
        self._from_data(request.block, inputs, scope)
        _, items = split_weights(given, self.study)
        run = run_model(self.study, step.name, request, inputs, items, step.span, scope)
        self.plans[run.name] = items
        return run

    def _inputs(self, tree: s.Call, scope: Scope) -> tuple[s.Expr, dict[str, tuple[Val, Span]]]:
        """`gpt(tokens = pairs.clean)`: tensors are inputs."""
        inputs = {}
        for arg in tree.args:
            if arg.name is None:
                scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    "an input of a run is named",
                    arg.span,
                    hint=f"tokens = {arg.span.text}",
                )
            inputs[arg.name] = (scope.evaluate(arg.value), arg.span)
        return tree.target, inputs

    def _from_data(self, block: s.Block, inputs: dict[str, tuple[Val, Span]], scope: Scope) -> None:
        """Fields named like a model's inputs bind."""
        for param in block.params:
            if param.axes is not None and param.name not in inputs and self.data is not None:
                table = self.scope.names.get(self.data.name)
                if isinstance(table, Table) and param.name in table.fields:
                    inputs[param.name] = (Value(table.fields[param.name]), param.span)


def _named(step: s.Trial) -> list[str]:
    """The names that a step gives to something."""
    match step:
        case s.Assign(targets):
            return [target.id for target in targets if isinstance(target, s.Name)]
        case s.Run(name) | s.Measure(name) | s.Sweep(name):
            return [name]
        case s.Unbuilt(_, (s.Name(name), *_)):  # `attribute heads over ...`
            return [name]
    return []


def _model_name(tree: s.Expr | None) -> s.Expr | None:
    while isinstance(tree, s.Call | s.Index):
        tree = tree.target if isinstance(tree, s.Call) else tree.base
    return tree
