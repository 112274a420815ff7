"""`experiment`: runs, measures, sweeps, plots and expectations become one program."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import sizes
from .. import syntax as s
from ..core import Axis, DType, Node
from ..diagnostics import Collector, Note, Slug, or_any, or_nearest
from ..program import CheckedStudy, Output, SweepInput, SweepOutput, SweepPlan
from .builtins import UNBUILT
from .sites import body_sites
from .study import Study
from .values import Formula, HaltError, Poison, Run, Table, Val, Value

if TYPE_CHECKING:
    from ..modules import Module
    from ..program import CheckedModel
    from ..sizes import Size
    from ..source import Span
    from .builder import Budget
    from .scope import Scope

PLOTS = ("heatmap", "line", "bars")
PLOT_OPTIONS = ("x", "y", "title")
COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


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
        self.data = study.use_data(tree.data)
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
            study.request(model)
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
                self._bind(step.name, self._sweep(step), step.span)
            case s.Assign():
                for target, value in zip(step.targets, step.values, strict=False):
                    if not isinstance(target, s.Name):
                        self.scope.fail(Slug.BAD_WRITE, "here a name is assigned", target.span)
                    found = self.scope.evaluate(value)
                    self._bind(target.id, found, target.span)
                    self._output("value", target.id, [found], value.span)
            case s.Show():
                for value in step.values:
                    self._output("show", value.span.text, [self.scope.evaluate(value)], value.span)
            case s.Expect():
                self._expect(step)
            case s.Plot():
                self._plot(step)
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
            run = self.study.laid(
                step.name, found.model, dict(found.inputs), (*earlier, *items), scope
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
        request = self.study.request(config)
        settled = {p.name for p in request.block.params if p.axes is None}
        values = {key: inputs.pop(key)[0] for key in settled & set(inputs)}
        request = replace(request, values={**request.values, **values})
        self._from_data(request.block, inputs, scope)
        _, items = split_weights(given, self.study)
        run = self.study.run(step.name, request, inputs, items, step.span, scope)
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

    # ---- sweeps

    def _sweep(self, step: s.Sweep) -> Val:
        inner = self.scope.inner(names={}, axes={})
        for place, over in enumerate(step.over):
            if over.name in [other.name for other in step.over[:place]]:
                self.scope.fail(
                    Slug.DUPLICATE_NAME, f"`{over.name}` is swept twice here", over.span
                )
        variables = [self._over(over, step, inner) for over in step.over]
        for part in step.body:
            if isinstance(part, s.Run):
                inner.names[part.name] = self._run(part, inner)
            elif isinstance(part, s.Assign):
                for target, value in zip(part.targets, part.values, strict=False):
                    if isinstance(target, s.Name):
                        inner.names[target.id] = inner.evaluate(value)
        node = inner.node(inner.evaluate(step.result), step.result.span)
        for axis, _ in variables:
            node = inner.spread(node, axis, step.span)
        node = inner.builder.swap(inner.builder.current(inner.builder.use(node)))
        self.study.sweeps.append(
            SweepPlan(step.name, tuple(axis.name for axis, _ in variables), node.name, step.span)
        )
        static = {axis.name: Axis(axis.name, count) for axis, count in variables}
        axes = tuple(static.get(axis.name, axis) for axis in node.axes)
        for over, (axis, count) in zip(step.over, variables, strict=True):
            self.scope.axes[over.name] = Axis(axis.name, count)
        return self.study.input(SweepOutput(step.name), axes, node.dtype, step.span)

    def _over(self, over: s.Over, step: s.Sweep, inner: Scope) -> tuple[Axis, Size]:
        """A swept variable: an input along an axis of its own, so that members can be chosen at
        run time."""
        values: tuple[float, ...] | None = None
        dtype = DType.INT
        match over.range:
            case s.Listing(items):
                numbers = [self.scope.constant(item, "a value to sweep over") for item in items]
                values = tuple(float(n) for n in numbers)
                dtype = DType.INT if all(isinstance(n, int) for n in numbers) else DType.FLOAT
                count: Size = len(values)
            case s.Range(low, high) if low is not None and high is not None:
                start, stop = self.scope.size_of(low), self.scope.size_of(high)
                if isinstance(start, int) and isinstance(stop, int):
                    values = tuple(float(v) for v in range(start, stop))
                    count = len(values)
                elif start == 0:
                    count = stop
                else:
                    self.scope.fail(
                        Slug.BAD_SIZE, "a range with a run-time end starts at 0", over.range.span
                    )
            case s.Name(name):
                count = self._extent(name, over)
            case _:
                self.scope.fail(
                    Slug.BAD_INDEX,
                    "a sweep is over turns, an axis, a range or a list",
                    over.range.span,
                    hint="over l in layer, p in t, g in [0, 0.5]",
                )
        if count == 0:
            self.scope.fail(Slug.BAD_SIZE, f"`{over.name}` has nothing to sweep over", over.span)
        graph = over.name
        while graph in self._model_axes():
            graph += "'"
        axis = Axis(graph, sizes.symbol(f"{step.name}_{over.name}"))
        source = SweepInput(step.name, graph, values, count)
        node = self.study.input(source, (axis,), dtype, over.span)
        if isinstance(count, int) and dtype is DType.INT:
            reach = values or (0, count - 1)
            self.study.ctx.swept[node.node.name] = (int(min(reach)), int(max(reach)))
        inner.names[over.name] = node
        inner.axes[over.name] = axis
        inner.frame.riding[graph] = axis
        return axis, count

    def _models(self) -> list[CheckedModel]:
        return [run.model for run in self.scope.names.values() if isinstance(run, Run)]

    def _model_axes(self) -> set[str]:
        return {
            axis.name
            for model in self._models()
            for step in model.body.steps
            for axis in step.node.axes
        }

    def _extent(self, name: str, over: s.Over) -> Size:
        """How many turns a loop has, or the size of an axis."""
        for model in self._models():
            turns = {
                int(found.group(1))
                for site, _ in body_sites(model.body)
                if (found := re.search(rf"(?:^|\.){re.escape(name)}\[(\d+)\]", site))
            }
            if turns:
                return len(turns)
        known = self.scope.axis(name)
        if known is not None and not name.endswith("'"):
            return known.size
        for model in self._models():
            for _, node in body_sites(model.body):
                for axis in node.axes:
                    if axis.name == name:
                        return axis.size
        near = or_nearest(name, self._model_axes())
        self.scope.fail(
            Slug.UNKNOWN_AXIS,
            f"`{name}` is neither a loop nor an axis of a run above",
            over.range.span,
            hint=near,
        )
        return None

    # ---- what is given out

    def _output(
        self,
        kind: str,
        label: str,
        values: list[Val],
        span: Span,
        op: str = "",
        options: tuple[tuple[str, str | float], ...] = (),
    ) -> None:
        nodes = []
        for value in values:
            if isinstance(value, Run | Formula | Table):
                self.scope.node(value, span)
            nodes.append(self.scope.node(value, span))
        self.study.outputs.append(
            Output(kind, label, tuple(n.name for n in nodes), span, op, options)
        )

    def _expect(self, step: s.Expect) -> None:
        expect(step, self.scope, self._output)

    def _plot(self, step: s.Plot) -> None:
        tree = step.value
        if (
            not isinstance(tree, s.Call)
            or not isinstance(tree.target, s.Name)
            or tree.target.id not in PLOTS
        ):
            self.scope.fail(
                Slug.UNKNOWN_NAME,
                "a plot is one of " + ", ".join(PLOTS),
                tree.span,
                hint="plot heatmap(effect, x = p, y = l)",
            )
        shown = [arg for arg in tree.args if arg.name is None]
        if len(shown) != 1:
            self.scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"a plot shows 1 value, and this has {len(shown)}",
                tree.span,
                hint="plot heatmap(effect)",
            )
        node = self.scope.node(self.scope.evaluate(shown[0].value), shown[0].span)
        options = {"kind": tree.target.id}
        for arg in tree.args:
            if arg.name is not None:
                options[arg.name] = self._plot_option(arg, node)
        label = options.get("title") or shown[0].span.text
        self._output("plot", label, [Value(node)], step.span, options=tuple(options.items()))

    def _plot_option(self, arg: s.Argument, node: Node) -> str:
        """Which axis goes where, or what stands above."""
        if arg.name not in PLOT_OPTIONS:
            self.scope.fail(
                Slug.UNKNOWN_OPTION,
                f"a plot has no option `{arg.name}`",
                arg.span,
                hint=or_any(arg.name or "", PLOT_OPTIONS),
            )
        if arg.name == "title":
            if not isinstance(arg.value, s.Text):
                self.scope.fail(
                    Slug.WRONG_DTYPE, "a title is a text", arg.span, hint='title = "..."'
                )
            return arg.value.value
        if not isinstance(arg.value, s.Name):
            self.scope.fail(Slug.NOT_AN_AXIS, f"`{arg.name}` is an axis of what is shown", arg.span)
        what = f"`{arg.name}` is the axis `{arg.value.id}`"
        return self.scope.axis_named(arg.value.id, node, arg.value.span, what)


def expect(step: s.Expect, scope: Scope, output: object) -> None:
    """The two sides of a comparison, so that both can be told; else one truth."""
    tree = step.condition
    sides = (
        [tree.left, tree.right] if isinstance(tree, s.Binary) and tree.op in COMPARISONS else [tree]
    )
    values = []
    for side in sides:
        value = scope.evaluate(side)
        node: Node = scope.node(value, side.span)
        if node.axes:
            scope.fail(
                Slug.AXIS_MISMATCH,
                f"an expectation is about one number, and this has {scope.say_axes(node)}",
                side.span,
                hint=f"mean[{', '.join(axis.name for axis in node.axes)}]({side.span.text})",
            )
        if len(sides) == 1 and node.dtype != "bool":
            scope.fail(
                Slug.WRONG_DTYPE,
                f"what is expected is a truth, and this is {node.dtype}",
                side.span,
                hint=f"expect {side.span.text} > 0",
            )
        values.append(value)
    op = tree.op if isinstance(tree, s.Binary) and len(sides) == 2 else ""
    output("expect", tree.span.text, values, step.span, op)  # type: ignore[operator]  # the caller's recorder


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


def split_weights(
    given: tuple[s.Given, ...], study: Study
) -> tuple[str | None, tuple[s.Given, ...]]:
    """What follows `with`: the weights by name, and the interventions."""
    weights: str | None = None
    rest: list[s.Given] = []
    for item in given:
        found = study.module.find(item.id) if isinstance(item, s.Name) else None
        if (
            found is not None
            and isinstance(found[0], s.Train | s.Weights)
            and isinstance(item, s.Name)
        ):
            if weights is not None:
                study.scope.fail(
                    Slug.UNBUILT, "two sets of weights in one study are not built yet", item.span
                )
            weights = item.id
        else:
            rest.append(item)
    return weights, tuple(rest)
