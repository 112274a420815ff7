"""`scan t:`: the body becomes a program of its own, run once for each step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, Body, DType, Node
from ..diagnostics import Note, Slug
from .builder import Builder, Kept
from .recurrences import close_scan, items_of
from .structure import walk
from .values import HaltError, Poison, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scope import Scope

    Runner = Callable[[tuple[s.Step, ...], Scope], None]


def run_scan(step: s.Scan, scope: Scope, run_steps: Runner) -> None:
    """Elaborate the body, settle what the carries hold, and give its names their axis outside."""
    axis = _axis(step, scope)
    builder = Builder(scope.ctx, scope.builder, axis)
    inner = scope.inner(builder=builder, names={})
    steps = [part for part in step.body if not isinstance(part, s.Carry)]
    _check_heads(step, scope)
    carries = [
        (name, part) for part in step.body if isinstance(part, s.Carry) for name in part.names
    ]
    inits: list[Node] = []
    inputs: dict[str, Node] = {}
    for carried, part in carries:
        inputs[carried.name] = _carry(carried, part, scope, inner, inits)
    run_steps(tuple(steps), inner)
    if scope.frame.results is not None:
        place = next(part for part in walk(step.body) if isinstance(part, s.Return))
        scope.frame.results = None
        scope.fail(
            Slug.MISPLACED,
            "a `return` cannot stand in a `scan`",
            place.span,
            notes=[Note("the scan", step.span)],
            hint="assign a name here, and `return` it after the scan",
        )
    news = _new_carries(carries, inputs, inner, step, scope)
    if scope.ctx.collector.has_errors and any(isinstance(v, Poison) for v in inner.names.values()):
        raise HaltError
    _close(step, axis, inner, inputs, news, inits, scope)


def _check_heads(step: s.Scan, scope: Scope) -> None:
    """What is carried is said first."""
    begun: s.Step | None = None
    for part in step.body:
        if isinstance(part, s.Carry) and begun is not None:
            scope.fail(
                Slug.MISPLACED,
                "a `carry` stands at the head of its `scan`",
                part.span,
                notes=[Note("this stands in front of it", begun.span)],
            )
        if not isinstance(part, s.Carry | s.Doc):
            begun = begun or part


def _axis(step: s.Scan, scope: Scope) -> Axis:
    known = scope.axis(step.axis)
    if step.count is None:
        return scope.need_axis(step.axis, step.span.word(step.axis))
    size = scope.axis_size(step.count)
    if known is not None and known.size != size:
        scope.fail(
            Slug.SIZE_MISMATCH,
            f"`{step.axis}` has size {known.size} here, and {size} steps are asked for",
            step.count.span,
        )
    return known or scope.new_axis(step.axis, size)


def _carry(
    carried: s.Carried, part: s.Carry, scope: Scope, inner: Scope, inits: list[Node]
) -> Node:
    init = scope.node(scope.evaluate(part.value), part.value.span)
    axes: list[Axis] = [scope.need_axis(decl.name, decl.span) for decl in carried.axes or ()]
    axes += [axis for axis in init.axes if axis.name not in {a.name for a in axes}]
    axes = [*(bank for bank in scope.banks if bank not in axes), *axes]
    inner.builder.check_axes(tuple(axes), part.span)
    node = Node(
        scope.ctx.fresh(part.span),
        ops.INPUT,
        ops.InputAttrs(tuple(a.name for a in axes), tuple(axes), init.dtype),
        tuple(axes),
        init.dtype,
        carried.span,
        scope=scope.path,
    )
    inner.builder.put(node)
    inits.append(init)
    inner.kept[carried.name] = tuple(axes)
    if carried.name in inner.names or scope.lookup(carried.name) is not None:
        scope.fail(Slug.REASSIGNED, f"`{carried.name}` already has a value", carried.span)
    inner.names[carried.name] = inner.carried[carried.name] = Value(node)
    inner.spans[carried.name] = carried.span
    return node


def _new_carries(
    carries: list[tuple[s.Carried, s.Carry]],
    inputs: dict[str, Node],
    inner: Scope,
    step: s.Scan,
    scope: Scope,
) -> dict[str, Node]:
    news: dict[str, Node] = {}
    for carried, _part in carries:
        value = inner.names[carried.name]
        if value is inner.carried[carried.name]:
            scope.fail(
                Slug.CARRY_ORDER,
                f"the carry `{carried.name}` is never assigned in the scan",
                carried.span,
                hint=f"{carried.name} = ...",
            )
        if not isinstance(value, Value):
            raise HaltError
        news[carried.name] = value.node
    return news


def _close(
    step: s.Scan,
    axis: Axis,
    inner: Scope,
    inputs: dict[str, Node],
    news: dict[str, Node],
    inits: list[Node],
    scope: Scope,
) -> None:
    """Make the node; what the body names has the axis of the scan outside."""
    builder = inner.builder
    made = {
        name: value.node
        for name, value in inner.names.items()
        if isinstance(value, Value)
        and name in inner.spans
        and value.node.name in builder.place
        and name not in inner.frame.states
    }
    named = {value.name for value in made.values()}
    parts = [  # of calls in the body: these have addresses, and no names here
        part.node
        for part in builder.steps
        if part.node.site is not None and part.node.name not in named
    ]
    marker = Node("", ops.SCAN, ops.StopAttrs(), (), DType.FLOAT, step.span, scope=scope.path)
    kept = list(builder.states.items())
    carries = [*inputs.values(), *(state.before for _, state in kept)]
    attrs = ops.ScanAttrs(axis, Body((), ()), len(carries), 0, step.reversed)
    ends = [*news.values(), *(state.after for _, state in kept)]
    results = [*ends, *made.values(), *parts]
    inits = [*inits, *(state.init for _, state in kept)]
    node = close_scan(builder, attrs, carries, results, inits, marker, inner)
    items = items_of(node)
    for (address, state), held in zip(kept, items[len(inputs) : len(carries)], strict=True):
        _keep_on(address, state, held, node, step, scope)
    outs = [*made.items(), *((None, part) for part in parts)]
    for (name, value), held in zip(outs, items[len(carries) :], strict=True):
        current = builder.current(value)
        result = scope.builder.emit(ops.ITEM, held, [node], current.span, scope.path)
        if current.site is not None:
            result = scope.builder.swap(replace(result, site=current.site))
        if name is None:
            continue
        if scope.lookup(name) is not None and name not in scope.carried:
            scope.fail(
                Slug.REASSIGNED,
                f"`{name}` already has a value outside the scan",
                inner.spans[name],
                notes=[Note("the outer one", span)] if (span := scope.assigned_at(name)) else [],
            )
        scope.names[name] = Value(result)
        scope.spans[name] = inner.spans[name]
    for name, known in inner.axes.items():
        if scope.axis(name) is None:
            scope.axes[name] = known


def _keep_on(
    address: str, kept: Kept, held: ops.ItemAttrs, node: Node, step: s.Scan, scope: Scope
) -> None:
    """After the scan a state is what it was last; a scan around this one carries that on."""
    extra = [axis.name for axis in held.axes if axis not in kept.state.axes]
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"the state `{address}` has exactly {scope.say_axes(kept.state)}, and at a step of "
            f"the scan this has `{min(extra)}` too",
            step.span,
            hint=f"mean[{min(extra)}](...)",
        )
    last = scope.builder.emit(ops.ITEM, held, [node], step.span, scope.path)
    if scope.builder.parent is not None:
        scope.builder.keep(address, kept.state, last)
    else:
        scope.ctx.updates[address] = last
    for name, own in scope.frame.states.items():
        owner = scope.owner(name)
        if own == address:
            (owner or scope).names[name] = Value(last)
