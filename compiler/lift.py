"""Types after a change: the rules of the operations, carried through the bodies of scans.

A value that gains an axis lifts what reads it. A scan lifts its body, where a carry has every axis
that it had, and those of its initial and of its next value; these may have fewer than the carry,
and are then repeated along the others. They may also have a narrower dtype.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dsl.core import Axes, Body, DType, Node, Step, names, without
from ..dsl.functions import MAPS
from ..dsl.items import body_inputs, body_results, item_attrs
from ..dsl.ops import InputAttrs, ItemAttrs, ScanAttrs, broadcast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dsl.ops import Attrs

Typed = tuple[Axes, DType]


def fitted(attrs: Attrs, operands: Sequence[Node]) -> Attrs:
    """The attributes of an operation on these operands: those of a scan hold a body for them, those
    of an item are of that scan. The same ones if they fit."""
    match attrs:
        case ScanAttrs():
            return lifted(attrs, [(operand.axes, operand.dtype) for operand in operands])
        case ItemAttrs():
            scan = operands[0].attrs
            if isinstance(scan, ScanAttrs):
                new = item_attrs(scan, attrs.index)
                return attrs if same((attrs.axes, attrs.dtype), (new.axes, new.dtype)) else new
    return attrs


def retyped(node: Node, operands: Sequence[Node]) -> Node:
    """The node with the type that its rule gives for these operands; the same one if it has it."""
    attrs = fitted(node.attrs, operands)
    axes, dtype = node.op.infer(attrs, [(operand.axes, operand.dtype) for operand in operands])
    if attrs is node.attrs and dtype == node.dtype and axes == node.axes:
        return node
    return replace(node, attrs=attrs, axes=axes, dtype=dtype)


def lifted(scan: ScanAttrs, operands: Sequence[Typed]) -> ScanAttrs:
    """The scan with its body typed for these operands."""
    steps = range(scan.carries, scan.carries + scan.steps)
    axis = scan.axis
    for index in steps:
        axis = next(own for own in operands[index][0] if own.name == axis.name)
    inputs = body_inputs(scan.body)
    wanted = []
    for index, ((axes, dtype), own) in enumerate(zip(operands, inputs, strict=True)):
        if index in steps:
            wanted.append((without(axes, [axis.name]), dtype))
        elif index < scan.carries:
            others = without(own.axes, names(axes))
            wanted.append(((*axes, *others), own.dtype))
        else:
            wanted.append((axes, dtype))
    if axis == scan.axis and not _differ(scan, wanted):
        return scan
    return replace(scan, axis=axis, body=settled(scan, wanted))


def _differ(scan: ScanAttrs, wanted: Sequence[Typed]) -> bool:
    for index, (want, own) in enumerate(zip(wanted, body_inputs(scan.body), strict=True)):
        if index < scan.carries:  # an initial value may have fewer axes than the carry
            if not set(want[0]) <= set(own.axes):
                return True
        elif not same(want, (own.axes, own.dtype)):
            return True
    return False


def settled(scan: ScanAttrs, wanted: list[Typed]) -> Body:
    """The body with input types such that every carry holds what its next value is."""
    while True:
        body = with_inputs(scan.body, wanted)
        grown = False
        for index, given in enumerate(body_results(body)[: scan.carries]):
            axes, dtype = wanted[index]
            both = broadcast(axes, given.axes)
            if set(both) != set(axes):
                wanted[index] = both, dtype
                grown = True
        if not grown:
            return body


def with_inputs(body: Body, types: Sequence[Typed]) -> Body:
    """The body typed for inputs of these types, in their order."""
    given = iter(types)
    nodes: dict[str, Node] = {}
    for step in body.steps:
        node = step.node
        if isinstance(node.attrs, InputAttrs):
            axes, dtype = next(given)
            if same((axes, dtype), (node.axes, node.dtype)):
                axes = node.axes
            attrs = InputAttrs(names(axes), axes, dtype)
            nodes[node.name] = replace(node, attrs=attrs, axes=axes, dtype=dtype)
        else:
            nodes[node.name] = retyped(node, [nodes[operand] for operand in step.operands])
    return Body(tuple(Step(nodes[s.node.name], s.operands) for s in body.steps), body.results)


def becomes(value: Node, carry: Node) -> bool:
    """Whether a value can be that of a carry: it may have fewer axes, and a narrower dtype."""
    widest = MAPS["where"].dtype([DType.BOOL, value.dtype, carry.dtype])
    return set(value.axes) <= set(carry.axes) and widest is carry.dtype


def same(one: Typed, other: Typed) -> bool:
    """Whether two types are equal; the order of axes says nothing."""
    return one[1] == other[1] and set(one[0]) == set(other[0])
