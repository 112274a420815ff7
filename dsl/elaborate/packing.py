"""`pack` and `unpack`: the positions where a mask holds, one after another along an axis of their
own, and back.

How many there are each example has for itself: the size of the new axis is what a node counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops, sizes
from ..diagnostics import Slug
from .indexing import limit, rename
from .values import Known, Val

if TYPE_CHECKING:
    from ..core import Axis, Node
    from ..sizes import Size
    from .functions import Given


def pack(given: Given) -> Val:
    """`pack[t -> s](x, active)`: x at the active positions, in their order. `s = 16` keeps the
    first 16 of them."""
    x, active = given.nodes(2, 2)
    old, new, wanted = given.arrow()
    graph = _masked(given, active, old)
    what = f"`pack` takes positions of `{old}`"
    given.scope.axis_named(old, x, given.tree.args[0].span, what)
    most = active.size(graph)
    if wanted is not None:
        most = _capacity(given, old, given.scope.axis_size(wanted), most)
    axis = _axis(given, new, _count(given, active, graph, most))
    places = _order(given, active, graph, most, axis)
    return given.emit(ops.INDEX, ops.IndexAttrs(ops.Gather(graph, 0.0)), [x, places])


def unpack(given: Given) -> Val:
    """`unpack[s -> t](y, active)`: the first of y where the mask holds first, and so on; elsewhere,
    and where y has no more, 0."""
    y, active = given.nodes(2, 2)
    old, new, size = given.arrow()
    if size is not None:
        given.wrong("the mask of `unpack` has the axis, and so its size")
    packed = given.scope.axis_named(
        old, y, given.tree.args[0].span, f"`unpack` takes positions of `{old}`"
    )
    graph = _masked(given, active, new)
    span = given.tree.span
    so_far = given.emit(ops.ALONG_OP, ops.AlongAttrs("cumsum", (graph,)), [active]).node
    place = given.scope.map("sub", [so_far, given.scope.node(Known(1), span)], span)
    outside = given.scope.node(Known(-1), span)
    place = given.scope.map("where", [active, place, outside], span)
    return given.emit(ops.INDEX, ops.IndexAttrs(ops.Gather(packed, 0.0)), [y, place])


def _masked(given: Given, active: Node, axis: str) -> str:
    """The graph's name of the axis that the mask is along."""
    span = given.tree.args[1].span
    what = f"the mask of `{given.name}` is along `{axis}`"
    graph = given.scope.axis_named(axis, active, span, what)
    if active.dtype != "bool":
        given.scope.fail(
            Slug.WRONG_DTYPE,
            f"the mask of `{given.name}` is a bool, and this is a {active.dtype}",
            span,
            hint=f"{span.text} > 0",
        )
    return graph


def _capacity(given: Given, axis: str, wanted: Size, size: Size) -> Size:
    message = f"`{axis}` has {sizes.show(size)} positions, of which {sizes.show(wanted)} are kept"
    if isinstance(wanted, int) and isinstance(size, int) and wanted > size:
        given.scope.fail(Slug.SIZE_MISMATCH, message, given.tree.span)
    limit(given.scope, wanted, size, message, given.tree)
    return wanted


def _count(given: Given, active: Node, axis: str, most: Size) -> Size:
    """How many are kept, as a size: the same one for the same mask, inside of scans too."""
    scope = given.scope
    mask, builder = scope.builder.origin(active)
    key = mask.name, axis, most
    if key not in scope.ctx.packed:
        span, path = given.tree.span, scope.path
        found = builder.emit(ops.REDUCE, ops.ReduceAttrs("sum", (axis,)), [mask], span, path)
        if most != active.size(axis):
            at_most = scope.inner(builder=builder).node(Known(most), span)
            found = builder.emit(ops.MAP, ops.MapAttrs("min"), [found, at_most], span, path)
        scope.ctx.packed[key] = sizes.atom(sizes.Count(found.name, most))
    return scope.ctx.packed[key]


def _axis(given: Given, name: str, size: Size) -> Axis:
    known = given.scope.axis(name)
    if known is None:
        return given.scope.new_axis(name, size)
    if known.size != size:
        given.scope.fail(
            Slug.SIZE_MISMATCH,
            f"`{name}` is an axis already, and not that of this mask",
            given.tree.span,
            hint=given.tree.span.text.replace(f"-> {name}", f"-> {name}_2", 1),
        )
    return known


def _order(given: Given, active: Node, axis: str, most: Size, new: Axis) -> Node:
    """Where each packed position stands; behind their end -1, which is nowhere."""
    scope, span = given.scope, given.tree.span
    idle = scope.map("not", [active], span)
    order = given.emit(ops.ALONG_OP, ops.AlongAttrs("argsort", (axis,)), [idle]).node
    if most != active.size(axis):
        order = given.emit(ops.INDEX, ops.IndexAttrs(ops.Slice(axis, 0, most)), [order]).node
    places = rename(scope, order, (((axis,), (new,)),), given.tree)
    index = scope.builder.emit(ops.IOTA, ops.IotaAttrs(new), [], span, scope.path)
    here = scope.map("lt", [index, scope.node(Known(new.size), span)], span)
    return scope.map("where", [here, places, scope.node(Known(-1), span)], span)
