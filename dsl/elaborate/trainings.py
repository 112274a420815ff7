"""`train`: the losses of a model on data, in both modes, and how the training goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .. import ops
from .. import syntax as s
from ..diagnostics import Collector, Note, Slug, or_any, or_nearest
from ..program import Call, CheckedStudy, CheckedTraining
from .datasets import use_data
from .laying import run_model
from .optimisation import (
    SCHEDULES,
    matching,
    read_call,
    read_every,
    read_groups,
    read_using,
    trained,
)
from .outputs import expect, output
from .requests import requested
from .study import Study
from .values import HaltError, Poison, Table, Val, Value
from .weights import split_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..modules import Module
    from ..source import Span
    from .builder import Budget
    from .scope import Scope

T = TypeVar("T")


def elaborate_training(
    tree: s.Train, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedTraining | None:
    """The training; None if something in it is wrong."""
    before = collector.errors
    try:
        lessons = [
            _Lessons(tree, module, collector, budget, training=mode) for mode in (True, False)
        ]
        found = lessons[1].how(lessons[0])
    except HaltError:
        return None
    return None if collector.errors > before else found


class _Attempts:
    """Things tried one after another, all of them even if one fails."""

    def __init__(self) -> None:
        self.failed = False

    def at(self, part: Callable[[], T]) -> T | None:
        """What the part gives, None if it has reported a mistake."""
        try:
            return part()
        except HaltError:
            self.failed = True
            return None


class _Lessons:
    """One reading of the body: with or without dropout and the like."""

    def __init__(
        self,
        tree: s.Train,
        module: Module,
        collector: Collector,
        budget: Budget | None,
        *,
        training: bool,
    ) -> None:
        self.tree, self.training = tree, training
        self.study = Study(module, collector, budget, training=training)
        self.scope: Scope = self.study.scope
        halted = self._unbuilt_runs()
        try:
            self.data = use_data(self.study, tree.data)
        except HaltError:
            halted = True
        request = requested(self.study, tree.model)
        if halted:
            raise HaltError
        weights, given = split_weights(tree.given, self.study)
        self.start = tree.start if tree.start is not None else weights
        writes = tuple(step for step in tree.body if isinstance(step, s.Write))
        table = self.scope.names.get(self.data.name) if self.data is not None else None
        inputs: dict[str, tuple[Val, Span]] = {}
        for param in request.block.params:
            if param.axes is not None and isinstance(table, Table) and param.name in table.fields:
                inputs[param.name] = (Value(table.fields[param.name]), tree.data.span)
            elif param.axes is not None and isinstance(table, Table) and param.default is None:
                self.scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    f"`{request.block.name}` takes `{param.name}`, and `{table.name}` "
                    "has no field of that name",
                    tree.data.span,
                    notes=[Note("it is declared", param.span)],
                    hint=or_any(param.name, table.fields),
                )
        self.run = run_model(
            self.study, "", request, inputs, (*given, *writes), tree.span, self.scope
        )
        self.scope.frame.run = self.run
        self.loss = False
        self.steps()

    def steps(self) -> None:
        """Values and expectations; how it goes is read by `how`."""
        for step in self.tree.body:
            self.study.ctx.statement = step
            try:
                match step:
                    case s.Assign(targets, values):
                        for target, value in zip(targets, values, strict=False):
                            self._assign(target, value)
                    case s.Expect():
                        expect(self.study, step)
                    case s.Until():
                        self.scope.fail(Slug.UNBUILT, "`until` is not built yet", step.span)
                    case s.Unbuilt(feature):
                        self.scope.fail(Slug.UNBUILT, f"{feature} is not built yet", step.span)
            except HaltError:
                for target in step.targets if isinstance(step, s.Assign) else ():
                    if isinstance(target, s.Name):
                        self.scope.names.setdefault(target.id, Poison())
                        self.loss = self.loss or target.id == "loss"

    def _assign(self, target: s.Expr, tree: s.Expr) -> None:
        if not isinstance(target, s.Name):
            self.scope.fail(
                Slug.UNBUILT,
                "a write inside a training is not built yet: put it in an intervention",
                target.span,
                hint="train ... with my_intervention on ...",
            )
        value = self.scope.evaluate(tree)
        if target.id == "loss":
            self.loss = True
            node = self.scope.node(value, tree.span)
            if node.axes:
                self.scope.fail(
                    Slug.AXIS_MISMATCH,
                    f"a loss is one number, and this has {self.scope.say_axes(node)}",
                    tree.span,
                    hint=f"mean[{', '.join(a.name for a in node.axes)}]({tree.span.text})",
                )
        if target.id in self.scope.spans:
            self.scope.fail(
                Slug.REASSIGNED,
                f"`{target.id}` already has a value",
                target.span,
                notes=[Note("it has its value from here", self.scope.spans[target.id])],
            )
        self.scope.names[target.id] = value
        self.scope.spans[target.id] = target.span
        if isinstance(value, Value) and not value.node.axes:
            output(self.study, "value", target.id, [value], target.span)

    def _unbuilt_runs(self) -> bool:
        """Whether the training makes runs: what reads them is then not looked at."""
        runs = [step for step in self.tree.body if isinstance(step, s.Run)]
        for step in runs:
            self.study.collector.report(
                Slug.UNBUILT, "`run` inside a training is not built yet", step.span
            )
        return bool(runs)

    def checked(self) -> CheckedStudy:
        """The program of this mode, the loss first among its outputs."""
        study = self.study
        study.outputs.sort(key=lambda out: (out.kind != "value", out.label != "loss"))
        updates = list(study.updates.items()) if self.training else []
        assert study.model is not None
        return CheckedStudy(
            self.tree.name,
            study.model,
            study.body([node.name for _, node in updates]),
            study.sources,
            (),
            tuple(study.outputs),
            self.data,
            self.start,
            self.tree.span,
            updates=tuple((address, node.name) for address, node in updates),
            limits=tuple(study.ctx.limits),
        )

    # ---- how it goes

    def how(self, train: _Lessons) -> CheckedTraining:
        """Everything else that the body says."""
        tree, scope = self.tree, self.scope
        if not self.loss:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"the training `{tree.name}` says no loss",
                tree.span,
                hint="loss = ...",
            )
        using = [step for step in tree.body if isinstance(step, s.Using)]
        if len(using) != 1:
            place = using[1].span if using else tree.span.word(tree.name)
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"the training `{tree.name}` has {len(using)} `using` lines, and wants 1",
                place,
                hint="using adamw(lr = 3e-4), batch 32, steps 2000" if not using else None,
            )
        known = self._params()
        attempts = _Attempts()  # each says what is wrong in it before the training is given up
        how = attempts.at(lambda: read_using(using[0], scope))
        schedule = attempts.at(self._schedule)
        attempts.at(self._check_start)
        every, fresh = attempts.at(self._every), attempts.at(self._fresh)
        chosen, groups = (
            attempts.at(lambda: trained(tree.body, known, scope)),
            attempts.at(lambda: read_groups(tree.body, known, scope)),
        )
        if attempts.failed or how is None:
            raise HaltError
        optimiser, settings = how
        return CheckedTraining(
            tree.name,
            train.checked(),
            self.checked(),
            optimiser,
            schedule or (),
            settings,
            chosen or (),
            groups or (),
            every or (),
            self.start,
            fresh or (),
        )

    def _schedule(self) -> tuple[Call, ...]:
        steps = [step for step in self.tree.body if isinstance(step, s.Schedule)]
        return tuple(
            read_call(part, SCHEDULES, "schedule", self.scope)
            for step in steps
            for part in step.parts
        )

    def _every(self) -> tuple[tuple[int, str], ...]:
        return tuple(
            (step.count, read_every(step, self.scope))
            for step in self.tree.body
            if isinstance(step, s.Every)
        )

    def _fresh(self) -> tuple[str, ...]:
        return (
            tuple(matching(self.tree.fresh, self._params(), self.scope))
            if self.tree.fresh is not None
            else ()
        )

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

    def _params(self) -> dict[str, bool]:
        return {
            step.node.site or "": step.node.attrs.trained
            for step in self.study.scope.builder.steps
            if isinstance(step.node.attrs, ops.ParamAttrs)
        }
