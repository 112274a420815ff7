"""Whole programs: the derivative with respect to inputs and parameters, as a program."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from ..core import Body, DType
from .forward import pushed
from .reverse import pulled
from .tape import Tape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import Node


def pullback(body: Body, wanted: Sequence[str]) -> Body:
    """The program that computes the cotangents of the wanted nodes.

    `wanted` are names of float nodes: inputs, parameters, or anything in between, which then counts
    as given. The new program has the inputs of the old one, then the cotangent of each of its float
    results, in their order, with the axes of the result, at the addresses `cotangent.0` and so on.
    Its results are the cotangents of what is wanted, in the order asked for, each with the axes of
    its node. Nodes keep their names, so `replace(new, results=(*body.results, *new.results))`
    computes the values too. A scan that is differentiated gives out the carries that entered it.

    Raises KeyError for a node that is not there, ValueError for one that holds no floats.
    """
    tape = _of(body, wanted)
    seeds: dict[str, Node] = {}
    floats = [name for name in body.results if tape.nodes[name].dtype is DType.FLOAT]
    for place, name in enumerate(floats):
        given = _input(tape, tape.nodes[name], f"cotangent.{place}")
        seeds[name] = tape.map("add", seeds[name], given) if name in seeds else given
    found = pulled(tape, seeds, set(wanted))
    results = []
    for name in wanted:
        node = tape.nodes[name]
        tape.turn_to(node)
        results.append(tape.spread(found.get(name) or tape.number(0.0), node.axes))
    return _body(tape, results)


def pushforward(body: Body, moved: Sequence[str]) -> Body:
    """The program that computes how the results change when these nodes do.

    `moved` are names of float nodes. The new program has the inputs of the old one, then the
    tangent of each of these, in their order, with the axes of its node, at `tangent.0` and so on.
    Its results are the tangents of the float results, in their order, each with their axes.

    Raises KeyError for a node that is not there, ValueError for one that holds no floats.
    """
    tape = _of(body, moved)
    seeds: dict[str, Node] = {}
    for place, name in enumerate(dict.fromkeys(moved)):
        seeds[name] = _input(tape, tape.nodes[name], f"tangent.{place}")
    found = pushed(tape, seeds)
    results = []
    for name in body.results:
        node = tape.nodes[name]
        if node.dtype is DType.FLOAT:
            tape.turn_to(node)
            results.append(tape.spread(found.get(name) or tape.number(0.0), node.axes))
    return _body(tape, results)


def _of(body: Body, names: Sequence[str]) -> Tape:
    tape = Tape(body.steps, body.steps[0].node)
    for name in names:
        if tape.nodes[name].dtype is not DType.FLOAT:
            raise ValueError(f"%{name} holds no floats, and has no derivative")
    return tape


def _input(tape: Tape, like: Node, address: str) -> Node:
    """An input with the axes of a node, at the address, primed while that is taken."""
    taken = {step.node.site for step in tape.steps}
    while address in taken:
        address += "'"
    tape.turn_to(like)
    made = replace(tape.input(like.axes), site=address)
    tape.swap(made)
    return made


def _body(tape: Tape, results: Sequence[Node]) -> Body:
    """The tape as a program: inputs first, so that they are in the order in which they came."""
    inputs = [step for step in tape.steps if step.node.op is ops.INPUT]
    rest = [step for step in tape.steps if step.node.op is not ops.INPUT]
    return Body((*inputs, *rest), tuple(node.name for node in results))
