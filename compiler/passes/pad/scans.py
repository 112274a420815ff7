"""Recurrences: inside as outside; along a ragged axis, carries stay as they are behind the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import Body, DType, Node, names, without
from ....dsl.items import body_inputs
from ....dsl.ops import INPUT, MAP, InputAttrs, MapAttrs, ScanAttrs
from ...graph import Graph
from ...lengths import Lengths
from ...lift import settled
from .joining import merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...graph import Edit
    from ...lengths import Joined
    from .joining import Found
    from .walk import Pad


def scan(pad: Pad, node: Node, attrs: ScanAttrs, operands: tuple[str, ...]) -> None:
    """The scan with a body that is blind to what does not exist."""
    outer, axis = pad.lengths, attrs.axis
    given = [dict(outer.joined.get(o, {})) for o in operands]
    per_step = [found.pop(axis.name, None) for found in given]
    steps = merged(per_step[attrs.carries : attrs.carries + attrs.steps])
    together = steps or frozenset()
    while True:
        live = outer.examples(axis) - together
        inner, lengths, inside = _inside(pad, attrs, operands, given, live)
        alive = None
        if outer.symbols(axis):
            alive = _hold(inner, node, attrs, outer.exists(axis, node, together), pad.edit)
        body = _done(inner)
        after = [_after(found, inside, body, at) for at, found in enumerate(given[: attrs.carries])]
        if after == given[: attrs.carries]:
            break
        given[: attrs.carries] = after
    own = {axis.name: steps} if outer.symbols(axis) else {}
    pad.items[node.name] = [
        *given[: attrs.carries],
        *({**inside.get(name, {}), **own} for name in body.results[attrs.carries :]),
    ]
    new_operands, place = [*operands], attrs.carries + attrs.steps
    first = [] if alive is None else [(alive, outer.exists(axis, node, together))]
    for symbol, name in lengths.inputs.items():
        length = outer.input(symbol, node)
        if axis.name in pad.edit.node(length).axis_names:
            first.append((name, length))
        else:
            new_operands.append(length)
    for name, operand in reversed(first):
        body = _moved(body, name, place)
        new_operands.insert(place, operand)
    attrs = replace(attrs, steps=attrs.steps + len(first), body=body)
    types = [(own.axes, own.dtype) for own in body_inputs(body)]
    pad.edit.put(replace(node, attrs=replace(attrs, body=settled(attrs, types))))
    pad.edit.set_operands(node.name, new_operands)


def _inside(
    pad: Pad, attrs: ScanAttrs, operands: Sequence[str], given: Sequence[Found], live: Joined
) -> tuple[Edit, Lengths, dict[str, Found]]:
    """The body, padded, by what its inputs are given."""
    outer = pad.lengths
    graph, inputs = Graph.from_body(attrs.body), body_inputs(attrs.body)
    over = {symbol: without(axes, [attrs.axis.name]) for symbol, axes in outer.over.items()}
    with graph.edit() as inner:
        lengths = Lengths(inner, over, counted=outer.counted, inside=True)
        lengths.dependent |= {
            own.name for own, o in zip(inputs, operands, strict=True) if o in outer.dependent
        }
        lengths.joined |= {own.name: f for own, f in zip(inputs, given, strict=True)}
        lengths.stepping = {**outer.stepping, **dict.fromkeys(live, attrs.axis)}
        type(pad)(lengths).run(graph)
    return inner, lengths, lengths.joined


def _done(inner: Edit) -> Body:
    return inner.done().to_body()


def _after(found: Found, inside: dict[str, Found], body: Body, place: int) -> Found:
    """What a carry holds at each position, at the first step and at all others."""
    new = inside.get(body.results[place], {})
    return {axis: merged([found.get(axis), new.get(axis)]) for axis in {**found, **new}}


def _hold(inner: Edit, node: Node, attrs: ScanAttrs, mask: str, outer: Edit) -> str:
    """Let the carries of a body change only where an input that is given back is true."""
    axes = without(outer.node(mask).axes, [attrs.axis.name])
    given = InputAttrs(names(axes), axes, DType.BOOL)
    alive = inner.add(INPUT, given, span=node.span, made_by="pad")
    results = list(inner.results)
    for place, carry in enumerate(body_inputs(attrs.body)[: attrs.carries]):
        if results[place] != carry.name:
            read = [alive, results[place], carry.name]
            results[place] = inner.add(MAP, MapAttrs("where"), read, span=node.span, made_by="pad")
    inner.set_results(results)
    return alive


def _moved(body: Body, name: str, place: int) -> Body:
    """The body with one of its inputs as the one in that place."""
    inputs = [step for step in body.steps if step.node.op is INPUT]
    moved = next(step for step in inputs if step.node.name == name)
    inputs.remove(moved)
    inputs.insert(place, moved)
    return replace(body, steps=(*inputs, *(s for s in body.steps if s.node.op is not INPUT)))
