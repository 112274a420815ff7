"""Writes recurrences and regions as calls of kernels that the runtime provides."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import names
from ....dsl.items import body_inputs, item_attrs
from ....dsl.ops import ScanAttrs
from ...artifact import KernelCall, RegionCall
from ...bodies import nameless
from ..cpp.regions.forward import forward
from ..cpp.regions.rows import last_of
from ..forms import Fused
from .layout import Layout, Value, squeezed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Body, DType, Node
    from ....dsl.sizes import Size
    from ..cpp.borders import Border
    from ..cpp.kernel import Kernel
    from ..forms import Piece
    from .writer import Writer


def call_kernel(w: Writer, piece: Piece, items: dict[int, Node]) -> bool:
    """Write a scan as a call, if there is a kernel for it; false if there is none."""
    scan = piece.node.attrs
    assert isinstance(scan, ScanAttrs)
    provided = None if w.kernels is None else w.kernels(scan)
    if provided is None:
        return False
    given = _given(w, piece, scan, provided.kernel)
    orders = tuple(value.axes for value in given)
    results = _orders(scan, provided.kernel, orders)
    count = len(scan.body.results)
    if provided.kernel is None:
        scan = nameless(scan)
    what = scan if provided.kernel is None else provided.kernel.symbol
    key = repr((what, orders, results, scan.axis.size, sizes_of(scan.body)))
    name = f"scan_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    w.calls[name] = KernelCall(name, scan, provided.kernel, orders, results)
    targets = []
    for index, order in enumerate(results[:count]):
        node = items.get(index)
        if node is None:
            targets.append("_")
            continue
        targets.append(w.names.take(w.label(node, "carried" if index < scan.carries else "output")))
        w.values[node.name] = Value(targets[-1], order, node.dtype)
    ending = "," if len(targets) == 1 else ""
    listed = ", ".join(value.text for value in given)
    w.line(f"{', '.join(targets)}{ending} = {name}({listed})", piece.node)
    return True


def sizes_of(body: Body) -> tuple[Size, ...]:
    """Those of the axes of its inputs: a kernel may run them all, what PyTorch runs in its place
    holds them."""
    return tuple(axis.size for node in body_inputs(body) for axis in node.axes)


def _given(w: Writer, piece: Piece, scan: ScanAttrs, kernel: Kernel | None) -> list[Value]:
    """The operands as tensors that have all of their axes; what is made for the call lies as the
    kernel wants it."""
    given = []
    for index, (name, node) in enumerate(zip(piece.reads, body_inputs(scan.body), strict=True)):
        axes: Axes = node.axes
        if scan.carries <= index < scan.carries + scan.steps:
            axes = (scan.axis, *axes)
        if kernel is not None:
            lies = laid(kernel.operands[index], ())
            axes = tuple(sorted(axes, key=lambda axis: lies.index(axis.name)))
        given.append(_operand(w, name, axes, node.dtype))
    return given


def _operand(w: Writer, name: str, axes: Axes, dtype: DType) -> Value:
    """A value as a tensor that has all of these axes."""
    value = w.cast(squeezed(w.need(name)), dtype)
    if value.plain or set(value.axes) != set(names(axes)):
        own = {axis.name: axis for axis in axes}
        order = [axis for axis in value.axes if axis in own]
        order += [axis for axis in names(axes) if axis not in order]
        value = w.exactly(value, [own[axis] for axis in order])
    return replace(w.tensor(value), dtype=dtype)


def write_fused(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A region as a call; all that it gives is written with the first of it."""
    form = piece.form
    assert isinstance(form, Fused)
    region = form.region
    if form.index:
        w.need(piece.reads[0])
        return w.values[piece.node.name]
    inputs = body_inputs(region.body)
    given = [
        _operand(w, name, node.axes, node.dtype)
        for name, node in zip(region.reads, inputs, strict=True)
    ]
    orders = tuple(value.axes for value in given)
    kernel = forward(region.body, last_of(orders))
    like = max(orders, key=len, default=())
    results = tuple(laid(border, like) for border in kernel.results)
    key = repr((kernel.symbol, region.moved, orders, results, sizes_of(region.body)))
    name = f"region_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    w.calls[name] = RegionCall(
        name, region.body, region.moved, region.spared, kernel, orders, results
    )
    targets = []
    for own, order in zip(region.gives, results, strict=True):
        node = w.flow.nodes[own]
        targets.append(w.target(node, "fused"))
        w.values[own] = Value(targets[-1], order, node.dtype)
    ending = "," if len(targets) == 1 else ""
    listed = ", ".join(value.text for value in given)
    w.line(f"{', '.join(targets)}{ending} = {name}({listed})", piece.node)
    return w.values[piece.node.name]


def _orders(
    scan: ScanAttrs, kernel: Kernel | None, orders: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """The axes of each result: first as the largest per-step value has them, then as computed. With
    a kernel, those of the carries that it keeps too."""
    steps = orders[scan.carries : scan.carries + scan.steps]
    usual = max(steps, key=len, default=())

    if kernel is None:
        items = [names(item_attrs(scan, at).axes) for at in range(len(scan.body.results))]
        likes = [*orders[: scan.carries], *([usual] * (len(items) - scan.carries))]
        return tuple(_ordered(*both) for both in zip(items, likes, strict=True))
    like = {"last": orders, "output": [usual] * len(kernel.results), "kept": orders}
    counts = dict.fromkeys(like, 0)
    found = []
    for border in kernel.results:
        found.append(laid(border, like[border.kind][counts[border.kind]]))
        counts[border.kind] += 1
    return tuple(found)


def laid(border: Border, like: tuple[str, ...]) -> tuple[str, ...]:
    """The axes of a kernel's tensor: first as others stand, where it may lie so."""
    return (*_ordered(border.outer, like), *border.inner)


def _ordered(axes: Sequence[str], like: tuple[str, ...]) -> tuple[str, ...]:
    """Axes as they stand in others, then those that are not there."""
    return (*(axis for axis in like if axis in axes), *(axis for axis in axes if axis not in like))
