"""What happens to a score between the product and the weights, at one query and one key.

A program of pointwise functions alone, and the one that pulls a cotangent of the weight back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ...dsl.core import Body, Node, Step
from ...dsl.derivatives.programs import pullback
from ...dsl.ops import INPUT, Gather, IndexAttrs, InputAttrs, IotaAttrs
from .contraction import KEY, QUERY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ...dsl.core import Axes
    from .contraction import Contraction


@dataclass(frozen=True)
class Picked:
    """A value read from a table: the input that is the table, and the node that says where."""

    table: str
    at: str
    fill: float | None


@dataclass(frozen=True)
class Tile:
    """The program. Its inputs are the score, what the contraction reads, and `picked` values.

    `varies` says of each node along which of `t` and `s` it differs. Of a way back, `cotangent` is
    the input that is that of the weight, and `slopes` are the cotangents of inputs, by their names.
    """

    steps: Mapping[str, Step]
    score: str
    weight: str
    picked: Mapping[str, Picked]
    varies: Mapping[str, frozenset[str]]
    cotangent: str | None = None
    slopes: tuple[tuple[str, str], ...] = ()

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self.steps[name].node

    def operands(self, name: str) -> tuple[str, ...]:
        """What a node reads."""
        return self.steps[name].operands

    @cached_property
    def slope(self) -> dict[str, str]:
        """The cotangent of each input that was asked for."""
        return dict(self.slopes)


def tile(made: Contraction) -> Tile:
    """The program of a contraction, forwards."""
    body, picked = _pointwise(made, ())
    return _tile(made, body, picked)


def slopes(made: Contraction, wanted: Collection[str]) -> Tile:
    """The same with its way back, to the score and to these inputs of the contraction."""
    body, picked = _pointwise(made, wanted)
    asked = [made.score, *(name for name in wanted if name in {s.node.name for s in body.steps})]
    asked += [name for name, own in picked.items() if own.table in wanted]
    asked = [
        name for name in dict.fromkeys(asked) if name not in {p.table for p in picked.values()}
    ]
    back = pullback(body, asked)
    (cotangent,) = [
        step.node.name
        for step in back.steps
        if step.node.op is INPUT and step.node.name not in {s.node.name for s in body.steps}
    ]
    found = _tile(made, replace(back, results=(made.weight, *back.results)), picked)
    pairs = zip(asked, (_unspread(found, name) for name in back.results), strict=True)
    return replace(found, cotangent=cotangent, slopes=tuple(pairs))


def _pointwise(made: Contraction, wanted: Collection[str]) -> tuple[Body, dict[str, Picked]]:
    """The program without lanes; what a cotangent is wanted of differs everywhere in it."""
    pair = (made.axes[QUERY], made.axes[KEY])
    picked: dict[str, Picked] = {}
    nodes: dict[str, Node] = {}
    steps: list[Step] = []

    def put(node: Node, axes: Axes, operands: tuple[str, ...] = ()) -> None:
        if not operands and not isinstance(node.attrs, IotaAttrs) and node.op.name != "const":
            attrs = InputAttrs(tuple(a.name for a in axes), axes, node.dtype)
            node = replace(node, op=INPUT, attrs=attrs, site=node.name)
        nodes[node.name] = replace(node, axes=axes)
        steps.append(Step(nodes[node.name], operands))

    for step in made.body.steps:
        node = step.node
        if node.name == made.score:
            put(node, pair)
        elif isinstance(node.attrs, InputAttrs):
            if node in made.more and made.table(node) is None:
                own = pair if node.name in wanted else _along(node.axes)
                put(node, own)
        elif isinstance(node.attrs, IndexAttrs):
            assert isinstance(node.attrs.how, Gather)
            table, at = step.operands
            picked[node.name] = Picked(table, at, node.attrs.how.fill)
            put(node, pair if table in wanted else nodes[at].axes)
        elif node.op.name in ("const", "iota"):
            put(node, node.axes)
        elif node.op.name in ("map", "stop"):
            axes, _ = node.op.infer(
                node.attrs, [(nodes[o].axes, nodes[o].dtype) for o in step.operands]
            )
            put(node, axes, step.operands)
        if node.name == made.weight:
            break
    return Body(tuple(steps), (made.weight,)), picked


def _along(axes: Axes) -> Axes:
    return tuple(axis for axis in axes if axis.name in (QUERY, KEY))


def _tile(made: Contraction, body: Body, picked: dict[str, Picked]) -> Tile:
    """Only what the results and the positions in tables need."""
    steps = {step.node.name: step for step in body.steps}
    actual = {node.name: {a.name for a in _along(node.axes)} for node in made.inputs}
    needed: set[str] = set()
    waiting = [*body.results]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += steps[name].operands
            waiting += [picked[name].at] if name in picked else []
    varies: dict[str, frozenset[str]] = {}

    def along(name: str) -> frozenset[str]:
        if name not in varies:
            node, own = steps[name].node, set[str]()
            if isinstance(node.attrs, IotaAttrs):
                own.add(node.attrs.axis.name)
            elif name in picked:
                own |= along(picked[name].at)
            elif node.op is INPUT:
                own |= actual.get(name, {QUERY, KEY})
            varies[name] = frozenset(own.union(*(along(o) for o in steps[name].operands)))
        return varies[name]

    for name in needed:
        along(name)
    kept = {name: step for name, step in steps.items() if name in needed}
    return Tile(
        kept, made.score, made.weight, {n: p for n, p in picked.items() if n in needed}, varies
    )


def _unspread(found: Tile, name: str) -> str:
    """What is repeated along an axis, for a choice between a value and itself."""
    read = found.operands(name)
    while found.node(name).op.name == "map" and len(read) == 3 and read[1] == read[2]:
        name, read = read[1], found.operands(read[1])
    return name
