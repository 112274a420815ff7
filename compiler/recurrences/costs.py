"""What a step of a scan costs, counted from its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.ops import AlongAttrs, ContractAttrs, MapAttrs, ReduceAttrs, ScanAttrs, broadcast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...dsl.core import Axes, Body, Node, Step
    from ...dsl.sizes import Size

NUMBER = 4  # bytes of a float32


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations on numbers, and bytes that are read and written, of one step.

    A pointwise function counts as one operation whatever it is. Carries and constants are thought
    to stay where they are: what moves is what comes in and goes out each step.
    """

    flops: Size
    bytes: Size


def cost(scan: ScanAttrs) -> Cost:
    """The cost of a step."""
    nodes = {step.node.name: step.node for step in scan.body.steps}
    inputs = [node for node in nodes.values() if node.op.name == "input"]
    moved = inputs[scan.carries : scan.carries + scan.steps]
    moved += [nodes[name] for name in scan.body.results[scan.carries :]]
    return Cost(flops(scan.body), held(moved))


def flops(body: Body) -> Size:
    """Operations on numbers that a program takes, a pointwise function counted as one."""
    nodes = {step.node.name: step.node for step in body.steps}
    total: Size = 0
    for step in body.steps:
        total = sizes.add(total, _flops(step, nodes))
    return total


def held(nodes: Iterable[Node]) -> Size:
    """The bytes of values in float32."""
    total: Size = 0
    for node in nodes:
        total = sizes.add(total, _elements(node.axes))
    return sizes.multiply(NUMBER, total)


def _flops(step: Step, nodes: Mapping[str, Node]) -> Size:
    read = [nodes[name].axes for name in step.operands]
    match step.node.attrs:
        case MapAttrs():
            return _elements(step.node.axes)
        case ContractAttrs():
            return sizes.multiply(len(read), _elements(broadcast(*read)))
        case ReduceAttrs() | AlongAttrs():
            return _elements(read[0])
        case ScanAttrs() as inner:
            return sizes.multiply(cost(inner).flops, inner.axis.size)
    return 0


def _elements(axes: Axes) -> Size:
    return sizes.product(axis.size for axis in axes)
