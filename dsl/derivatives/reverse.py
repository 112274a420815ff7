"""Reverse mode: cotangents of results carried back to what the results are made of.

A cotangent may lack axes of its value: it is then repeated along them. So the cotangent of what a
sum is over is that of the sum, and no zeros or ones are stored. What is zero is not built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from ..core import DType
from .pointwise import FLAT, PARTIALS
from .positions import indexed_back, joined_back, renamed_back, scattered_back
from .recurrences import recurred_back
from .reductions import FLAT as FLAT_REDUCTIONS
from .reductions import WEIGHTS
from .sequences import through
from .tape import reached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core import Node
    from .tape import Tape

    Rule = Callable[[Tape, Node, int, Node], Node | None]


def pulled(
    tape: Tape, seeds: Mapping[str, Node], wanted: set[str], *, through: bool = False
) -> dict[str, Node]:
    """The cotangents of the wanted nodes, from those of some results: what is zero is not there.

    What is wanted counts as given, so that nothing goes through it; but with `through`, cotangents
    go on to others that are wanted.
    """
    depends = reached(tape, wanted)
    before = [step.node.name for step in tape.steps if step.node.name in depends]
    found: dict[str, Node] = {}
    items: dict[str, dict[int, Node]] = {}
    for name, seed in seeds.items():
        _arrive(tape, found, name, seed, depends)
    for name in reversed(before):
        node = tape.nodes[name]
        is_end = name in wanted and not (through and tape.operands[name])
        if is_end or (name not in found and name not in items):
            continue
        tape.turn_to(node)
        match node.attrs:
            case ops.ScanAttrs():
                back = recurred_back(tape, node, items.pop(name), depends, pulled)
            case ops.ItemAttrs(index=index):
                of_scan = items.setdefault(tape.operands[name][0], {})
                came = found[name] if name in wanted else found.pop(name)
                of_scan[index] = _sum(tape, of_scan.get(index), came)
                continue
            case _:
                came = found[name] if name in wanted else found.pop(name)
                back = _back(tape, node, came, depends)
        for operand, cotangent in zip(tape.operands[name], back, strict=True):
            if cotangent is not None:
                _arrive(tape, found, operand, cotangent, depends)
    return found


def _arrive(tape: Tape, found: dict[str, Node], name: str, more: Node, depends: set[str]) -> None:
    """Add to what has come back to a node."""
    if name in depends and tape.nodes[name].dtype is DType.FLOAT:
        found[name] = _sum(tape, found.get(name), more)


def _sum(tape: Tape, one: Node | None, other: Node) -> Node:
    return other if one is None else tape.map("add", one, other)


def _back(tape: Tape, node: Node, cotangent: Node, depends: set[str]) -> list[Node | None]:
    """What comes back to each operand that depends on what is wanted."""
    rule = RULES[node.op]
    return [
        rule(tape, node, place, cotangent)
        if name in depends and tape.nodes[name].dtype is DType.FLOAT
        else None
        for place, name in enumerate(tape.operands[node.name])
    ]


# ---- one rule an operation: what comes back to the operand in a place


def _map(t: Tape, node: Node, place: int, v: Node) -> Node | None:
    assert isinstance(node.attrs, ops.MapAttrs)
    partial = None if node.attrs.fn in FLAT else PARTIALS[node.attrs.fn][place]
    if partial is None:
        return None
    read = t.read(node)
    back = partial(t, read, node, v)
    return None if back is None else t.fit(back, read[place].axes, node.axes)


def _reduce(t: Tape, node: Node, _place: int, v: Node) -> Node | None:
    attrs = node.attrs
    assert isinstance(attrs, ops.ReduceAttrs)
    if attrs.fn in FLAT_REDUCTIONS:
        return None
    weight = WEIGHTS[attrs.fn](t, t.read(node)[0], node, attrs)
    return v if weight is None else t.map("mul", v, weight)


def _contract(t: Tape, node: Node, place: int, v: Node) -> Node:
    """The same product with the cotangent in the operand's place."""
    read = t.read(node)
    own = read[place].axis_names
    factors = [v if at == place else other for at, other in enumerate(read)]
    seen = {axis.name: axis for factor in factors for axis in factor.axes}
    gone = tuple(name for name in seen if name not in own and name not in t.riding)
    if gone:
        return t.emit(ops.CONTRACT, ops.ContractAttrs(gone), *factors)
    product = factors[0]
    for factor in factors[1:]:
        product = t.map("mul", product, factor)
    return product


def _rename(t: Tape, node: Node, _place: int, v: Node) -> Node:
    assert isinstance(node.attrs, ops.RenameAttrs)
    return renamed_back(t, node.attrs, t.read(node)[0], v)


def _index(t: Tape, node: Node, place: int, v: Node) -> Node | None:
    assert isinstance(node.attrs, ops.IndexAttrs)
    return indexed_back(t, node.attrs, t.read(node), v) if place == 0 else None


def _scatter(t: Tape, node: Node, place: int, v: Node) -> Node | None:
    assert isinstance(node.attrs, ops.ScatterAttrs)
    if place == 1:
        return None
    read = t.read(node)
    back = scattered_back(t, node.attrs, read, v)[place // 2]
    if place == 0:
        return t.fit(back, read[0].axes, node.axes)
    over = [a for own in read for a in own.axes if a.name != node.attrs.axis]
    return t.fit(back, read[2].axes, tuple(over))


def _concat(t: Tape, node: Node, place: int, v: Node) -> Node:
    assert isinstance(node.attrs, ops.ConcatAttrs)
    read = t.read(node)
    back = joined_back(t, node.attrs, read, place, v)
    gone = (node.attrs.axis,) if node.attrs.new else ()
    over = tuple(axis for axis in node.axes if axis.name not in (*gone, node.attrs.axis))
    return t.fit(back, read[place].axes, over)


def _along(t: Tape, node: Node, _place: int, v: Node) -> Node | None:
    return through(t, node, v, back=True)


def _backward(t: Tape, node: Node, place: int, v: Node) -> Node | None:
    """What the rule of the value says, written out."""
    assert isinstance(node.attrs, ops.BackwardAttrs)
    if place:
        return None
    read = t.read(node)
    given = iter([t.spread(v, read[0].axes), *read])
    made: dict[str, Node] = {}
    for step in node.attrs.body.steps:
        own = step.node
        if own.op is ops.INPUT:
            made[own.name] = next(given)
        else:
            made[own.name] = t.emit(own.op, own.attrs, *(made[name] for name in step.operands))
    return made[node.attrs.body.results[0]]


RULES: dict[ops.OpDef, Rule] = {
    ops.MAP: _map,
    ops.REDUCE: _reduce,
    ops.CONTRACT: _contract,
    ops.RENAME: _rename,
    ops.INDEX: _index,
    ops.SCATTER: _scatter,
    ops.CONCAT: _concat,
    ops.ALONG_OP: _along,
    ops.BACKWARD: _backward,
}
"""Scans go with their items (`recurrences.py`). Nothing comes back through `stop`, and nothing to
what reads nothing."""
