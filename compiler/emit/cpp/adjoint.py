"""From a scan to the kernel of its way back: the cotangents of all that it reads.

Chunk by chunk from the last: the steps are run again from the carries that were kept, then back,
each by the derivative of the body. What comes back to a constant is added up in each lane; if it is
a large product of two values at each step, these are given out instead, and multiplied outside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import Body
from ....dsl.items import body_inputs
from ....dsl.ops import INPUT
from ..backward import Backward, volume
from .axes import analysed
from .borders import Border, Borders
from .kernel import CHUNK, Kernel, Parts, laid_out
from .loops import Lines, write_copy
from .memory import Sizes
from .places import ELEMENTS
from .spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axis
    from ....dsl.ops import ScanAttrs


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
    has = sum(volume(node, ()) for node in steps if lane in node.axes)
    return has >= sum(volume(node, ()) for node in steps if lane not in node.axes)


class _Adjoint:
    def __init__(self, scan: ScanAttrs, lanes: Sequence[Axis]) -> None:
        self.scan, self.size, self.borders = scan, Sizes(), Borders()
        self.parts = Backward(scan, lanes)

    def made(self) -> Adjoint:
        """The kernel, and what its results are."""
        scan, borders, parts = self.scan, self.borders, self.parts
        again = Span(_first_results(parts.step, scan.carries), scan.carries, self.size)
        back = Span(parts.body, parts.carries, self.size)
        axes = analysed(
            [again.flow, back.flow],
            [*again.carries, *back.carries],
            back.outputs,
            [*again.statements.found, *back.statements.found],
            [
                replace(own, name=lifted.name)
                for own, lifted in zip(parts.own, again.inputs, strict=True)
            ],
        )
        one, two = again.settled(axes, "f_"), back.settled(axes, "b_")
        two.indexed = one.indexed
        steps: list[str] = []
        check = Lines(depth=3)
        olds, news = [], []
        inside = back.inputs[parts.carries :]
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
        for at, own in enumerate(parts.own[scan.carries :], scan.carries):
            moving = scan.axis.name if at < scan.carries + scan.steps else None
            kind, whole = ("given", (scan.axis, *own.axes)) if moving else ("fixed", own.axes)
            border, place = borders.add(one, kind, whole, own.dtype, moving)
            one.places[again.inputs[at].name] = two.places[inside[at].name] = place
            if moving:
                steps.append(borders.moved(border, moving, "t"))
        start, finish = Lines(), Lines()
        returns: dict[int, tuple[Border, ...]] = {}
        for at, node in zip(parts.carried, back.carries, strict=False):
            place = borders.add(two, "came", node.axes, node.dtype)[1]
            two.places[node.name] = two.buffer(f"back_{at}", node.axes, node.dtype)
            write_copy(two, node.axes, place, two.places[node.name], start)
        for node in inside[len(parts.own) :]:
            border, place = borders.add(
                two, "came", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.places[node.name] = place
            steps.append(borders.moved(border, scan.axis.name, "t"))
        for at, node in zip(parts.summed, back.carries[len(parts.carried) :], strict=True):
            two.places[node.name] = two.buffer(f"sum_{at}", node.axes, node.dtype)
        for at, node in zip([*parts.carried, *parts.summed], back.carries, strict=True):
            border, place = borders.add(two, "gone", node.axes, node.dtype)
            write_copy(two, node.axes, two.places[node.name], place, finish)
            returns[at] = (border,)
        for index, (at, node) in enumerate(zip(parts.outputs, back.outputs, strict=True)):
            border, place = borders.add(
                two, "gone", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.outs.setdefault(back.result(parts.carries + index), []).append(place)
            steps.append(borders.moved(border, scan.axis.name, "t"))
            returns[at] = (*returns.get(at, ()), border)
        forward, backward = again.write(news, depth=3), back.write(depth=3)
        lines = Parts(
            start.lines,
            steps,
            check=check.lines,
            again=forward.lines,
            back=backward.lines,
            finish=finish.lines,
        )
        kernel = laid_out(
            scan, "adjoint", "The way back of a recurrence", [one, two], borders, lines
        )
        return Adjoint(kernel, tuple(returns.get(at, ()) for at in range(len(parts.own))))


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
