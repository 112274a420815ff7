"""Works out the derivatives that a program asks for: `grad` and its kin in a spec.

They are asked for while types are not settled yet: a carry may still gain the axes of what it
meets. Here all are known. What a spec calls a derivative is so ordinary steps for all that follow:
interventions, sweeps and passes see what they would see had it been written out.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from .. import ops
from ..core import Body, DType
from .forward import pushed
from .reverse import pulled
from .tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..core import Node
    from ..source import Span

    Spend = Callable[[Span], None]


class NoFloatError(Exception):
    """A derivative of, or by, what turned out to hold no floats."""

    def __init__(self, request: Node, operand: Node) -> None:
        super().__init__(request, operand)
        self.request, self.operand = request, operand


def worked_out(body: Body, spend: Spend) -> Body:
    """The program without requests, inside of scans too. Each step that is made is spent on.

    Raises NoFloatError where something is asked for that holds no floats.
    """
    return _worked_out(body, spend, count()) if _asks(body) else body


def _asks(body: Body) -> bool:
    return any(
        isinstance(step.node.attrs, ops.DeriveAttrs)
        or (isinstance(step.node.attrs, ops.ScanAttrs) and _asks(step.node.attrs.body))
        for step in body.steps
    )


def _worked_out(body: Body, spend: Spend, numbers: Iterator[int]) -> Body:
    tape = Tape((), body.steps[0].node, fixed=True, numbers=numbers)
    for step in body.steps:
        node, read = step.node, step.operands
        match node.attrs:
            case ops.DeriveAttrs() as attrs:
                made = len(tape.steps)
                tape.here = node
                value = _derivative(tape, node, attrs, [tape.nodes[name] for name in read])
                for _ in tape.steps[made:]:
                    spend(node.span)
                tape.put(replace(node, op=ops.RENAME, attrs=ops.RenameAttrs()), [value.name])
                continue
            case ops.ScanAttrs() as attrs if _asks(attrs.body):
                inner = _worked_out(attrs.body, spend, numbers)
                node = replace(node, attrs=replace(attrs, body=inner))
        tape.put(node, read)
    return Body(tuple(tape.steps), body.results)


def _derivative(tape: Tape, node: Node, attrs: ops.DeriveAttrs, read: list[Node]) -> Node:
    value, source, direction = read
    for operand in (value, source):
        if operand.dtype is not DType.FLOAT:
            raise NoFloatError(node, operand)
    tape.riding = frozenset() if attrs.forward else frozenset(attrs.riding)
    if attrs.lifts:
        tape.riding |= node.axis_names - source.axis_names
    if attrs.forward:
        start = tape.spread(direction, source.axes)
        found = pushed(tape, {source.name: start}).get(value.name)
    else:
        found = pulled(tape, {value.name: direction}, {source.name}).get(source.name)
    return tape.spread(found or tape.number(0.0), node.axes)
