"""What is to be said of a recurrence: its kinds, how it may run, and what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl import sizes
from .apart import short
from .classify import Kind, classify
from .costs import cost
from .forms import Form, choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...dsl.core import Node
    from ...dsl.ops import ScanAttrs


def describe(scan: ScanAttrs, where: Callable[[Node], str]) -> Iterator[tuple[str, str, str]]:
    """For each group two lines about its carries: their kind, and the form that they may have."""
    found = classify(scan)
    few = set(short(found))
    for group, choice in zip(found.groups, choices(found), strict=True):
        new = [found.body.node(scan.body.results[place]) for place in group.carries]
        carries = ", ".join(where(node) for node in new)
        easier = "" if group.obstacle is None else f": {group.obstacle}"
        yield "carry", carries, f"{group.kind}{easier}"
        if choice.form is not Form.STEPS:
            yield "parallel", carries, f"{choice.form}: {choice.why}"
        elif not choice.why and (group.kind is Kind.SEPARATE or few.issuperset(group.carries)):
            yield "parallel", carries, "Newton over all steps: each turn is an associative scan"
        elif choice.why:
            yield "parallel", carries, f"no form: {choice.why}"


def priced(scan: ScanAttrs) -> str:
    """What a step costs."""
    found = cost(scan)
    return f"{sizes.show(found.flops)} flops and {sizes.show(found.bytes)} bytes a step"
