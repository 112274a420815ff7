"""`scan step * 6:` in an experiment: steps that run one after another, each on what the ones before
it found.

The body is laid down once. What is carried, and the number of the step, are inputs of it; what its
names hold at all steps is an input of what follows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Note, Slug, or_nearest
from ..program import ScanInput, ScanOutput
from ..stages import ScanPlan
from .declarations import declare
from .sweeps import extent, sweep
from .values import HaltError, Known, Poison, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core import Axes, Node
    from ..source import Span
    from ..stages import Stage
    from .scope import Scope
    from .study import Study
    from .study_runs import Runs
    from .values import Val


def study_scan(study: Study, step: s.StudyScan, scope: Scope, runs: Runs) -> None:
    """A scan, and its names in the scope with the axis of the scan."""
    try:
        _Scan(study, step, scope, runs).close()
    except HaltError:
        for name in named(step):
            scope.names.setdefault(name, Poison())
        raise


def named(step: s.Tree) -> list[str]:
    """The names that a step of an experiment gives to something; of a scan, those that stand for
    something after it."""
    match step:
        case s.Assign(targets):
            return [target.id for target in targets if isinstance(target, s.Name)]
        case s.Run(name) | s.Measure(name) | s.Sweep(name) | s.Declare(_, name):
            return [name]
        case s.Carry(names):
            return [carried.name for carried in names]
        case s.StudyScan(body=body):
            kept = [part for part in body if not isinstance(part, s.Run | s.Carry)]
            return list(dict.fromkeys(name for part in kept for name in named(part)))
    return []


def study_axis(decl: s.AxisDecl, scope: Scope) -> Axis:
    """An axis of a value of an experiment: one that has a name here, or the turns of a loop; one
    that says its size is made."""
    if decl.size is not None:
        size = scope.axis_size(decl.size)
        known = scope.axis(decl.name)
        if known is not None and known.size != size:
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{decl.name}` has {scope.say_size(known.size, decl.name)} positions here",
                decl.span,
            )
        scope.axes[decl.name] = Axis(decl.name, size)
        return scope.axes[decl.name]
    size_ = extent(decl.name, scope)
    if size_ is None:
        hint = or_nearest(decl.name, scope.known_axes())
        message = f"`{decl.name}` is neither an axis of a value above nor a loop of a run"
        scope.fail(Slug.UNKNOWN_AXIS, message, decl.span, hint=hint)
    return Axis(decl.name, size_)


def draw(step: s.Declare, scope: Scope, path: str) -> None:
    """`draw noise[seed = 20] like effect ~ uniform(0, 1)`: by the seed and by its name below a
    path, the same numbers at each run."""
    for decl in step.axes or ():
        scope.axes[decl.name] = study_axis(decl, scope)
    declare(step, scope.inner(path=path, names=scope.names, spans=scope.spans, axes=scope.axes))


class _Scan:
    def __init__(self, study: Study, step: s.StudyScan, scope: Scope, runs: Runs) -> None:
        self.study, self.step, self.outer, self.runs = study, step, scope, runs
        self.axis = Axis(step.axis, scope.axis_size(step.count))
        known = scope.axis(step.axis)
        if known is not None and known.size != self.axis.size:
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{step.axis}` has {scope.say_size(known.size, step.axis)} positions here, and "
                f"{scope.say_size(self.axis.size, step.axis)} steps are asked for",
                step.count.span,
            )
        self.scope = scope.inner(names={}, axes={})
        number = study.input(ScanInput(step.axis, step.axis), (), DType.INT, step.span)
        if isinstance(self.axis.size, int):
            study.ctx.swept[number.node.name] = (0, self.axis.size - 1)
        self.scope.names[step.axis] = number
        self.begin: dict[str, Node] = {}  # what is carried, in front of the first step
        self.carried: dict[str, Node] = {}  # and as a step begins

    def close(self) -> None:
        """Lay the body down, and hand on what it found."""
        with self._stages() as stages:
            self._body()
        carries = tuple(
            (self.carried[name].name, self.begin[name].name, self._end(name).name)
            for name in self.carried
        )
        made = {name: self._node(name) for name in named(self.step)}
        if not made:
            self.outer.fail(
                Slug.NOT_A_VALUE,
                "this scan gives nothing: no value has a name in it",
                self.step.span,
                hint="found = mean[b](cut.loss)",
            )
        pairs = tuple((name, node.name) for name, node in made.items())
        self.study.stages.append(
            ScanPlan(self.step.axis, self.axis.size, carries, pairs, tuple(stages), self.step.span)
        )
        for name, node in made.items():
            source = ScanOutput(self.step.axis, name)
            axes = (self.axis, *node.axes)
            span = self.scope.spans[name]
            self.outer.names[name] = self.study.input(source, axes, node.dtype, span)
            self.outer.spans[name] = span
        for name, axis in self.scope.axes.items():
            self.outer.axes.setdefault(name, axis)
        self.outer.axes[self.step.axis] = self.axis

    @contextmanager
    def _stages(self) -> Iterator[list[Stage]]:
        """While this lasts, stages are those of a step."""
        outer, self.study.stages = self.study.stages, []
        try:
            yield self.study.stages
        finally:
            self.study.stages = outer

    def _body(self) -> None:
        """All steps of the body; one that is wrong is reported, and the others are tried too."""
        errors = self.study.collector.errors
        begun: s.Tree | None = None
        for part in self.step.body:
            self.study.ctx.statement = part
            if isinstance(part, s.Carry) and begun is not None:
                self.scope.fail(
                    Slug.MISPLACED,
                    "a `carry` stands at the head of its `scan`",
                    part.span,
                    notes=[Note("this stands in front of it", begun.span)],
                )
            if not isinstance(part, s.Carry | s.Doc):
                begun = begun or part
            try:
                self._part(part)
            except HaltError:
                if self.study.ctx.budget.is_spent:
                    raise
                for name in named(part):
                    self.scope.names.setdefault(name, Poison())
        if self.study.collector.errors > errors:
            raise HaltError

    def _part(self, part: s.Tree) -> None:
        match part:
            case s.Carry(names, value):
                for carried in names:
                    self._carry(carried, value)
            case s.Run():
                self.scope.names[part.name] = self.runs.run(part, self.scope)
            case s.Sweep():
                found = sweep(self.study, part, self.runs.run, self.scope)
                self._bind(part.name, found, part.span)
            case s.StudyScan():
                study_scan(self.study, part, self.scope, self.runs)
            case s.Assign(targets, values):
                for target, tree in zip(targets, values, strict=False):
                    if not isinstance(target, s.Name):
                        self.scope.fail(Slug.BAD_WRITE, "here a name is assigned", target.span)
                    self._bind(target.id, self.scope.evaluate(tree), target.span)

    def _carry(self, carried: s.Carried, tree: s.Expr) -> None:
        """A carry, with the axes that are written and those of what it begins with."""
        outer, name = self.outer, carried.name
        if self.scope.lookup(name) is not None:
            outer.fail(Slug.REASSIGNED, f"`{name}` already has a value", carried.span)
        begin = outer.node(outer.evaluate(tree), tree.span)
        for decl in carried.axes or ():
            begin = outer.spread(begin, study_axis(decl, self.scope), decl.span)
        source = ScanInput(self.step.axis, name)
        value = self.study.input(source, begin.axes, begin.dtype, carried.span)
        self.begin[name], self.carried[name] = begin, value.node
        self.scope.names[name] = self.scope.carried[name] = value

    def _bind(self, name: str, value: Val, span: Span) -> None:
        known = self.scope.lookup(name)
        is_carry = name in self.carried and name not in self.scope.spans
        if known is not None and not isinstance(known, Poison) and not is_carry:
            at = self.scope.assigned_at(name)
            notes = [Note("it has its value from here", at)] if at is not None else []
            self.scope.fail(Slug.REASSIGNED, f"`{name}` already has a value", span, notes=notes)
        if isinstance(value, Value | Known):
            self.scope.node(value, span)  # a text is said to be none here
        self.scope.names[name] = value
        self.scope.spans[name] = span

    def _node(self, name: str) -> Node:
        """What a name holds at a step."""
        node = self.scope.node(self.scope.names[name], self.scope.spans[name])
        if self.axis.name in node.axis_names:
            self.scope.fail(
                Slug.AXIS_MISMATCH,
                f"`{name}` has the axis `{self.axis.name}`, along which the scan runs",
                self.scope.spans[name],
                hint=f"at this step: `[{self.axis.name} = {self.axis.name}]`",
            )
        return node

    def _end(self, name: str) -> Node:
        """What is carried on: of the kind of what it began with."""
        begin, scope = self.begin[name], self.scope
        if name not in scope.spans:
            scope.fail(
                Slug.CARRY_ORDER,
                f"the carry `{name}` is never assigned in the scan",
                self.carried[name].span,
                hint=f"{name} = ...",
            )
        node, span = self._node(name), scope.spans[name]
        extra = [axis for axis in node.axes if axis.name not in begin.axis_names]
        if extra:
            said = ", ".join(axis.name for axis in (*begin.axes, *extra))
            hint = f"carry {name}[{said}] = .."
            if any(extent(axis.name, self.outer) is None for axis in extra):
                hint = f"along an axis of the carry: `{name} = ..[{extra[0].name} -> ..]`"
            scope.fail(
                Slug.AXIS_MISMATCH,
                f"the carry `{name}` begins with {scope.say_axes(begin)}, and then has "
                f"`{extra[0].name}` too",
                span,
                notes=[Note("it begins here", self.carried[name].span)],
                hint=hint,
            )
        order = (DType.BOOL, DType.INT, DType.FLOAT)
        if order.index(node.dtype) > order.index(begin.dtype):
            scope.fail(
                Slug.WRONG_DTYPE,
                f"the carry `{name}` begins as {begin.dtype}, and then is {node.dtype}",
                span,
                notes=[Note("it begins here", self.carried[name].span)],
                hint=f"carry {name} = 0.0" if node.dtype is DType.FLOAT else f"carry {name} = 0",
            )
        if node.dtype is not begin.dtype:
            node = scope.map(str(begin.dtype), [node], span)
        return self._like(node, begin.axes, span)

    def _like(self, node: Node, axes: Axes, span: Span) -> Node:
        for axis in axes:
            if axis.name in node.axis_names and node.size(axis.name) != axis.size:
                sizes = [
                    self.scope.say_size(n, axis.name) for n in (axis.size, node.size(axis.name))
                ]
                self.scope.fail(
                    Slug.SIZE_MISMATCH,
                    f"a carry has {sizes[0]} positions of `{axis.name}` as it begins, and then "
                    f"{sizes[1]}",
                    span,
                )
            node = self.scope.spread(node, axis, span)
        return node
