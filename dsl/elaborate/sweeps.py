"""`sweep`: an axis for each variable, so that all members are one program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import sizes
from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Slug, or_nearest
from ..program import SweepInput, SweepOutput
from ..stages import SweepPlan
from .sites import body_sites, loop_axis
from .values import Run, Val

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..program import CheckedModel
    from ..sizes import Size
    from .scope import Scope
    from .study import Study


def sweep(study: Study, step: s.Sweep, run: Callable[[s.Run, Scope], Run], scope: Scope) -> Val:
    """A sweep: its variables as axes, its body once, and what it gives as an input of what
    follows in the scope. `run` makes the runs in it."""
    inner = scope.inner(names={}, axes={})
    for place, over in enumerate(step.over):
        if over.name in [other.name for other in step.over[:place]]:
            scope.fail(Slug.DUPLICATE_NAME, f"`{over.name}` is swept twice here", over.span)
    variables = [_over(study, over, step, inner, scope) for over in step.over]
    for part in step.body:
        if isinstance(part, s.Run) and not step.runs_again:
            scope.fail(
                Slug.MISPLACED,
                "an attribution is read off runs that stand above it",
                part.span,
                hint=f"sweep {step.name} over ...",
            )
        if isinstance(part, s.Run):
            inner.names[part.name] = run(part, inner)
        elif isinstance(part, s.Assign):
            for target, value in zip(part.targets, part.values, strict=False):
                if isinstance(target, s.Name):
                    inner.names[target.id] = inner.evaluate(value)
    node = inner.node(inner.evaluate(step.result), step.result.span)
    for axis, _ in variables:
        node = inner.spread(node, axis, step.span)
    node = inner.builder.swap(inner.builder.current(inner.builder.use(node)))
    study.stages.append(
        SweepPlan(step.name, tuple(axis.name for axis, _ in variables), node.name, step.span)
    )
    static = {axis.name: Axis(axis.name, count) for axis, count in variables}
    axes = tuple(static.get(axis.name, axis) for axis in node.axes)
    for axis, count in variables:
        scope.axes[axis.name] = Axis(axis.name, count)
    return study.input(SweepOutput(step.name), axes, node.dtype, step.span)


def _over(
    study: Study, over: s.Over, step: s.Sweep, inner: Scope, scope: Scope
) -> tuple[Axis, Size]:
    """A swept variable, named in `inner`: an input along an axis of its own, so that members can be
    chosen at run time."""
    values: tuple[float, ...] | None = None
    dtype = DType.INT
    match over.range:
        case s.Listing(items):
            numbers = [scope.constant(item, "a value to sweep over") for item in items]
            values = tuple(float(n) for n in numbers)
            dtype = DType.INT if all(isinstance(n, int) for n in numbers) else DType.FLOAT
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
    graph = over.name
    while graph in _model_axes(scope):
        graph += "'"
    axis = Axis(graph, sizes.symbol(f"{step.name}_{over.name}"))
    source = SweepInput(step.name, graph, values, count)
    node = study.input(source, (axis,), dtype, over.span)
    if isinstance(count, int) and dtype is DType.INT:
        reach = values or (0, count - 1)
        study.ctx.swept[node.node.name] = (int(min(reach)), int(max(reach)))
    inner.names[over.name] = node
    inner.axes[graph] = axis  # the model's own axis of the name keeps it
    inner.frame.riding[graph] = axis
    study.ctx.members.add(graph)
    return axis, count


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
