"""Closing a scan: what its carries hold once the body is known, and the node that it becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from ..core import Axes, Axis, Body, DType, Node, Step, without
from ..diagnostics import Slug
from ..items import item_attrs
from .builder import Builder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scope import Scope

_RANK = {DType.BOOL: 0, DType.INT: 1, DType.FLOAT: 2}


def close_scan(
    builder: Builder,
    attrs: ops.ScanAttrs,
    carries: list[Node],
    results: list[Node],
    inits: Sequence[Node],
    node: Node,
    inner: Scope,
) -> Node:
    """The scan node of a body that stands in `builder`, with all that it uses from outside.

    What rides along gets into the carries too.
    """
    try:
        results = _settle(carries, results, inits, node, inner)
    except ops.OpError as error:
        inner.fail(
            Slug.AXIS_MISMATCH,
            f"a step of the scan gives a carry axes that it did not have, and then {error}",
            node.span,
        )
    per_step, constant = list(builder.per_step.values()), list(builder.constant.values())
    first = [*carries, *(inner for _, inner in per_step), *(inner for _, inner in constant)]
    order = {inner.name: place for place, inner in enumerate(first)}
    steps = sorted(builder.steps, key=lambda step: order.get(step.node.name, len(order)))
    body = Body(tuple(steps), tuple(result.name for result in results))
    new_attrs = replace(attrs, body=body, carries=len(carries), steps=len(per_step))
    operands = [*inits, *(given for given, _ in per_step), *(given for given, _ in constant)]
    assert builder.parent is not None
    return builder.parent.emit(ops.SCAN, new_attrs, operands, node.span, node.scope)


def _settle(
    carries: Sequence[Node],
    results: Sequence[Node],
    inits: Sequence[Node],
    node: Node,
    inner: Scope,
) -> list[Node]:
    """Run types again until they stay; the results, of which the first have all that carries
    have."""
    builder = inner.builder
    for _ in range(len(carries) + 1):
        changed = False
        for carry, result, init in zip(carries, results, inits, strict=False):
            old, new = builder.current(carry), builder.current(result)
            axes = union(old.axes, new.axes, init.axes)
            dtype = max(old.dtype, new.dtype, init.dtype, key=_RANK.__getitem__)
            if len(axes) > len(old.axes) or dtype != old.dtype:
                builder.swap(as_input(replace(old, axes=axes, dtype=dtype)))
                changed = True
        if not changed:
            break
        _retype(inner)
    settled = [*results]
    for place, carry in enumerate(carries):
        for axis in builder.current(carry).axes:
            settled[place] = inner.spread(builder.current(settled[place]), axis, node.span)
    return settled


def _retype(scope: Scope) -> None:
    """Axes and dtypes of all steps again, from those of what they read."""
    builder = scope.builder
    items: dict[str, list[ops.ItemAttrs]] = {}
    for place, step in enumerate(builder.steps):
        node = step.node
        given = [builder.steps[builder.place[name]].node for name in step.operands]
        match node.attrs:
            case ops.ScanAttrs():
                node = _retyped_scan(node, node.attrs, given, scope)
                items[node.name] = items_of(node)
            case ops.ItemAttrs(index):
                held = items[given[0].name][index]
                node = replace(node, attrs=held, axes=held.axes, dtype=held.dtype)
            case _ if given:
                axes, dtype = node.op.infer(node.attrs, [(n.axes, n.dtype) for n in given])
                node = replace(node, axes=axes, dtype=dtype)
        builder.steps[place] = Step(node, step.operands)


def _retyped_scan(node: Node, attrs: ops.ScanAttrs, given: Sequence[Node], scope: Scope) -> Node:
    """A scan inside another, its operands having got other axes or dtypes."""
    builder = Builder(scope.ctx, scope.builder, attrs.axis)
    builder.steps = [*attrs.body.steps]
    builder.place = {step.node.name: place for place, step in enumerate(builder.steps)}
    inner = scope.inner(builder=builder)
    inputs = [step.node for step in builder.steps[: len(given)]]
    for place, (old, operand) in enumerate(zip(inputs, given, strict=True)):
        axes, dtype = operand.axes, operand.dtype
        if place < attrs.carries:
            axes, dtype = union(old.axes, axes), max(old.dtype, dtype, key=_RANK.__getitem__)
        builder.swap(as_input(replace(old, axes=without(axes, [attrs.axis.name]), dtype=dtype)))
    _retype(inner)
    results = [builder.steps[builder.place[name]].node for name in attrs.body.results]
    results = _settle(inputs[: attrs.carries], results, given[: attrs.carries], node, inner)
    body = Body(tuple(builder.steps), tuple(result.name for result in results))
    return replace(node, attrs=replace(attrs, body=body))


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


def items_of(scan: Node) -> list[ops.ItemAttrs]:
    """What the results of a scan hold, read off its body."""
    attrs = scan.attrs
    assert isinstance(attrs, ops.ScanAttrs)
    return [item_attrs(attrs, index) for index in range(len(attrs.body.results))]
