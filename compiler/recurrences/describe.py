"""What is to be said of a recurrence: its kinds, how it may run, and what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl import sizes
from .classify import classify
from .costs import cost
from .forms import Form, choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...dsl.core import Node
    from ...dsl.ops import ScanAttrs


def describe(scan: ScanAttrs, where: Callable[[Node], str]) -> Iterator[tuple[str, str]]:
    """The carries of each group by their addresses, and how they may run, and why."""
    found = classify(scan)
    for group, choice in zip(found.groups, choices(found), strict=True):
        new = [found.body.node(scan.body.results[place]) for place in group.carries]
        said = f"{group.kind}: {choice.form}, because {choice.why}"
        if choice.form is not Form.STEPS:
            said = f"{group.kind}; in parallel: {choice.form}, because {choice.why}"
        obstacle = group.obstacle
        if obstacle is not None and obstacle.text != choice.why:
            said += f". No easier kind: {obstacle}"
        elif obstacle is not None:
            said += f" (line {obstacle.span.line})"
        yield ", ".join(where(node) for node in new), said


def priced(scan: ScanAttrs) -> str:
    """What a step costs."""
    found = cost(scan)
    return f"{sizes.show(found.flops)} flops and {sizes.show(found.bytes)} bytes a step"
