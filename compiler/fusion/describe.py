"""What is to be said of a region: what is in it, and what it spares."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.items import body_inputs, body_results
from ..recurrences.costs import flops, held

if TYPE_CHECKING:
    from .region import Region

LEAVES = {"input", "const"}
LISTED = 6  # kinds of operations that are named


def described(region: Region) -> str:
    """What is computed, the most frequent first, and how often less memory is passed through."""
    nodes = [step.node for step in region.body.steps if step.node.op.name not in LEAVES]
    kinds = Counter(getattr(node.attrs, "fn", node.op.name) for node in nodes)
    listed = [f"{count} {fn}" if count > 1 else fn for fn, count in kinds.most_common(LISTED)]
    more = ", .." if len(kinds) > LISTED else ""
    count = f"{len(nodes)} operations" if len(nodes) > 1 else "one operation"
    return f"{count} ({', '.join(listed)}{more}), {region.spared:.0f} passes over memory spared"


def priced_region(region: Region) -> str:
    """What it costs: all that is computed, and what comes in and goes out."""
    moved = [*body_inputs(region.body), *body_results(region.body)]
    return f"{sizes.show(flops(region.body))} flops and {sizes.show(held(moved))} bytes"
