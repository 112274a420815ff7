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
from ..core import Body, DType, Step
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
    known: dict[str, Node] = {}
    for step in body.steps:
        node, read = step.node, step.operands
        match node.attrs:
            case ops.DeriveAttrs() as attrs:
                made = len(tape.steps)
                tape.here = node
                if node.name not in known:
                    alike = _alike(step, body, tape)
                    known |= _derivatives(tape, attrs, alike)
                value = known[node.name]
                for _ in tape.steps[made:]:
                    spend(node.span)
                tape.put(replace(node, op=ops.RENAME, attrs=ops.RenameAttrs()), [value.name])
                continue
            case ops.ScanAttrs() as attrs if _asks(attrs.body):
                inner = _worked_out(attrs.body, spend, numbers)
                node = replace(node, attrs=replace(attrs, body=inner))
        tape.put(node, read)
    return Body(tuple(tape.steps), body.results)


def _alike(step: Step, body: Body, tape: Tape) -> list[Step]:
    """The requests that one walk answers, of what stands already. Backwards these are of the same
    value in the same direction, forwards with the same changes of the same."""
    value, source, *direction = step.operands
    attrs = step.node.attrs
    assert isinstance(attrs, ops.DeriveAttrs)
    if attrs.lifts:
        return [step]
    others = [
        other
        for other in body.steps
        if other.node.attrs == attrs
        and other.node.op is ops.DERIVE
        and all(name in tape.nodes for name in other.operands[:2])
    ]
    if attrs.forward:
        return [other for other in others if other.operands[1:] == (source, *direction)]
    numbers = {s.node.name: s.node.attrs for s in body.steps if s.node.op is ops.CONST}
    wanted = numbers.get(direction[0], direction[0])
    return [
        other
        for other in others
        if other.operands[0] == value
        and numbers.get(other.operands[2], other.operands[2]) == wanted
    ]


def _derivatives(tape: Tape, attrs: ops.DeriveAttrs, asked: list[Step]) -> dict[str, Node]:
    """What some requests, which are alike, ask for."""
    node = asked[0].node
    value, source, direction, *more = (tape.nodes[name] for name in asked[0].operands)
    for step in asked:
        for name in step.operands[:2]:
            if tape.nodes[name].dtype is not DType.FLOAT:
                raise NoFloatError(node, tape.nodes[name])
    tape.riding = frozenset() if attrs.forward else frozenset(attrs.riding)
    if attrs.lifts:
        tape.riding |= node.axis_names - source.axis_names
    if attrs.forward:
        pairs = [(source, direction), *zip(more[::2], more[1::2], strict=True)]
        moved = pushed(tape, {one.name: tape.spread(by, one.axes) for one, by in pairs})
        found = [moved.get(step.operands[0]) for step in asked]
    else:
        wanted = {step.operands[1] for step in asked}
        back = pulled(tape, {value.name: direction}, wanted, through=True)
        found = [back.get(step.operands[1]) for step in asked]
    return {
        step.node.name: tape.spread(one or tape.number(0.0), step.node.axes)
        for step, one in zip(asked, found, strict=True)
    }
