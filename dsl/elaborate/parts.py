"""The part of a site that is meant: whether there is one, and where it is."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Node
from ..diagnostics import Slug, or_nearest
from .indexing import limit
from .values import HaltError, Known, Value

if TYPE_CHECKING:
    from ..source import Span
    from .scope import Scope
    from .values import Val

_HOLDS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


def check_selection(selection: tuple[s.Item, ...], node: Node, address: str, scope: Scope) -> None:
    """The site has the axes by which a part is picked, and the part some positions."""
    for item in selection:
        axis = _selected_axis(item, scope)
        if axis not in node.axis_names:
            scope.fail(
                Slug.UNKNOWN_AXIS,
                f"`{address}` has {scope.say_axes(node)}, and no `{axis}`",
                item.span,
                hint=or_nearest(axis, node.axis_names),
            )
        _check_holds(item, axis, node.size(axis), scope)


def _check_holds(item: s.Item, axis: str, size: sizes.Size, scope: Scope) -> None:
    """A range or a condition of numbers is there at some position. What is left when one position
    is left out may be nothing."""
    places = range(size) if isinstance(size, int) else None
    held = True
    match item:
        case s.Bind(_, s.Range(start, stop)):
            low = 0 if start is None else _known(start, scope)
            high = size if stop is None else _known(stop, scope)
            if isinstance(low, int) and isinstance(high, int):
                ends = [end + len(places) if places and end < 0 else end for end in (low, high)]
                held = (ends[0] < 0) != (ends[1] < 0) or ends[0] < ends[1]
        case s.Binary(op, _, right) if op in _HOLDS and places is not None:
            number = _known(right, scope)
            held = number is None or any(_HOLDS[op](place, number) for place in places)
        case s.Binary("in", _, s.Listing(items)) if places is not None:
            numbers = [_known(one, scope) for one in items]
            held = any(number is None or number in places for number in numbers)
    if not held:
        many = "" if places is None else f", which has {len(places)}"
        scope.fail(
            Slug.BAD_INDEX,
            f"`{item.span.text}` is no position of `{axis}`{many}, so nothing would be written",
            item.span,
        )


def _known(tree: s.Expr, scope: Scope) -> int | None:
    """A whole number that is known when the model is compiled."""
    found: Val | None
    match tree:
        case s.Number() | s.Unary("-", s.Number()):
            found = scope.evaluate(tree)
        case s.Name(name):
            found = scope.lookup(name)
        case _:
            return None
    whole = isinstance(found, Known) and isinstance(found.value, int)
    return int(found.value) if whole else None  # type: ignore[union-attr, arg-type]


def _selected_axis(item: s.Item, scope: Scope) -> str:
    match item:
        case s.Bind(axis):
            return axis
        case s.Binary("!=" | ">=" | "<=" | "<" | ">" | "==" | "in", s.Name(axis)):
            return axis
    scope.fail(
        Slug.BAD_INDEX,
        "a part of a site is picked by an axis",
        item.span,
        hint="`[h = 9]`, `[h != 3]`, `[t >= 3]`, `[h in {1, 5}]`",
    )
    return None


def mask_of(item: s.Item, it: Node, scope: Scope, outer: Scope) -> Node:
    """Where the selected part is, as truths along its axis."""
    axis_name = _selected_axis(item, scope)
    axis, index = _index(axis_name, it, item.span, scope)
    match item:
        case s.Bind(_, s.Range(start, stop)):
            low = _edge(start, 0, axis, scope)
            high = _edge(stop, axis.size, axis, scope)
            below = scope.map("lt", [index, scope.node(Known(high), item.span)], item.span)
            above = scope.map("ge", [index, scope.node(Known(low), item.span)], item.span)
            return scope.map("and", [above, below], item.span)
        case s.Bind(_, s.At(name)):
            prompt = scope.ctx.prompt(axis_name) if name == "last" and scope.ctx.prompt else None
            if prompt is not None:  # bound at the step that computes a token, and kept
                after = scope.map("add", [index, scope.node(Known(1), item.span)], item.span)
                return scope.map("ge", [after, scope.builder.use(prompt)], item.span)
            if name == "last":
                scope.ctx.reads_last = True
                wanted = scope.node(Known(sizes.add(axis.size, -1)), item.span)
            elif name in scope.frame.positions:
                wanted = scope.builder.use(scope.frame.positions[name])
            else:
                scope.fail(
                    Slug.UNKNOWN_FIELD,
                    f"no field of the data is a position called `{name}`",
                    item.span,
                    hint=or_nearest(name, [*scope.frame.positions, "last"]),
                )
            return scope.map("eq", [index, wanted], item.span)
        case s.Bind(_, value):
            inner = outer.inner(builder=scope.builder, axes={}, names={})
            found = inner.evaluate(value)
            if isinstance(found, Known) and isinstance(found.value, bool | float | str):
                scope.fail(
                    Slug.BAD_INDEX,
                    f"a position of `{axis_name}` is a whole number",
                    value.span,
                    hint=f"[{axis_name} = 1]",
                )
            if (
                isinstance(found, Known)
                and isinstance(found.value, int)
                and not isinstance(found.value, bool)
            ):
                at = found.value
                if isinstance(axis.size, int) and not -axis.size <= at < axis.size:
                    scope.fail(
                        Slug.BAD_INDEX,
                        f"`{axis_name}` has {axis.size} positions, 0 to {axis.size - 1}, "
                        f"and {at} is none of them",
                        value.span,
                    )
                if not isinstance(axis.size, int):
                    message = f"`{axis_name}` has no position {at} that could be written"
                    limit(scope, at + 1 if at >= 0 else -at, axis.size, message, item)
                found = Known(sizes.add(axis.size, at)) if at < 0 else found
            return scope.map("eq", [index, scope.node(found, item.span)], item.span)
        case s.Binary(op, left, right):
            from .expressions import binary  # the operator on values

            test = s.Binary(op, left, right, span=item.span)
            if op == "in":
                inner = scope.inner(names={axis_name: Value(index)}, axes={})
                return scope.node(inner.evaluate(test), item.span)
            return scope.node(
                binary(op, Value(index), scope.evaluate(right), test, scope), item.span
            )
    raise HaltError


def _index(name: str, it: Node, span: Span, scope: Scope) -> tuple[Axis, Node]:
    """The axis and the index along it; of the scan that the site stands in, the present step."""
    builder = scope.builder
    if name in it.axis_names:
        axis = Axis(name, it.size(name))
        return axis, builder.emit(ops.IOTA, ops.IotaAttrs(axis), [], span, scope.path)
    while builder.parent is not None:
        outer = builder.parent
        if builder.axis is not None and builder.axis.name == name:
            return builder.axis, outer.emit(
                ops.IOTA, ops.IotaAttrs(builder.axis), [], span, scope.path
            )
        builder = outer
    raise HaltError


def _edge(end: s.Expr | None, default: sizes.Size, axis: Axis, scope: Scope) -> sizes.Size:
    if end is None:
        return default
    value = scope.size_of(end)
    return sizes.add(axis.size, value) if isinstance(value, int) and value < 0 else value
