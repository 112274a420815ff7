"""What is done to scans: a change inside of their bodies, scans made narrower, or without names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dsl.core import Body, Step
from ..dsl.ops import INPUT, RENAME, ItemAttrs, RenameAttrs, ScanAttrs
from ..dsl.source import GENERATED
from .graph import Graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..dsl.core import Node
    from .context import Context
    from .graph import Edit


def in_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """Apply a change to the body of every scan. It keeps inputs, results and their types."""
    scans = [name for name in graph.in_order() if isinstance(graph.node(name).attrs, ScanAttrs)]
    if not scans:
        return graph
    with graph.edit() as edit:
        for name in scans:
            node = edit.node(name)
            if isinstance(node.attrs, ScanAttrs):
                body = change(Graph.from_body(node.attrs.body)).to_body()
                if body != node.attrs.body:
                    edit.put(replace(node, attrs=replace(node.attrs, body=body)))
    return edit.graph


def narrow(edit: Edit, name: str) -> None:
    """Drop from a scan what no item needs: outputs, carries, operands, nodes of its body."""
    scan = edit.node(name).attrs
    if not isinstance(scan, ScanAttrs):
        return
    body = Graph.from_body(scan.body)
    items = [user for user, _ in edit.users(name)]
    read = {a.index for item in items if isinstance(a := edit.node(item).attrs, ItemAttrs)}
    inputs = [own for own in body.in_order() if body.node(own).op.name == "input"]
    needed = read
    while True:
        ends = [body.results[index] for index in sorted(needed)]
        inside = body.ancestors(ends) | set(ends)
        more = needed | {i for i in range(scan.carries) if inputs[i] in inside}
        if more == needed:
            break
        needed = more
    carried = [index for index in range(scan.carries) if index in needed]
    kept = [
        i for i, own in enumerate(inputs) if (i in needed if i < scan.carries else own in inside)
    ]
    if len(kept) == len(inputs) and len(needed) == len(body.results) and len(inside) == len(body):
        return
    with body.edit() as inner:
        inner.set_results(ends)
        left = inside | {inputs[position] for position in kept}
        for own in reversed(body.in_order()):
            if own not in left:
                inner.remove(own)
    steps = range(scan.carries, scan.carries + scan.steps)
    attrs = replace(
        scan,
        body=inner.graph.to_body(),
        carries=len(carried),
        steps=sum(position in steps for position in kept),
    )
    edit.put(replace(edit.node(name), attrs=attrs))
    edit.set_operands(name, [edit.operands(name)[position] for position in kept])
    place = {old: new for new, old in enumerate(sorted(needed))}
    for item in items:
        node = edit.node(item)
        if isinstance(node.attrs, ItemAttrs):
            edit.put(replace(node, attrs=replace(node.attrs, index=place[node.attrs.index])))


def instead(edit: Edit, node: Node, new: str, ctx: Context, made_by: str) -> str | None:
    """For a rule that found `new` to be the value of a node: what it answers to `rewrite`.

    A node whose address is kept stays, as the identity.
    """
    if node.site is None or node.site not in ctx.keep:
        return new
    edit.put(replace(node, op=RENAME, attrs=RenameAttrs(), made_by=made_by))
    edit.set_operands(node.name, [new])
    return None


def mentions(node: Node, axis: str) -> bool:
    """Whether the axis of the scan has another meaning here."""
    if axis in node.axis_names:
        return True
    if isinstance(node.attrs, ScanAttrs):
        steps = node.attrs.body.steps
        return node.attrs.axis.name == axis or any(mentions(step.node, axis) for step in steps)
    return False


def nameless(scan: ScanAttrs) -> ScanAttrs:
    """The scan with names, addresses and places in the spec left out of its body, and its steps in
    an order that does not go by names: what computes the same in the same way is the same."""
    known = {step.node.name: step for step in scan.body.steps}
    called: dict[str, str] = {}
    steps: list[Step] = []

    def put(step: Step) -> None:
        node, attrs = step.node, step.node.attrs
        called[node.name] = name = f"n{len(called)}"
        attrs = nameless(attrs) if isinstance(attrs, ScanAttrs) else attrs
        bare = replace(
            node, name=name, attrs=attrs, span=GENERATED, site=None, scope="", made_by=""
        )
        steps.append(Step(bare, tuple(called[read] for read in step.operands)))

    for step in scan.body.steps:
        if step.node.op is INPUT:
            put(step)
    waiting = list(reversed(scan.body.results))
    while waiting:
        name = waiting[-1]
        missing = [read for read in known[name].operands if read not in called]
        if name in called or not missing:
            waiting.pop()
            if name not in called:
                put(known[name])
        waiting += reversed(missing)
    return replace(scan, body=Body(tuple(steps), tuple(called[n] for n in scan.body.results)))
