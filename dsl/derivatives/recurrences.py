"""The derivative of a scan: a scan in the other direction backwards, a wider one forwards.

Each step of the adjoint computes the step again from what entered it, and carries back the
cotangents of the carries. Those of per-step values it gives out; those of constants it adds up. A
carry whose cotangent is zero throughout has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from ..core import Body, DType, Step, without
from ..items import body_inputs
from .tape import feeding, reached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..core import Axis, Node
    from .tape import Tape

    Pull = Callable[[Tape, Mapping[str, Node], set[str]], dict[str, Node]]
    Push = Callable[[Tape, Mapping[str, Node]], dict[str, Node]]


class _Body:
    """The body of a scan as a tape that grows, with the operands that its inputs get."""

    def __init__(self, tape: Tape, node: Node, varied: Iterable[str]) -> None:
        assert isinstance(node.attrs, ops.ScanAttrs)
        self.tape, self.node, self.scan = tape, node, node.attrs
        unnamed = (Step(replace(s.node, site=None), s.operands) for s in self.scan.body.steps)
        self.inner = tape.inside(unnamed)
        self.own = body_inputs(self.scan.body)
        self.results = self.scan.body.results
        self.operands = tape.operands[node.name]
        self.first_constant = self.scan.carries + self.scan.steps
        self.varied = self._varied(set(varied))
        self.carries: list[tuple[Node, Node]] = []  # each input with the operand that it gets
        self.steps: list[tuple[Node, Node]] = []
        self.constants: list[tuple[Node, Node]] = []

    def _varied(self, depends: set[str]) -> set[str]:
        """What in the body depends on operands that depend on what is wanted, in any step."""
        pairs = zip(self.own, self.operands, strict=True)
        starts = {i.name for i, o in pairs if o in depends and i.dtype is DType.FLOAT}
        while True:
            found = reached(self.inner, starts)
            more = {
                own.name
                for own, new in zip(self.own[: self.scan.carries], self.results, strict=False)
                if new in found and own.dtype is DType.FLOAT
            }
            if more <= starts:
                return found
            starts |= more

    def riding(self, values: Iterable[Node]) -> tuple[Axis, ...]:
        """The axes of these values that no sum goes over."""
        seen = {axis.name: axis for value in values for axis in value.axes}
        return tuple(axis for name, axis in seen.items() if name in self.tape.riding)

    def wide(self, own: Node, riding: Sequence[Axis]) -> Node:
        """A new input for what belongs to an input: it has its axes, and those that ride along."""
        more = tuple(axis for axis in riding if axis.name not in own.axis_names)
        return self.inner.input((*own.axes, *more))

    def present(self, value: Node) -> Node:
        """A new input for an outer value: at the present step, if it has the scan's axis."""
        name = self.scan.axis.name
        own = self.inner.input(without(value.axes, [name]), value.dtype)
        (self.steps if name in value.axis_names else self.constants).append((own, value))
        return own

    def made(self, results: Sequence[Node], reverse: bool) -> Node:
        """The scan with these results, the first for the carries; only what they need is in it."""
        inner = self.inner
        names = tuple(node.name for node in results)
        live = {*feeding(inner, names), *(own.name for own, _ in self.carries)}
        groups = [
            [pair for pair in group if pair[0].name in live]
            for group in (self.carries, self.steps, self.constants)
        ]
        inputs = [own for group in groups for own, _ in group]
        rest = [s for s in inner.steps if s.node.op is not ops.INPUT and s.node.name in live]
        body = Body((*(Step(own, ()) for own in inputs), *rest), names)
        attrs = ops.ScanAttrs(
            self.scan.axis, body, len(self.carries), len(groups[1]), self.scan.reverse != reverse
        )
        given = [value for group in groups for _, value in group]
        return self.tape.emit(ops.SCAN, attrs, *given)


def recurred_back(
    tape: Tape, node: Node, cotangents: Mapping[int, Node], depends: set[str], pull: Pull
) -> list[Node | None]:
    """The cotangents of a scan's operands from those of its results; None for zero."""
    body = _Body(tape, node, depends)
    scan, inner, own = body.scan, body.inner, body.own
    active = _active(body, cotangents)
    riding = body.riding([*cotangents.values(), *tape.read(node)])
    seeds: dict[str, Node] = {}

    def arrive(result: str, cotangent: Node) -> None:
        seed = inner.fit(cotangent, inner.nodes[result].axes, cotangent.axes)
        whole = inner.add(seeds.get(result), seed)
        assert whole is not None
        seeds[result] = whole

    for index in active:
        start = cotangents.get(index) or tape.number(0.0)
        body.carries.append((body.wide(own[index], riding), start))
        if body.results[index] in body.varied:
            arrive(body.results[index], body.carries[-1][0])
    for index in sorted(cotangents):
        if index >= scan.carries and body.results[index] in body.varied:
            arrive(body.results[index], body.present(cotangents[index]))
    wanted = {inp.name for inp in own if inp.name in body.varied}
    found = pull(inner, seeds, wanted)

    results = [found.get(own[index].name) or inner.number(0.0) for index in active]
    places = dict(zip(active, range(len(active)), strict=True))
    outputs = []
    for index in range(scan.carries, len(own)):
        back = found.get(own[index].name)
        if back is None or body.operands[index] not in depends:
            continue
        if index < body.first_constant:
            outputs.append((index, back))
            continue
        held = body.wide(own[index], riding)
        body.carries.append((held, tape.number(0.0)))
        places[index] = len(results)
        results.append(inner.map("add", held, back))
    for index, back in outputs:
        places[index] = len(results)
        results.append(back)
    if not results:
        return [None] * len(own)
    _recompute(body, results)
    adjoint = body.made(results, reverse=True)
    return [_operand(body, adjoint, places.get(index), index, depends) for index in range(len(own))]


