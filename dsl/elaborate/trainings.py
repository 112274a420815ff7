"""`train`: the losses of a model on data, in both modes, and how the training goes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from .. import ops
from .. import syntax as s
from ..diagnostics import Collector, Note, Slug, or_any, or_nearest
from ..program import Call, CheckedStudy, CheckedTraining, Output
from .experiments import expect, split_weights
from .sites import matches, pattern, unknown_site
from .study import Study
from .values import HaltError, Poison, Table, Val, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..modules import Module
    from ..source import Span
    from .builder import Budget
    from .scope import Scope

T = TypeVar("T")

OPTIMISERS: dict[str, tuple[str, ...]] = {
    "sgd": ("lr", "momentum", "weight_decay", "dampening", "nesterov"),
    "adam": ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"),
    "adamw": ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"),
    "nadam": ("lr", "beta1", "beta2", "eps", "weight_decay", "momentum_decay"),
    "radam": ("lr", "beta1", "beta2", "eps", "weight_decay"),
    "adamax": ("lr", "beta1", "beta2", "eps", "weight_decay"),
    "adagrad": ("lr", "lr_decay", "weight_decay", "eps"),
    "adadelta": ("lr", "rho", "eps", "weight_decay"),
    "rmsprop": ("lr", "alpha", "eps", "weight_decay", "momentum", "centered"),
    "rprop": ("lr", "etas"),
    "asgd": ("lr", "lambd", "alpha", "t0", "weight_decay"),
    "lbfgs": ("lr", "max_iter", "history_size"),
}
GROUP_OPTIONS = frozenset(name for options in OPTIMISERS.values() for name in options)
SCHEDULES: dict[str, tuple[str, ...]] = {
    "warmup": ("steps",),
    "constant": ("steps",),
    "linear": ("to", "steps"),
    "cosine": ("to", "steps"),
    "exponential": ("rate", "steps"),
    "step": ("every", "rate"),
}
SETTINGS = {"batch": 32.0, "steps": 0.0, "epochs": 0.0, "clip": 0.0, "seed": 0.0}
ACTIONS = ("evaluate", "snapshot")


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
            self.data = self.study.use_data(tree.data)
        except HaltError:
            halted = True
        request = self.study.request(tree.model)
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
        self.run = self.study.run("", request, inputs, (*given, *writes), tree.span, self.scope)
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
                        expect(step, self.scope, self._output)
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
            self._output("value", target.id, [value], target.span)

    def _unbuilt_runs(self) -> bool:
        """Whether the training makes runs: what reads them is then not looked at."""
        runs = [step for step in self.tree.body if isinstance(step, s.Run)]
        for step in runs:
            self.study.collector.report(
                Slug.UNBUILT, "`run` inside a training is not built yet", step.span
            )
        return bool(runs)

    def _output(self, kind: str, label: str, values: list[Val], span: Span, op: str = "") -> None:
        nodes = tuple(self.scope.node(value, span).name for value in values)
        self.study.outputs.append(Output(kind, label, nodes, span, op))

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
        attempts = _Attempts()  # each says what is wrong in it before the training is given up
        how = attempts.at(lambda: self._using(using[0]))
        schedule = attempts.at(self._schedule)
        attempts.at(self._check_start)
        every, fresh = attempts.at(self._every), attempts.at(self._fresh)
        trained, groups = attempts.at(self._trained), attempts.at(self._groups)
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
            trained or (),
            groups or (),
            every or (),
            self.start,
            fresh or (),
        )

    def _schedule(self) -> tuple[Call, ...]:
        steps = [step for step in self.tree.body if isinstance(step, s.Schedule)]
        return tuple(
            self._call(part, SCHEDULES, "schedule") for step in steps for part in step.parts
        )

    def _every(self) -> tuple[tuple[int, str], ...]:
        return tuple(
            (step.count, self._action(step)) for step in self.tree.body if isinstance(step, s.Every)
        )

    def _fresh(self) -> tuple[str, ...]:
        return tuple(self._matching(self.tree.fresh)) if self.tree.fresh is not None else ()

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

    def _using(self, step: s.Using) -> tuple[Call, Mapping[str, float]]:
        optimiser: Call | None = None
        settings = dict(SETTINGS)
        for part in step.settings:
            if isinstance(part, s.Setting):
                if part.name not in SETTINGS:
                    self.scope.fail(
                        Slug.UNKNOWN_OPTION,
                        f"a training has no setting `{part.name}`",
                        part.span,
                        hint=or_any(part.name, SETTINGS),
                    )
                read = self.scope.finite if part.name == "clip" else self.scope.whole
                settings[part.name] = float(read(part.value, f"`{part.name}`"))
                if settings[part.name] < 0 or (part.name == "batch" and settings[part.name] < 1):
                    self.scope.fail(
                        Slug.BAD_SIZE,
                        f"`{part.name}` cannot be {part.value.span.text}",
                        part.span,
                        hint=f"{part.name} {SETTINGS[part.name]:.0f}"
                        if SETTINGS[part.name]
                        else None,
                    )
            else:
                optimiser = self._call(part, OPTIMISERS, "optimiser")
        if optimiser is None:
            self.scope.fail(
                Slug.WRONG_ARGUMENTS,
                "no optimiser is named",
                step.span,
                hint="using adamw(lr = 3e-4), batch 32, steps 2000",
            )
        if not settings["steps"] and not settings["epochs"]:
            self.scope.fail(
                Slug.WRONG_ARGUMENTS, "how long it trains is not said", step.span, hint="steps 2000"
            )
        return optimiser, settings

    def _call(self, tree: s.Expr, table: Mapping[str, tuple[str, ...]], what: str) -> Call:
        args = tree.args if isinstance(tree, s.Call) else ()
        target = tree.target if isinstance(tree, s.Call) else tree
        if not isinstance(target, s.Name) or target.id not in table:
            name = target.id if isinstance(target, s.Name) else tree.span.text
            self.scope.fail(
                Slug.UNKNOWN_NAME,
                f"no {what} is called `{name}`",
                target.span,
                hint=or_any(name, table),
            )
        numbers, options = [], []
        for arg in args:
            number = self.scope.finite(arg.value, f"what the {what} is given")
            if arg.name is None:
                numbers.append(number)
            elif arg.name in table[target.id]:
                options.append((arg.name, number))
            else:
                self.scope.fail(
                    Slug.UNKNOWN_OPTION,
                    f"`{target.id}` has no option `{arg.name}`",
                    arg.span,
                    hint=or_any(arg.name, table[target.id]),
                )
        return Call(target.id, tuple(numbers), tuple(options))

    def _action(self, step: s.Every) -> str:
        if step.action not in ACTIONS or step.unit not in ("steps", "step"):
            self.scope.fail(
                Slug.UNKNOWN_OPTION,
                "what a training does now and then is to `evaluate` or to take a `snapshot`",
                step.span,
                hint="every 100 steps: evaluate",
            )
        if step.count < 1:
            self.scope.fail(
                Slug.BAD_SIZE,
                f"every {step.count} steps is never",
                step.span,
                hint="every 100 steps: evaluate",
            )
        return step.action

    def _params(self) -> dict[str, bool]:
        return {
            step.node.site or "": step.node.attrs.trained
            for step in self.study.scope.builder.steps
            if isinstance(step.node.attrs, ops.ParamAttrs)
        }

    def _matching(self, tree: s.Expr) -> list[str]:
        """Parameters that a pattern is about: those at the address and below it."""
        known = self._params()
        path = pattern(tree, self.scope)
        hits = [address for address, _ in matches(path, known, {})]
        prefix = path.regex().pattern
        below = re.compile(prefix + r"\..+")
        hits += [address for address in known if below.fullmatch(address) and address not in hits]
        if not hits:
            parts = [address.split(".") for address in known]
            above = {".".join(p[:n]): None for p in parts for n in range(1, len(p) + 1)}
            unknown_site(path, above, tree, self.scope)
        return [address for address in known if address in hits]

    def _trained(self) -> tuple[str, ...]:
        chosen = {address for address, trained in self._params().items() if trained}
        for step in self.tree.body:
            if isinstance(step, s.Only):
                hits = {address for item in step.patterns for address in self._matching(item)}
                chosen = chosen - hits if step.frozen else chosen & hits
        return tuple(address for address in self._params() if address in chosen)

    def _groups(self) -> tuple[tuple[tuple[str, ...], tuple[tuple[str, float], ...]], ...]:
        groups = []
        for step in self.tree.body:
            if isinstance(step, s.OptimiserGroup):
                for name, value in step.settings:
                    if name not in GROUP_OPTIONS:
                        self.scope.fail(
                            Slug.UNKNOWN_OPTION,
                            f"no optimiser has an option `{name}`",
                            value.span,
                            hint=or_nearest(name, GROUP_OPTIONS),
                        )
                settings = tuple(
                    (name, self.scope.finite(value, f"`{name}`")) for name, value in step.settings
                )
                groups.append((tuple(self._matching(step.pattern)), settings))
        return tuple(groups)
