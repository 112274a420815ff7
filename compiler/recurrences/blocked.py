"""A recurrence a chunk of steps at a time: one step of the new scan is a chunk of the old one.

Where `parallel` computes what a chunk does to values outside of scans, here it is all inside: the
step of the new scan has the products of matrices of its chunk, and nothing else is kept of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis, DType, Step, names
from ...dsl.items import body_inputs, item_attrs
from ...dsl.ops import INPUT, ITEM, MAP, SCAN, InputAttrs, MapAttrs, ScanAttrs
from ..context import Context
from ..graph import Graph
from ..passes.contract import contract
from ..passes.fold import fold
from ..passes.prune import prune
from ..passes.regroup import regroup
from ..passes.share import share
from .classify import classify
from .forms import Form, choices
from .parallel import MADE_BY, parallel

if TYPE_CHECKING:
    from ...dsl.core import Body, Node


def blocked(scan: ScanAttrs, size: int) -> ScanAttrs | None:
    """The scan over chunks of `size` steps (a power of two); None if some carry has no form as
    products of matrices.

    Its carries are those of the scan, its per-step values and outputs have the axis of the scan at
    that size. One more per-step value, the last, is a bool along it: whether the step is there, for
    the last chunk may be longer than what is left. What stands at steps that are not there changes
    nothing, if it is finite. The first position is the first step, whatever the direction.
    """
    row = Axis(scan.axis.name, size)
    whole = replace(scan, axis=row, body=_masked(scan), steps=scan.steps + 1, reverse=False)
    if not scan.carries or any(c.form is not Form.CHUNKS for c in choices(classify(whole))):
        return None
    body = _unrolled(whole)
    chunk = Axis(f"^{scan.axis.name}", sizes.ceil_divide(scan.axis.size, size))
    return ScanAttrs(chunk, body, scan.carries, scan.steps + 1)


def _masked(scan: ScanAttrs) -> Body:
    """The body, in which a carry changes only where a further per-step value holds."""
    graph = Graph.from_body(scan.body)
    inputs = body_inputs(scan.body)
    place = inputs[0]
    name = "there"
    while name in graph:
        name += "'"
    attrs = InputAttrs((), (), DType.BOOL)
    there = replace(place, name=name, op=INPUT, attrs=attrs, axes=(), dtype=DType.BOOL, site=None)
    first = scan.carries + scan.steps
    rest = [step for step in scan.body.steps if step.node.op is not INPUT]
    order = [*inputs[:first], there, *inputs[first:]]
    body = replace(scan.body, steps=(*(Step(node, ()) for node in order), *rest))
    with Graph.from_body(body).edit() as edit:
        results = list(body.results)
        for at in range(scan.carries):
            old = inputs[at].name
            read = (there.name, results[at], old)
            results[at] = edit.add(MAP, MapAttrs("where"), read, span=place.span, made_by=MADE_BY)
        edit.set_results(results)
    return edit.graph.to_body()


def _unrolled(whole: ScanAttrs) -> Body:
    """What one chunk computes, as a program of its own."""
    inputs = body_inputs(whole.body)
    steps = range(whole.carries, whole.carries + whole.steps)
    own = [
        Step(_given(node, at, whole.axis if at in steps else None), ())
        for at, node in enumerate(inputs)
    ]
    like = inputs[0]
    scan = replace(like, name="scan", op=SCAN, attrs=whole, axes=(), dtype=DType.FLOAT, site=None)
    made = [*own, Step(scan, tuple(step.node.name for step in own))]
    results = []
    for index in range(len(whole.body.results)):
        item = item_attrs(whole, index)
        node = replace(
            scan, name=f"item {index}", op=ITEM, attrs=item, axes=item.axes, dtype=item.dtype
        )
        made.append(Step(node, ("scan",)))
        results.append(node.name)
    graph = Graph.from_body(replace(whole.body, steps=tuple(made), results=tuple(results)))
    with graph.edit() as edit:
        parallel(edit, "scan", Context(), set(), whole=True)
    ctx = Context(verify=False)
    found = edit.graph
    for change in (fold, prune, share, contract, regroup, prune):
        found = change(found, ctx)
    body = found.to_body()
    left = {step.node.name: step for step in body.steps}
    rest = [step for step in body.steps if step.node.op is not INPUT]
    return replace(body, steps=(*(left.get(s.node.name, s) for s in own), *rest))


def _given(node: Node, at: int, axis: Axis | None) -> Node:
    axes = node.axes if axis is None else (axis, *node.axes)
    attrs = InputAttrs(names(axes), axes, node.dtype)
    return replace(node, name=f"given {at}", op=INPUT, attrs=attrs, axes=axes, site=None)
