"""What a run that decodes is handed: its model with what follows `with`, a program of its own, and
the values of the study that this reads.

In a sweep a value may be another for each member. Where nothing in the model brings examples
together, members are further examples: such a value is an input along their axis.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Collector, Slug
from ..program import POSITION, ArgumentInput, StatisticsInput, SweepInput
from .datasets import spoken
from .during import bind_last
from .given import intervene
from .planned import Plan
from .structure import walk
from .study import Study
from .under import inputs_again, under_plan
from .values import HaltError, Run, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core import Axis, Body, Node
    from ..program import CheckedModel
    from .scope import Scope


@dataclass(frozen=True, slots=True)
class Handed:
    """A model under interventions: `given` are the numbers of its further inputs, `values` the
    nodes of the study that others hold. With `rows`, members of a sweep are examples."""

    model: CheckedModel
    given: Mapping[str, float | None]
    values: Mapping[str, str]
    rows: bool


def members_of(study: Study, scope: Scope) -> list[Node]:
    """The swept variables of the sweep that a scope is of, in their order."""
    return [
        value.node
        for value in (scope.names.values() if scope is not study.scope else ())
        if isinstance(value, Value) and isinstance(study.sources.get(value.node.name), SweepInput)
    ]


def handed(
    study: Study,
    model: CheckedModel,
    given: tuple[s.Given, ...],
    scope: Scope,
    batch: Axis | None,
    steps: int,
) -> Handed:
    """The model with what follows `with`; `batch` is the axis of its examples, and `steps` says how
    many tokens are decoded."""
    members = {axis.name for node in members_of(study, scope) for axis in node.axes}
    if not given:
        return Handed(model, {}, {}, batch is not None and _is_apart(model.body, batch.name))
    found = _Reading(study, study.collector, model, scope, batch, members, steps, rows=False).all(
        given
    )
    if members and batch is not None:
        aside = Collector()
        try:
            tried = _Reading(study, aside, model, scope, batch, members, steps, rows=True).all(
                given
            )
        except HaltError:
            return found
        if not aside.errors and _is_apart(tried.model.body, batch.name):
            return tried
    return found


class _Reading:
    def __init__(
        self,
        study: Study,
        collector: Collector,
        model: CheckedModel,
        scope: Scope,
        batch: Axis | None,
        members: set[str],
        steps: int,
        *,
        rows: bool,
    ) -> None:
        self.study, self.model, self.outer = study, model, scope
        self.batch, self.members, self.rows = batch, members, rows
        self.inner = Study(study.module, collector, study.ctx.budget)
        self.inner.ctx.steps = steps
        bind_last(self.inner, model)
        self.values: dict[str, str] = {}

    def all(self, given: tuple[s.Given, ...]) -> Handed:
        """The model with all that is given to it."""
        inputs = inputs_again(self.model, self.inner)
        plan = Plan()
        self._take_positions(given)
        for item in given:
            if isinstance(item, s.Placed):
                feature = f"`{item.span.text}` in a run that decodes"
                self.inner.scope.fail(Slug.UNBUILT, f"{feature} is not built yet", item.span)
            intervene(self.inner, self._read(item), self.model, plan, self.inner.scope)
        changed, held = under_plan(self.model, inputs, plan, self.inner)
        nodes = {step.node.name: step.node for step in self.inner.scope.builder.steps}
        for name, source in self.inner.sources.items():
            if isinstance(source, StatisticsInput):
                node = nodes[name]
                found = self.study.input(source, node.axes, node.dtype, node.span)
                self.values[node.site or name] = found.node.name
        numbers = {name: value for name, value in held.items() if name not in self.values}
        return Handed(changed, numbers, self.values, self.rows)

    def _take_positions(self, given: tuple[s.Given, ...]) -> None:
        """The position fields of the data that are written at are inputs."""
        known = self.outer.frame.positions
        for tree in spoken(given, self.study.module):
            if isinstance(tree, s.At) and tree.id in known:
                value = Value(known[tree.id])
                own = self._input(POSITION + tree.id, value, s.Name(tree.id, span=tree.span))
                self.inner.scope.frame.positions[tree.id] = own.node

    def _read(self, item: s.Given) -> s.Given:
        """The same, where values of the study have names that it knows."""
        if isinstance(item, s.Call):
            return replace(item, args=tuple(map(self._argument, item.args)))
        for part in walk(item.value if isinstance(item, s.Write) else ()):
            if isinstance(part, s.Name):
                self._know(part)
        for part in walk(item.site if isinstance(item, s.Write) else ()):
            if isinstance(part, s.Index):
                for name in walk(part.items):
                    if isinstance(name, s.Name):
                        self._know(name)
        return item

    def _know(self, name: s.Name) -> None:
        """A name of the study inside of the model."""
        found = self.outer.lookup(name.id)
        if isinstance(found, Value):
            self.inner.scope.names[name.id] = self._input(name.id, found, name)
        elif isinstance(found, Run):
            self.inner.scope.fail(
                Slug.NOT_A_VALUE,
                f"a run that decodes gets values, and `{name.id}` is a run",
                name.span,
                hint=f"v = mean[b, t]({name.id}.layer[0].x), above it",
            )

    def _argument(self, arg: s.Argument) -> s.Argument:
        """What an intervention is given, worked out in the study."""
        names = [part.id for part in walk(arg.value) if isinstance(part, s.Name)]
        known = [self.outer.lookup(name) for name in names]
        if not any(isinstance(value, Value | Run) for value in known):
            return arg
        value = self.outer.evaluate(arg.value)
        if not isinstance(value, Value):
            return arg
        own = s.Name(f"given {len(self.values)}", span=arg.value.span)  # no spec can say it
        self.inner.scope.names[own.id] = self._input(f"given.{len(self.values)}", value, own)
        return replace(arg, value=own)

    def _input(self, name: str, value: Value, at: s.Name) -> Value:
        """An input of the model that holds a value of the study."""
        node = self.study.scope.builder.use(value.node)
        if self.model.time in node.axis_names:
            self.inner.scope.fail(
                Slug.AXIS_MISMATCH,
                f"what is given to a run that decodes has no `{self.model.time}`: its positions "
                "are made one after another",
                at.span,
                hint=f"mean[{self.model.time}]({at.span.text})",
            )
        along = self.batch is not None and (
            self.batch.name in node.axis_names
            or (self.rows and bool(node.axis_names & self.members))
        )
        axes = [axis for axis in node.axes if axis.name not in self.members]
        if along and self.batch is not None:
            axes = [self.batch, *(axis for axis in axes if axis.name != self.batch.name)]
        found = self.inner.input(ArgumentInput(name, None), tuple(axes), node.dtype, at.span)
        self.values[found.node.site or name] = node.name
        reach = self.study.ctx.swept.get(node.name)
        if reach is not None:
            self.inner.ctx.swept[found.node.name] = reach
        return found


def _is_apart(body: Body, batch: str) -> bool:
    """Whether no operation brings examples together, or asks which one it is at."""
    for step in body.steps:
        node = step.node
        if node.op in (ops.INPUT, ops.PARAM):
            continue
        if node.op in (ops.STATE, ops.RANDOM):
            return False
        if isinstance(node.attrs, ops.ScanAttrs):
            if node.attrs.axis.name == batch or not _is_apart(node.attrs.body, batch):
                return False
        elif not isinstance(node.attrs, ops.ItemAttrs) and _speaks(node.attrs, batch):
            return False
    return True


def _speaks(attrs: object, batch: str) -> bool:
    """Whether an attribute of an operation names an axis."""
    if isinstance(attrs, str):
        return attrs == batch
    if isinstance(attrs, tuple | list | frozenset | set):
        return any(_speaks(part, batch) for part in attrs)
    if is_dataclass(attrs):
        return any(_speaks(getattr(attrs, part.name), batch) for part in fields(attrs))
    return False
