"""Forward mode: tangents of what a program is made of carried on to its results.

A tangent may lack axes of its value: it is then repeated along them. What is zero is not built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .pointwise import FLAT, PARTIALS
from .recurrences import recurred
from .reductions import FLAT as FLAT_REDUCTIONS
from .reductions import WEIGHTS
from .sequences import through
from .tape import reached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core import Node
    from .tape import Tape

    Tangents = list[Node | None]
    Rule = Callable[[Tape, Node, Tangents], Node | None]


class OneWayError(Exception):
    """A derivative forwards of what has a rule for the way back alone."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node


def pushed(tape: Tape, seeds: Mapping[str, Node]) -> dict[str, Node]:
    """The tangents of all nodes that depend on the seeds; what is zero is not there."""
    depends = reached(tape, seeds)
    before = [step.node for step in tape.steps if step.node.name in depends]
    found = dict(seeds)
    items: dict[str, dict[int, Node]] = {}
    for node in before:
        if node.name in seeds:
            continue
        tape.turn_to(tape.nodes[node.name])
        read = tape.operands[node.name]
        given = [found.get(name) for name in read]
        made: Node | None = None
        match node.attrs:
            case ops.ScanAttrs():
                some = {place: v for place, v in enumerate(given) if v is not None}
                items[node.name] = recurred(tape, node, _whole(tape, node, some), pushed)
            case ops.ItemAttrs(index=index):
                made = items[read[0]].get(index)
            case _ if any(v is not None for v in given):
                made = RULES[node.op](tape, node, given)
        if made is not None:
            found[node.name] = made
    return found


def _whole(tape: Tape, node: Node, tangents: dict[int, Node]) -> dict[int, Node]:
    """Tangents of per-step values have the axis of the scan, as these have."""
    scan = node.attrs
    assert isinstance(scan, ops.ScanAttrs)
    steps = range(scan.carries, scan.carries + scan.steps)
    return {p: tape.spread(v, [scan.axis]) if p in steps else v for p, v in tangents.items()}


# ---- one rule an operation: the tangent of the result from those of the operands


def _map(t: Tape, node: Node, given: Tangents) -> Node | None:
    assert isinstance(node.attrs, ops.MapAttrs)
    if node.attrs.fn in FLAT:
        return None
    read = t.read(node)
    total: Node | None = None
    for partial, v in zip(PARTIALS[node.attrs.fn], given, strict=True):
        if partial is not None and v is not None:
            total = t.add(total, partial(t, read, node, v))
    return total


def _reduce(t: Tape, node: Node, given: Tangents) -> Node | None:
    attrs, v = node.attrs, given[0]
    assert isinstance(attrs, ops.ReduceAttrs)
    if v is None or attrs.fn in FLAT_REDUCTIONS:
        return None
    x = t.read(node)[0]
    weight = WEIGHTS[attrs.fn](t, x, node, attrs)
    moved = v if weight is None else t.map("mul", v, weight)
    return t.total(moved, [axis for axis in x.axes if axis.name in attrs.axes])


def _contract(t: Tape, node: Node, given: Tangents) -> Node | None:
    """The product with each operand's tangent in its place, all added up."""
    assert isinstance(node.attrs, ops.ContractAttrs)
    read = t.read(node)
    seen = {axis.name: axis for own in read for axis in own.axes}
    total: Node | None = None
    for place, v in enumerate(given):
        if v is None:
            continue
        factors = [v if at == place else other for at, other in enumerate(read)]
        has = {name for factor in factors for name in factor.axis_names}
        axes = tuple(name for name in node.attrs.axes if name in has)
        part = t.emit(ops.CONTRACT, ops.ContractAttrs(axes), *factors)
        part = t.total(part, [seen[name] for name in node.attrs.axes if name not in has])
        total = t.add(total, part)
    return total


def _same(t: Tape, node: Node, given: Tangents) -> Node | None:
    """What is linear in the first operand: the same of its tangent."""
    v = given[0]
    if v is None:
        return None
    x, *rest = t.read(node)
    attrs = node.attrs
    match attrs:
        case ops.IndexAttrs(how=ops.Gather(axis=axis, fill=float() | int())):
            attrs = ops.IndexAttrs(ops.Gather(axis, 0.0))
        case ops.IndexAttrs(how=ops.Window() as how):
            attrs = ops.IndexAttrs(ops.Window(how.axis, how.terms, how.offset, 0.0))
    return t.emit(node.op, attrs, t.spread(v, x.axes), *rest)


def _scatter(t: Tape, node: Node, given: Tangents) -> Node:
    base, at, update = t.read(node)
    assert isinstance(node.attrs, ops.ScatterAttrs)
    first = t.zeros(base.axes) if given[0] is None else t.spread(given[0], base.axes)
    last = t.number(0.0) if given[2] is None else given[2]
    over = [axis for axis in (*at.axes, *update.axes) if axis.name in node.attrs.over]
    return t.emit(ops.SCATTER, node.attrs, first, t.spread(at, over), last)


def _concat(t: Tape, node: Node, given: Tangents) -> Node:
    parts = [
        t.zeros(own.axes) if v is None else t.spread(v, own.axes)
        for own, v in zip(t.read(node), given, strict=True)
    ]
    return t.emit(node.op, node.attrs, *parts)


def _along(t: Tape, node: Node, given: Tangents) -> Node | None:
    return None if given[0] is None else through(t, node, given[0], back=False)


def _backward(_t: Tape, node: Node, given: Tangents) -> Node | None:
    if given[0] is None:
        return None
    raise OneWayError(node)


RULES: dict[ops.OpDef, Rule] = {
    ops.MAP: _map,
    ops.REDUCE: _reduce,
    ops.CONTRACT: _contract,
    ops.RENAME: _same,
    ops.INDEX: _same,
    ops.SCATTER: _scatter,
    ops.CONCAT: _concat,
    ops.ALONG_OP: _along,
    ops.BACKWARD: _backward,
}
"""Scans go with their items (`recurrences.py`). `stop`, and what reads nothing, has no tangent."""
