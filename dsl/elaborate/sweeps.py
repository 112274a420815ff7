"""`sweep`: an axis for each variable, so that all members are one program."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from .. import sizes
from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Slug, or_nearest
from ..program import SweepInput, SweepOutput
from ..stages import SweepPlan
from .saved import Saved
from .settled import choices, numbers
from .sites import body_sites, loop_axis
from .substitution import substituted
from .values import NeedsValueError, Run, Val

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..core import Node
    from ..program import CheckedModel
    from ..sizes import Size
    from .scope import Scope
    from .settled import Choice
    from .study import Study


def sweep(study: Study, step: s.Sweep, run: Callable[[s.Run, Scope], Run], scope: Scope) -> Val:
    """A sweep: its variables as axes, its body once, and what it gives as an input of what
    follows in the scope. `run` makes the runs in it. Variables that turn out to be needed as
    numbers are settled, and it is read again."""
    for place, over in enumerate(step.over):
        if over.name in [other.name for other in step.over[:place]]:
            scope.fail(Slug.DUPLICATE_NAME, f"`{over.name}` is swept twice here", over.span)
    needed: frozenset[str] = frozenset()
    while True:
        saved = Saved(study, scope)
        try:
            return _Sweep(study, step, run, scope, needed).made()
        except NeedsValueError as found:
            saved.back()
            needed |= found.axes


class _Sweep:
    """A sweep while it is read; of the axes `needed`, each value is a case of its own."""

    def __init__(
        self,
        study: Study,
        step: s.Sweep,
        run: Callable[[s.Run, Scope], Run],
        scope: Scope,
        needed: frozenset[str],
    ) -> None:
        self.study, self.step, self.run, self.scope = study, step, run, scope
        self.needed = needed
        self.inner = scope.inner(names={}, axes={})
        self.axes: list[Axis] = []  # of the result, with the sizes that they have
        self.open: list[Axis] = []  # those along which members are together
        self.settled: dict[str, tuple[Choice, ...]] = {}

    def made(self) -> Val:
        """What it gives."""
        step, scope, ctx = self.step, self.scope, self.study.ctx
        names = [self._over(over) for over in step.over]
        try:
            ctx.sweeping = {axis.name for axis in self.open}
            cases = [
                self._case({over: one[1] for over, one in zip(self.settled, chosen, strict=True)})
                for chosen in product(*self.settled.values())
            ]
        finally:
            ctx.sweeping = set()
        self._check_alike(cases)
        own = tuple(axis.name for axis in self.open)
        plans = tuple(SweepPlan(step.name, own, node.name, step.span) for node in cases)
        labels = {
            axis: tuple(label for label, _ in self.settled[over.name])
            for axis, over in zip(names, step.over, strict=True)
            if over.name in self.settled
        }
        plan = SweepPlan(step.name, tuple(names), "", step.span, labels, plans)
        self.study.stages.append(plan if self.settled else plans[0])
        for axis in self.axes:
            scope.axes[axis.name] = axis
        static = {axis.name: axis for axis in self.axes}
        rest = tuple(static.get(axis.name, axis) for axis in cases[0].axes)
        axes = (*(static[name] for name in labels), *rest)
        return self.study.input(SweepOutput(step.name), axes, cases[0].dtype, step.span)

    def _case(self, values: Mapping[str, s.Expr]) -> Node:
        """The result, where settled variables stand for these."""
        step, inner = self.step, self.inner.inner(names=dict(self.inner.names), axes={})
        for part in substituted(step.body, values):
            if isinstance(part, s.Run) and not step.runs_again:
                self.scope.fail(
                    Slug.MISPLACED,
                    "an attribution is read off runs that stand above it",
                    part.span,
                    hint=f"sweep {step.name} over ...",
                )
            if isinstance(part, s.Run):
                inner.names[part.name] = self.run(part, inner)
            elif isinstance(part, s.Assign):
                for target, value in zip(part.targets, part.values, strict=False):
                    if isinstance(target, s.Name):
                        inner.names[target.id] = inner.evaluate(value)
        result = substituted(step.result, values)
        node = inner.node(inner.evaluate(result), result.span)
        for axis in self.open:
            node = inner.spread(node, axis, step.span)
        return inner.builder.swap(inner.builder.current(inner.builder.use(node)))

    def _check_alike(self, cases: Sequence[Node]) -> None:
        """What all cases give stands side by side."""
        kinds = list(dict.fromkeys(map(_kind, cases)))
        if len(kinds) > 1:
            over = ", ".join(f"`{name}`" for name in self.settled)
            shown = " and ".join(f"`{kind}`" for kind in kinds[:2])
            self.scope.fail(
                Slug.AXIS_MISMATCH,
                f"what is given differs with {over}: {shown}",
                self.step.result.span,
            )

    def _over(self, over: s.Over) -> str:
        """A swept variable: the name of its axis. One that is not settled is an input along it, so
        that members can be chosen at run time."""
        study, scope, inner = self.study, self.scope, self.inner
        graph = over.name
        while graph in _model_axes(scope):
            graph += "'"
        named = choices(study, over, scope)
        if named is not None:
            self.settled[over.name] = named
            self.axes.append(Axis(graph, len(named)))
            return graph
        values, count, dtype = _values(over, scope)
        self.axes.append(Axis(graph, count))
        if graph in self.needed:
            self.settled[over.name] = numbers(values, count, over, scope)
            return graph
        axis = Axis(graph, sizes.symbol(f"{self.step.name}_{over.name}"))
        source = SweepInput(self.step.name, graph, values, count)
        node = study.input(source, (axis,), dtype, over.span)
        if isinstance(count, int) and dtype is DType.INT:
            reach = values or (0, count - 1)
            study.ctx.swept[node.node.name] = (int(min(reach)), int(max(reach)))
        inner.names[over.name] = node
        inner.axes[graph] = axis  # the model's own axis of the name keeps it
        inner.frame.riding[graph] = axis
        study.ctx.members.add(graph)
        self.open.append(axis)
        return graph


def _kind(node: Node) -> str:
    """The dtype and axes of a value, as they are said."""
    axes = sorted((axis.name, sizes.show(axis.size)) for axis in node.axes)
    return f"{node.dtype}[{', '.join(f'{name} = {size}' for name, size in axes)}]"


def _values(over: s.Over, scope: Scope) -> tuple[tuple[float, ...] | None, Size, DType]:
    """The numbers that a variable stands for, None if they are the positions of an axis; how many
    they are, and of what kind."""
    values: tuple[float, ...] | None = None
    dtype = DType.INT
    match over.range:
        case s.Listing(items):
            found = [scope.constant(item, "a value to sweep over") for item in items]
            values = tuple(float(n) for n in found)
            dtype = DType.INT if all(isinstance(n, int) for n in found) else DType.FLOAT
            count: Size = len(values)
        case s.Range(low, high) if low is not None and high is not None:
            start, stop = scope.size_of(low), scope.size_of(high)
            if isinstance(start, int) and isinstance(stop, int):
                values = tuple(float(v) for v in range(start, stop))
                count = len(values)
            elif start == 0:
                count = stop
            else:
                scope.fail(
                    Slug.BAD_SIZE, "a range with a run-time end starts at 0", over.range.span
                )
        case s.Name(name):
            count = _extent(name, over, scope)
        case _:
            scope.fail(
                Slug.BAD_INDEX,
                "a sweep is over turns, an axis, a range or a list",
                over.range.span,
                hint="over l in layer, p in t, g in [0, 0.5]",
            )
    if count == 0:
        scope.fail(Slug.BAD_SIZE, f"`{over.name}` has nothing to sweep over", over.span)
    return values, count, dtype


def extent(name: str, scope: Scope) -> Size | None:
    """How many turns a loop has, or the size of an axis; None if there is no such thing."""
    for model in _models(scope):
        turns = loop_axis(name, model)
        if turns is not None:
            return turns.size
    known = scope.axis(name)
    if known is not None and not name.endswith("'"):
        return known.size
    for model in _models(scope):
        for _, node in body_sites(model.body):
            for axis in node.axes:
                if axis.name == name:
                    return axis.size
    return None


def _extent(name: str, over: s.Over, scope: Scope) -> Size:
    found = extent(name, scope)
    if found is None and not _models(scope):
        scope.fail(
            Slug.MISPLACED,
            f"`{name}` is a loop or an axis of a run, and no run stands above",
            over.range.span,
            hint="run clean = MODEL",
        )
    if found is None:
        near = or_nearest(name, _model_axes(scope))
        scope.fail(
            Slug.UNKNOWN_AXIS,
            f"`{name}` is neither a loop nor an axis of a run above",
            over.range.span,
            hint=near,
        )
    return found


def _models(scope: Scope | None) -> list[CheckedModel]:
    """Those of the runs that have a name here."""
    found: list[CheckedModel] = []
    while scope is not None:
        found += [run.model for run in scope.names.values() if isinstance(run, Run)]
        scope = scope.parent
    return found


def _model_axes(scope: Scope) -> set[str]:
    return {
        axis.name
        for model in _models(scope)
        for step in model.body.steps
        for axis in step.node.axes
    }
