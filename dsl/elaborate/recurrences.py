"""Closing a scan: what its carries hold once the body is known, and the node that it becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from ..core import Axes, Axis, Body, DType, Node, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .builder import Builder
    from .scope import Scope

_RANK = {DType.BOOL: 0, DType.INT: 1, DType.FLOAT: 2}


def close_scan(
    builder: Builder, attrs: ops.ScanAttrs, carries: list[Node], results: list[Node], inits: Sequence[Node],
    node: Node, inner: Scope,
) -> Node:
    """The scan node of a body that stands in `builder`, with all that it uses from outside.

    What rides along gets into the carries too: types are run again until they stay.
    """
    for _ in range(len(carries) + 1):
        changed = False
        for place, carry in enumerate(carries):
            old, new = builder.current(carry), builder.current(results[place])
            axes = union(old.axes, new.axes, inits[place].axes)
            dtype = max(old.dtype, new.dtype, inits[place].dtype, key=_RANK.__getitem__)
            if len(axes) > len(old.axes) or dtype != old.dtype:
                builder.swap(as_input(replace(old, axes=axes, dtype=dtype)))
                changed = True
        if not changed:
            break
        retype(builder)
    results = [*results]
    for place, carry in enumerate(carries):
        for axis in builder.current(carry).axes:
            results[place] = inner.spread(builder.current(results[place]), axis, node.span)
    per_step, constant = list(builder.per_step.values()), list(builder.constant.values())
    first = [*carries, *(inner for _, inner in per_step), *(inner for _, inner in constant)]
    order = {inner.name: place for place, inner in enumerate(first)}
    steps = sorted(builder.steps, key=lambda step: order.get(step.node.name, len(order)))
    body = Body(tuple(steps), tuple(result.name for result in results))
    new_attrs = replace(attrs, body=body, carries=len(carries), steps=len(per_step))
    operands = [*inits, *(given for given, _ in per_step), *(given for given, _ in constant)]
    assert builder.parent is not None
    return builder.parent.emit(ops.SCAN, new_attrs, operands, node.span, node.scope)


def retype(builder: Builder) -> None:
    """Axes and dtypes of all steps again, from those of what they read."""
    for place, step in enumerate(builder.steps):
        node = step.node
        if not step.operands or node.op is ops.ITEM:
            continue
        given = [builder.steps[builder.place[name]].node for name in step.operands]
        axes, dtype = node.op.infer(node.attrs, [(n.axes, n.dtype) for n in given])
        builder.steps[place] = Step(replace(node, axes=axes, dtype=dtype), step.operands)


def as_input(node: Node) -> Node:
    """An input node, whose attributes say what it holds."""
    order = tuple(axis.name for axis in node.axes)
    return replace(node, attrs=ops.InputAttrs(order, node.axes, node.dtype))


def union(*several: Axes) -> Axes:
    """All axes, each once, in order of appearance."""
    merged: dict[str, Axis] = {}
    for axes in several:
        for axis in axes:
            merged.setdefault(axis.name, axis)
    return tuple(merged.values())


def item_of(scan: Node, index: int) -> ops.ItemAttrs:
    """What a result of a scan holds, read off its body."""
    attrs = scan.attrs
    assert isinstance(attrs, ops.ScanAttrs)
    nodes = {step.node.name: step.node for step in attrs.body.steps}
    inner = nodes[attrs.body.results[index]]
    if index < attrs.carries:
        inputs = [step.node for step in attrs.body.steps if step.node.op is ops.INPUT]
        return ops.ItemAttrs(index, inputs[index].axes, inputs[index].dtype)
    return ops.ItemAttrs(index, (attrs.axis, *inner.axes), inner.dtype)
