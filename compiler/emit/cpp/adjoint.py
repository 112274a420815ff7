"""From a scan to the kernel of its way back: the cotangents of all that it reads.

Chunk by chunk from the last: the steps are run again from the carries that were kept, then back,
each by the derivative of the body. What comes back to a constant is added up in each lane; if it is
a large product of two values at each step, these are given out instead, and multiplied outside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import Body, DType, Step, names
from ....dsl.derivatives import pullback
from ....dsl.items import body_inputs
from ....dsl.ops import CONST, INPUT, IOTA, MAP, ConstAttrs, InputAttrs, IotaAttrs, MapAttrs
from ...context import Context
from ...graph import Graph
from ...lift import with_inputs
from ...passes.fold import fold
from ...passes.prune import prune
from .axes import UNKNOWN, analysed
from .borders import Border, Borders
from .kernel import CHUNK, Kernel, Parts, laid_out
from .loops import Lines, write_copy
from .memory import Sizes
from .places import ELEMENTS
from .spans import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ....dsl.core import Axis, Node
    from ....dsl.ops import Attrs, OpDef, ScanAttrs
    from ...graph import Edit

LARGE = 4096  # numbers in a product that is not added up at each step


@dataclass(frozen=True)
class Adjoint:
    """A kernel of the way back. It reads the carries kept, per-step values, constants, then the
    cotangents of float last carries and outputs.

    `returns` says of each operand of the scan which results of the kernel make its cotangent: none
    (it holds no floats), one, which is summed over axes that the operand lacks, or two, whose
    product is.
    """

    kernel: Kernel
    returns: tuple[tuple[Border, ...], ...]


def adjoint(scan: ScanAttrs, lanes: Sequence[Axis]) -> Adjoint:
    """The way back of a scan whose kernel has these lanes.

    Raises UnsupportedError where there is none.
    """
    return _Adjoint(scan, [lane for lane in lanes if _usual(scan, lane)]).made()


def _usual(scan: ScanAttrs, lane: Axis) -> bool:
    """Whether most of what is read at a step has a lane: its cotangents are not summed over it."""
    steps = body_inputs(scan.body)[scan.carries : scan.carries + scan.steps]
    has = sum(_volume(node, ()) for node in steps if lane in node.axes)
    return has >= sum(_volume(node, ()) for node in steps if lane not in node.axes)


def _volume(node: Node, hidden: Collection[str]) -> int:
    found = 1
    for axis in node.axes:
        if axis.name not in hidden:
            found *= axis.size if isinstance(axis.size, int) else UNKNOWN
    return found


class _Adjoint:
    def __init__(self, scan: ScanAttrs, lanes: Sequence[Axis]) -> None:
        self.scan, self.size, self.borders = scan, Sizes(), Borders()
        self.own = body_inputs(scan.body)
        self.body = _lifted(scan.body, scan, lanes)
        self.floats = [at for at, node in enumerate(self.own) if node.dtype is DType.FLOAT]
        self.carried = [at for at in self.floats if at < scan.carries]
        inputs = body_inputs(self.body)
        back = pullback(self.body, [inputs[at].name for at in self.floats])
        self.given = body_inputs(back)
        back = prune(fold(Graph.from_body(back), Context()), Context()).to_body()
        self.place = {at: place for place, at in enumerate(self.floats)}
        nodes = {step.node.name: step.node for step in back.steps}
        reads = {step.node.name: step.operands for step in back.steps}
        self.products: dict[int, tuple[str, str]] = {}
        first = scan.carries + scan.steps
        for at in self.floats:
            if at >= first:
                found = _product(nodes, reads, back.results[self.place[at]], lanes)
                if found is not None:
                    self.products[at] = found
        self.back = self._ordered(back, nodes)

    def _ordered(self, back: Body, nodes: dict[str, Node]) -> Body:
        """The body with cotangents of carries, then sums for constants, as carries."""
        scan = self.scan
        given, count = self.given, len(self.own)
        floats = [
            at for at, name in enumerate(self.body.results) if self._dtype(name) is DType.FLOAT
        ]
        cotangents = dict(zip(floats, given[count:], strict=True))
        self.came = [cotangents[at] for at in floats if at >= scan.carries]
        carries = [cotangents[at] for at in self.carried]
        results = [back.results[self.place[at]] for at in self.carried]
        added: list[Step] = []
        self.summed = []
        for at in self.floats:
            if at < scan.carries + scan.steps or at in self.products:
                continue
            node = nodes[back.results[self.place[at]]]
            axes = given[at].axes
            attrs = InputAttrs(names(axes), axes, DType.FLOAT)
            held = replace(node, name=f"sum {at}", op=INPUT, attrs=attrs, axes=axes, site=None)
            new = replace(held, name=f"more {at}", op=MAP, attrs=MapAttrs("add"))
            added.append(Step(new, (held.name, node.name)))
            carries.append(held)
            results.append(new.name)
            self.summed.append(at)
        self.stepped = [at for at in self.floats if scan.carries <= at < scan.carries + scan.steps]
        results += [back.results[self.place[at]] for at in self.stepped]
        for at in self.products:
            results += self.products[at]
        rest = [step for step in back.steps if step.node.op is not INPUT]
        inputs = [*carries, *given[:count], *self.came]
        self.back_carries = len(carries)
        return Body((*(Step(node, ()) for node in inputs), *rest, *added), tuple(results))

    def _dtype(self, name: str) -> DType:
        return next(step.node.dtype for step in self.body.steps if step.node.name == name)

    def _weights(self, again: Span) -> list[Node]:
        """The inputs of the body with the axes that they have in memory."""
        return [
            replace(own, name=lifted.name)
            for own, lifted in zip(self.own, again.inputs, strict=True)
        ]

    def made(self) -> Adjoint:
        """The kernel, and what its results are."""
        scan, borders = self.scan, self.borders
        again = Span(_first_results(self.body, scan.carries), scan.carries, self.size)
        back = Span(self.back, self.back_carries, self.size)
        axes = analysed(
            [again.flow, back.flow],
            [*again.carries, *back.carries],
            back.outputs,
            [*again.statements.found, *back.statements.found],
            [
                replace(own, name=lifted.name)
                for own, lifted in zip(self.own, again.inputs, strict=True)
            ],
        )
        one, two = again.settled(axes, "f_"), back.settled(axes, "b_")
        two.indexed = one.indexed
        steps: list[str] = []
        check = Lines(depth=3)
        olds, news = [], []
        inside = back.inputs[self.back_carries :]
        for at, node in enumerate(again.carries):
            border, place = borders.add(one, "check", (CHUNK, *node.axes), node.dtype, CHUNK.name)
            held = one.buffer(f"held_{at}", node.axes, node.dtype)
            count = one.buffers[held.base][1]
            one.buffers[held.base] = held, f"(every + 1) * ({count})"
            check.add(borders.moved(border, CHUNK.name, "chunk"))
            write_copy(one, node.axes, place, held, check)
            element = ELEMENTS[node.dtype]
            for word, place_ in ((f"old_{at}", "i - from"), (f"new_{at}", "i - from + 1")):
                steps.append(f"{element} *__restrict {word} = held_{at} + ({place_}) * ({count});")
            olds.append(replace(held, base=f"old_{at}"))
            news.append(replace(held, base=f"new_{at}"))
            one.places[node.name] = two.places[inside[at].name] = olds[-1]
        for at, own in enumerate(self.own[scan.carries :], scan.carries):
            moving = scan.axis.name if at < scan.carries + scan.steps else None
            kind, whole = ("given", (scan.axis, *own.axes)) if moving else ("fixed", own.axes)
            border, place = borders.add(one, kind, whole, own.dtype, moving)
            one.places[again.inputs[at].name] = two.places[inside[at].name] = place
            if moving:
                steps.append(borders.moved(border, moving, "t"))
        start, finish = Lines(), Lines()
        returns: dict[int, tuple[Border, ...]] = {}
        for at, node in zip(self.carried, back.carries, strict=False):
            place = borders.add(two, "came", node.axes, node.dtype)[1]
            two.places[node.name] = two.buffer(f"back_{at}", node.axes, node.dtype)
            write_copy(two, node.axes, place, two.places[node.name], start)
        for node in inside[len(self.own) :]:
            border, place = borders.add(
                two, "came", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.places[node.name] = place
            steps.append(borders.moved(border, scan.axis.name, "t"))
        for at, node in zip(self.summed, back.carries[len(self.carried) :], strict=True):
            two.places[node.name] = two.buffer(f"sum_{at}", node.axes, node.dtype)
        for at, node in zip([*self.carried, *self.summed], back.carries, strict=True):
            border, place = borders.add(two, "gone", node.axes, node.dtype)
            write_copy(two, node.axes, two.places[node.name], place, finish)
            returns[at] = (border,)
        places = [*self.stepped, *(at for at in self.products for _ in range(2))]
        for index, (at, node) in enumerate(zip(places, back.outputs, strict=True)):
            border, place = borders.add(
                two, "gone", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.outs.setdefault(back.result(self.back_carries + index), []).append(place)
            steps.append(borders.moved(border, scan.axis.name, "t"))
            returns[at] = (*returns.get(at, ()), border)
        forward, backward = again.write(news, depth=3), back.write(depth=3)
        parts = Parts(
            start.lines,
            steps,
            check=check.lines,
            again=forward.lines,
            back=backward.lines,
            finish=finish.lines,
        )
        kernel = laid_out(
            scan, "adjoint", "The way back of a recurrence", [one, two], borders, parts
        )
        return Adjoint(kernel, tuple(returns.get(at, ()) for at in range(len(self.own))))


def _first_results(body: Body, count: int) -> Body:
    """The body with its first results only, and what they need."""
    inputs = [step for step in body.steps if step.node.op is INPUT]
    needed = set(body.results[:count])
    rest = []
    for step in reversed(body.steps):
        if step.node.name in needed and step.node.op is not INPUT:
            needed.update(step.operands)
            rest.append(step)
    return Body((*inputs, *reversed(rest)), body.results[:count])


def _lifted(body: Body, scan: ScanAttrs, lanes: Sequence[Axis]) -> Body:
    """The body with every input varying along all lanes: no cotangent is summed over them.

    What a carry becomes is repeated along all axes of the carry: their cotangents are alike.
    """
    types = []
    for node in body_inputs(body):
        more = tuple(axis for axis in lanes if axis.name not in node.axis_names)
        types.append(((*more, *node.axes), node.dtype))
    graph = Graph.from_body(with_inputs(body, types))
    carries = body_inputs(graph.to_body())[: scan.carries]
    results = list(graph.results)
    with graph.edit() as edit:
        for at, carry in enumerate(carries):
            new = edit.node(results[at])
            if carry.dtype is DType.FLOAT and new.dtype is not DType.FLOAT:
                results[at] = _add(edit, new, MAP, MapAttrs("float"), results[at])
            for axis in carry.axes:
                if axis.name not in new.axis_names:
                    index = _add(edit, new, IOTA, IotaAttrs(axis))
                    zero = _add(edit, new, CONST, ConstAttrs(0))
                    always = _add(edit, new, MAP, MapAttrs("ge"), index, zero)
                    both = (always, results[at], results[at])
                    results[at] = _add(edit, new, MAP, MapAttrs("where"), *both)
        edit.set_results(results)
    return edit.graph.to_body()


def _add(edit: Edit, place: Node, op: OpDef, attrs: Attrs, *read: str) -> str:
    return edit.add(op, attrs, read, span=place.span, made_by="adjoint")


def _product(
    nodes: dict[str, Node], reads: dict[str, tuple[str, ...]], name: str, lanes: Sequence[Axis]
) -> tuple[str, str] | None:
    """The two factors of a large product of smaller values."""
    node = nodes[name]
    if node.attrs != MapAttrs("mul"):
        return None
    hidden = {axis.name for axis in lanes}
    first, second = reads[name]
    whole = _volume(node, hidden)
    smaller = max(_volume(nodes[first], hidden), _volume(nodes[second], hidden)) * 8 <= whole
    return (first, second) if whole >= LARGE and smaller else None
