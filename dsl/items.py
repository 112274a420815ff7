"""What the body of a scan takes and gives: its inputs, its results, and what an `item` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ops import InputAttrs, ItemAttrs, ScanAttrs

if TYPE_CHECKING:
    from .core import Body, Node


def body_inputs(body: Body) -> tuple[Node, ...]:
    """The input nodes of a scan's body, in the order of the scan's operands."""
    return tuple(step.node for step in body.steps if isinstance(step.node.attrs, InputAttrs))


def body_results(body: Body) -> tuple[Node, ...]:
    """The nodes whose values are the results, in order."""
    nodes = {step.node.name: step.node for step in body.steps}
    return tuple(nodes[name] for name in body.results)


def item_attrs(scan: ScanAttrs, index: int) -> ItemAttrs:
    """What `item` says of one result of a scan: a last carry, or an output with the axis."""
    if index < scan.carries:
        carry = body_inputs(scan.body)[index]
        return ItemAttrs(index, carry.axes, carry.dtype)
    given = body_results(scan.body)[index]
    return ItemAttrs(index, (scan.axis, *given.axes), given.dtype)