def _operand(
    body: _Body, adjoint: Node, place: int | None, index: int, depends: set[str]
) -> Node | None:
    """What comes back to one operand."""
    name = body.operands[index]
    if place is None or name not in depends:
        return None
    value = body.tape.item(adjoint, place)
    return body.tape.fit(value, body.tape.nodes[name].axes, value.axes)


def _active(body: _Body, cotangents: Mapping[int, Node]) -> list[int]:
    """The carries that something comes back to, in some step."""
    carries = range(body.scan.carries)
    active = {i for i in carries if i in cotangents and body.own[i].name in body.varied}
    outputs = [body.results[i] for i in cotangents if i not in carries]
    while True:
        ends = [*outputs, *(body.results[i] for i in active)]
        needed = feeding(body.inner, [n for n in ends if n in body.varied], body.varied)
        more = {i for i in carries if body.own[i].name in needed}
        if more <= active:
            return sorted(active)
        active |= more


def _recompute(body: _Body, results: Sequence[Node]) -> None:
    """Give the body what the step had: the carries that went in, per-step values, constants."""
    needed = feeding(body.inner, [node.name for node in results])
    for index, own in enumerate(body.own):
        if own.name not in needed:
            continue
        if index < body.scan.carries:
            body.steps.append((own, _entered(body, index)))
        else:
            pair = (own, body.tape.nodes[body.operands[index]])
            (body.steps if index < body.first_constant else body.constants).append(pair)


def _entered(body: _Body, index: int) -> Node:
    """A carry as it entered each step: an output of the scan, which gets it if it lacks it."""
    tape = body.tape
    node = tape.nodes[body.node.name]  # which may have got outputs since
    scan = node.attrs
    assert isinstance(scan, ops.ScanAttrs)
    carry = body.own[index].name
    outputs = scan.body.results[scan.carries :]
    if carry in outputs:
        return tape.item(node, scan.carries + outputs.index(carry))
    longer = replace(scan.body, results=(*scan.body.results, carry))
    new = replace(node, attrs=replace(scan, body=longer))
    tape.swap(new)
    return tape.item(new, len(longer.results) - 1)


def recurred(tape: Tape, node: Node, tangents: Mapping[int, Node], push: Push) -> dict[int, Node]:
    """The tangents of a scan's results from those of its operands, by place."""
    body = _Body(tape, node, [tape.operands[node.name][index] for index in tangents])
    scan, inner, own = body.scan, body.inner, body.own
    riding = body.riding([*tangents.values(), *tape.read(node)])
    seeds: dict[str, Node] = {}
    moving = []
    for index, inp in enumerate(own[: scan.carries]):
        pair = (inp, tape.nodes[body.operands[index]])
        body.carries.append(pair)
        if inp.name in body.varied:
            moving.append(index)
    for index in moving:
        start = tangents.get(index) or tape.number(0.0)
        seeds[own[index].name] = body.wide(own[index], riding)
        body.carries.append((seeds[own[index].name], start))
    for index in sorted(tangents):
        if index >= scan.carries and own[index].name in body.varied:
            seeds[own[index].name] = body.present(tangents[index])
    for index, inp in enumerate(own[scan.carries :], scan.carries):
        pair = (inp, tape.nodes[body.operands[index]])
        (body.steps if index < body.first_constant else body.constants).append(pair)
    found = push(inner, seeds)
    results = [inner.nodes[name] for name in body.results[: scan.carries]]
    places = {index: len(results) + at for at, index in enumerate(moving)}
    results += [found.get(body.results[index]) or inner.number(0.0) for index in moving]
    for index in range(scan.carries, len(body.results)):
        moved = found.get(body.results[index])
        if moved is not None:
            places[index] = len(results)
            results.append(moved)
    wider = body.made(results, reverse=False)
    return {index: tape.item(wider, place) for index, place in places.items()}
