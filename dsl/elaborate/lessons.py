"""The body of a training as a program: its runs, its model under its writes, its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Note, Slug
from ..program import CheckedStudy
from .datasets import use_data
from .laying import laid, prepared
from .origins import model_tree
from .outputs import expect, output
from .phases import as_write, check_until
from .placing import placed
from .planned import Plan
from .requests import inputs_of, requested
from .structure import walk
from .study import Study
from .study_runs import Runs
from .values import HaltError, Poison, Table, Value
from .weights import parameters, split_weights, weights_label
from .writes import plan, written

if TYPE_CHECKING:
    from ..core import Node
    from ..diagnostics import Collector
    from ..modules import Module
    from ..source import Span
    from .builder import Budget
    from .models import ModelRequest
    from .scope import Scope
    from .values import Val


class Lessons:
    """One reading of the body: under some writes, with or without dropout and the like."""

    def __init__(
        self,
        tree: s.Train,
        writes: tuple[s.Write | s.During, ...],
        module: Module,
        collector: Collector,
        budget: Budget | None,
        *,
        training: bool,
    ) -> None:
        self.tree, self.training = tree, training
        self.study = Study(module, collector, budget, training=training)
        self.scope: Scope = self.study.scope
        halted = False
        try:
            self.data = use_data(self.study, tree.data)
        except HaltError:
            halted = True
        request = requested(self.study, *model_tree(tree.model, tree.start, self.study))
        if halted:
            raise HaltError
        weights, given = split_weights(tree.given, self.study)
        self.start = tree.start if tree.start is not None else weights
        self.puts = tuple(item for item in given if isinstance(item, s.Placed))
        given = tuple(item for item in given if not isinstance(item, s.Placed))
        self.loss = False
        self.updated: dict[str, Node] = {}
        self._lay(request, (*given, *writes))
        self.steps()

    # ---- the model and other runs

    def _lay(self, request: ModelRequest, given: tuple[s.Given, ...]) -> None:
        """Runs first, with the values that they read: writes to the model may speak of them."""
        model, nodes = prepared(
            self.study, request, self._inputs(request.block), self.tree.data.span, self.scope
        )
        self.placed = placed(self.study, self.puts, model, self.scope)
        weights_label(self.study, model, None, self.tree.span)  # what is trained comes first
        runs = Runs(self.study, self.tree.model, None, (), self.data, self.tree.start)
        self.early = _early(self.tree.body)
        for step in self.early:
            self.study.ctx.statement = step
            try:
                if isinstance(step, s.Run):
                    self._bind(step.name, runs.run(step, self.scope), step.span)
                    self._check_trained(step, set(parameters(model)))
                else:
                    self._step(step)
            except HaltError:
                self._poison(step)
        self.study.model = None
        self.study.updates.clear()  # states are those of the model that is trained
        self.run = laid(self.study, "", model, nodes, given, self.tree.span, self.scope)
        self.scope.frame.run = self.run

    def _inputs(self, block: s.Block) -> dict[str, tuple[Val, Span]]:
        """The inputs of the model, which are fields of the data."""
        table = self.scope.names.get(self.data.name) if self.data is not None else None
        span = self.tree.data.span
        inputs = inputs_of(self.tree.model, block, self.scope)
        for param in block.params:
            if param.axes is None or param.name in inputs or not isinstance(table, Table):
                continue
            if param.name in table.fields:
                inputs[param.name] = (Value(table.fields[param.name]), span)
            elif param.default is None:
                self.scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    f"`{block.name}` takes `{param.name}`, and `{table.name}` "
                    "has no field of that name",
                    span,
                    notes=[Note("it is declared", param.span)],
                    hint=f"train {self.tree.name} of {block.name}({param.name} = "
                    f"{table.name}.{next(iter(table.fields))}) on {table.name}",
                )
        return inputs

    def _check_trained(self, step: s.Run, trained: set[str]) -> None:
        """A run has the parameters that are trained, or weights of its own."""
        run = self.scope.names[step.name]
        label, own = run.weights, set(parameters(run.model))  # type: ignore[union-attr]  # a run
        if label not in self.study.beside and (label or own - trained):
            self.scope.names[step.name] = Poison()
            self.scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{step.name}` has parameters that are not trained here, and no weights",
                step.span,
                hint=f"run {step.name} = {step.value.span.text} with base",
            )

    # ---- values

    def steps(self) -> None:
        """Values and expectations; how it goes is read elsewhere."""
        phases = [step for step in self.tree.body if isinstance(step, s.Phase)]
        ends = [  # they speak of all values
            step
            for phase in phases
            for step in phase.body
            if isinstance(step, s.Until | s.UntilHolds)
        ]
        done = {id(step) for step in self.early}
        for step in (*self.tree.body, *ends):
            if id(step) in done:
                continue
            self.study.ctx.statement = step
            try:
                self._step(step)
            except HaltError:
                self._poison(step)

    def _step(self, step: s.Lesson) -> None:
        match step:
            case s.Assign(targets, values) if as_write(step) is None:
                for target, value in zip(targets, values, strict=False):
                    self._assign(target, value)
            case s.Expect() | s.UntilHolds():
                expect(self.study, step)
            case s.Until():
                check_until(step, self.scope)
            case s.Update(write):
                self._update(write)
            case s.Unbuilt(feature):
                self.scope.fail(Slug.UNBUILT, f"{feature} is not built yet", step.span)

    def _poison(self, step: s.Lesson) -> None:
        """What a step that went wrong would have named."""
        names = [step.name] if isinstance(step, s.Run) else []
        if isinstance(step, s.Assign):
            names = [target.id for target in step.targets if isinstance(target, s.Name)]
        for name in names:
            self.scope.names.setdefault(name, Poison())
            self.loss = self.loss or name == "loss"

    def _bind(self, name: str, value: Val, span: Span) -> None:
        if name in self.scope.spans:
            self.scope.fail(
                Slug.REASSIGNED,
                f"`{name}` already has a value",
                span,
                notes=[Note("it has its value from here", self.scope.spans[name])],
            )
        self.scope.names[name] = value
        self.scope.spans[name] = span

    def _assign(self, target: s.Expr, tree: s.Expr) -> None:
        if not isinstance(target, s.Name):
            self.scope.fail(
                Slug.BAD_WRITE,
                "a write stands on a line of its own",
                target.span,
                hint=f"{target.span.text} = {tree.span.text}",
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
        self._bind(target.id, value, target.span)
        if isinstance(value, Value) and not value.node.axes:
            output(self.study, "value", target.id, [value], target.span)

    def _update(self, write: s.Write) -> None:
        """A local rule: what a parameter becomes after each step, from what stood before it."""
        entries = Plan()
        plan(write, self.run.model, self.scope, entries)
        for address, planned in entries.writes.items():
            held = self.study.ctx.params.get(address)
            if held is None or not isinstance(held.attrs, ops.ParamAttrs):
                self.scope.fail(
                    Slug.BAD_WRITE,
                    f"`{address}` is no parameter; others are not kept from step to step",
                    write.site.span,
                )
            for one in planned:
                it = self.updated.get(address, held)
                self.updated[address] = written(one, it, address, self.run, self.scope)

    @property
    def fits(self) -> set[str]:
        """The parameters that interventions own: if there are any they alone are trained, unless
        `only` says others; nothing else then changes."""
        if any(isinstance(tree, s.Only) and not tree.frozen for tree in walk(self.tree.body)):
            return set()
        return {
            address
            for address, node in self.study.ctx.params.items()
            if address in self.run.owned and isinstance(node.attrs, ops.ParamAttrs)
        }

    # ---- the end

    def checked(self) -> CheckedStudy:
        """The program of this mode, the loss first among its outputs."""
        study = self.study
        study.outputs.sort(key=lambda out: (out.kind != "value", out.label != "loss"))
        states = () if self.fits else study.updates.items()
        updates = [*states, *self.updated.items()] if self.training else []
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
            beside=study.beside,
        )


def _early(body: tuple[s.Lesson, ...]) -> list[s.Lesson]:
    """The runs, and the values that they read, in their order."""
    found: list[s.Lesson] = [step for step in body if isinstance(step, s.Run)]
    words = {part.id for part in walk(tuple(found)) if isinstance(part, s.Name)}
    for step in reversed(body):
        if isinstance(step, s.Assign) and as_write(step) is None:
            named = {target.id for target in step.targets if isinstance(target, s.Name)}
            if named & words:
                found.append(step)
                words |= {part.id for part in walk(step.values) if isinstance(part, s.Name)}
    early = {id(step) for step in found}
    return [step for step in body if id(step) in early]
