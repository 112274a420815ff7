"""Programs of which no derivative will be asked: rules for the way back are nothing there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from ..core import Body, Step

if TYPE_CHECKING:
    from ..core import Node


def without_rules(body: Body) -> Body:
    """The program with plain values in place of those that have a rule, inside of scans too."""
    steps = tuple(_plain(step) for step in body.steps)
    return Body(steps, body.results) if steps != body.steps else body


def _plain(step: Step) -> Step:
    node: Node = step.node
    match node.attrs:
        case ops.BackwardAttrs():
            return Step(replace(node, op=ops.RENAME, attrs=ops.RenameAttrs()), step.operands[:1])
        case ops.ScanAttrs(body=inner) if (plain := without_rules(inner)) is not inner:
            return replace(step, node=replace(node, attrs=replace(node.attrs, body=plain)))
    return step
