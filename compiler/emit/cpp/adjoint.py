"""From a scan to the kernel of its way back: the cotangents of all that it reads.

Chunk by chunk from the last: the steps are run again from the carries that were kept, then back,
each by the derivative of the body. If the scan gives out all of its carries, nothing is kept and no
step is run again. What comes back to a constant is added up in each lane; if it is
a large product of two values at each step, these are given out instead, and multiplied outside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import Body
from ....dsl.items import body_inputs
from ....dsl.ops import INPUT
from ..backward import Backward, given_out, volume
from .axes import analysed
from .borders import Border, Borders
from .kernel import CHUNK, Kernel, Parts, laid_out
from .loops import Lines, write_copy
from .memory import Sizes
from .places import ELEMENTS
from .spans import Span

if TYPE_CHECKING:
    from collections.abc import Collection

    from ....dsl.core import Axis
    from ....dsl.ops import ScanAttrs
    from .places import Place


@dataclass(frozen=True)
class Adjoint:
    """A kernel of the way back. It reads the carries as they were, per-step values, constants, then
    the cotangents of those float last carries and outputs that some came for.

    Carries as they were are those kept, or, if `given_out` says which outputs they are, the first
    and the outputs. `returns` says of each operand of the scan which results of the kernel make its
    cotangent: none (it holds no floats, or is not wanted), one, which is summed over axes that the
    operand lacks, or two, whose product is.
    """

    kernel: Kernel
    returns: tuple[tuple[Border, ...], ...]
    given_out: tuple[int, ...] | None


def adjoint(
    scan: ScanAttrs,
    ahead: Kernel,
    wanted: Collection[int] | None = None,
    came: Collection[int] | None = None,
) -> Adjoint:
    """The way back of a scan with a kernel: to these operands, from these results, or all.

    Raises UnsupportedError where there is none.
    """
    return _Adjoint(scan, ahead, wanted, came).made()


def _usual(scan: ScanAttrs, lane: Axis) -> bool:
    """Whether most of what is read at a step has a lane: its cotangents are not summed over it."""
    steps = body_inputs(scan.body)[scan.carries : scan.carries + scan.steps]
    has = sum(volume(node, ()) for node in steps if lane in node.axes)
    return has >= sum(volume(node, ()) for node in steps if lane not in node.axes)


class _Adjoint:
    def __init__(
        self,
        scan: ScanAttrs,
        ahead: Kernel,
        wanted: Collection[int] | None,
        came: Collection[int] | None,
    ) -> None:
        self.scan, self.ahead, self.size, self.borders = scan, ahead, Sizes(), Borders()
        self.wanted, self.came = wanted, came
        lanes = [lane for lane in ahead.lanes if _usual(scan, lane)]
        self.parts = parts = Backward(scan, lanes, wanted, came)
        self.given_out = given_out(scan)
        again = Span(_first_results(parts.step, scan.carries), scan.carries, self.size)
        self.back = Span(parts.body, parts.carries, self.size)
        self.inside = self.back.inputs[parts.carries :]
        spans = [again, self.back] if self.given_out is None else [self.back]
        axes = analysed(
            [span.flow for span in spans],
            [node for span in spans for node in span.carries],
            self.back.outputs,
            [own for span in spans for own in span.statements.found],
            [
                replace(own, name=lifted.name)
                for own, lifted in zip(parts.own, self.inside, strict=False)
            ],
        )
        self.again, self.one = again, again.settled(axes, "f_")
        self.two = self.back.settled(axes, "b_")
        self.two.indexed = self.one.indexed
        self.start, self.check, self.finish = Lines(), Lines(depth=3), Lines()
        self.steps: list[str] = []

    def made(self) -> Adjoint:
        """The kernel, and what its results are."""
        news = None
        if self.given_out is None:
            news = self._kept()
        else:
            self._outputs()
        self._read()
        returns = self._written()
        back = self.back.write(depth=3)
        again = Lines() if news is None else self.again.write(news, depth=3)
        lines = Parts(
            self.start.lines,
            self.steps,
            check=self.check.lines,
            again=again.lines,
            back=back.lines,
            finish=self.finish.lines,
        )
        memories = [self.two] if news is None else [self.one, self.two]
        title = "The way back of a recurrence"
        kernel = laid_out(self.scan, "adjoint", title, memories, self.borders, lines)
        found = tuple(returns.get(at, ()) for at in range(len(self.parts.own)))
        return Adjoint(kernel, found, self.given_out)

    def _kept(self) -> list[Place]:
        """The carries of a chunk, from those kept; where they go when its steps are run again."""
        one, news = self.one, []
        kept = [border for border in self.ahead.results if border.kind == "kept"]
        for at, (node, ahead) in enumerate(zip(self.again.carries, kept, strict=True)):
            whole = (CHUNK, *node.axes)
            border, place = self.borders.add(
                one, "check", whole, node.dtype, CHUNK.name, ahead.inner
            )
            held = one.buffer(f"held_{at}", node.axes, node.dtype)
            count = one.buffers[held.base][1]
            one.buffers[held.base] = held, f"(every + 1) * ({count})"
            self.check.add(self.borders.moved(border, CHUNK.name, "chunk"))
            write_copy(one, node.axes, place, held, self.check)
            element = ELEMENTS[node.dtype]
            for word, place_ in ((f"old_{at}", "i - from"), (f"new_{at}", "i - from + 1")):
                self.steps.append(
                    f"{element} *__restrict {word} = held_{at} + ({place_}) * ({count});"
                )
            old = replace(held, base=f"old_{at}")
            news.append(replace(held, base=f"new_{at}"))
            one.places[node.name] = self.two.places[self.inside[at].name] = old
        return news

    def _outputs(self) -> None:
        """The carries before a step: the first, then those that the scan gave out."""
        two, axis, before = self.two, self.scan.axis, "t + 1" if self.scan.reverse else "t - 1"
        for at, node in enumerate(self.inside[: self.scan.carries]):
            first, place = self.borders.add(two, "first", node.axes, node.dtype)
            later, moved = self.borders.add(two, "given", (axis, *node.axes), node.dtype, axis.name)
            strides = dict(place.strides)
            for name, step in moved.strides.items():
                if step != strides[name]:
                    strides[name] = f"a_{at}_{two.index(name)}"
                    self.steps.append(
                        f"const long {strides[name]} = i ? {step} : {place.strides[name]};"
                    )
            element = ELEMENTS[node.dtype]
            self.steps.append(
                f"const {element} *__restrict old_{at} = i ? {later.word}_0 "
                f"+ ({before}) * {later.apart(axis.name)} : {first.word};"
            )
            own = replace(place, base=f"old_{at}", strides=strides)
            two.places[node.name] = self._back(later, own)

    def _read(self) -> None:
        """Per-step values, constants, and the cotangents of results."""
        scan, parts, borders, two = self.scan, self.parts, self.borders, self.two
        for at, own in enumerate(parts.own[scan.carries :], scan.carries):
            moving = scan.axis.name if at < scan.carries + scan.steps else None
            kind, whole = ("given", (scan.axis, *own.axes)) if moving else ("fixed", own.axes)
            border, place = borders.add(two, kind, whole, own.dtype, moving)
            self.one.places[self.again.inputs[at].name] = two.places[self.inside[at].name] = place
            if moving:
                two.places[self.inside[at].name] = self._back(border, place)
                self.steps.append(borders.moved(border, moving, "t"))
        for at, node in zip(parts.carried, self.back.carries, strict=False):
            two.places[node.name] = two.buffer(f"back_{at}", node.axes, node.dtype)
            if self.came is None or at in self.came:
                place = borders.add(two, "came", node.axes, node.dtype)[1]
                write_copy(two, node.axes, place, two.places[node.name], self.start)
        for node in self.inside[len(parts.own) :]:
            border, place = borders.add(
                two, "came", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.places[node.name] = self._back(border, place)
            self.steps.append(borders.moved(border, scan.axis.name, "t"))
        for at, node in zip(parts.summed, self.back.carries[len(parts.carried) :], strict=True):
            two.places[node.name] = two.buffer(f"sum_{at}", node.axes, node.dtype)

    def _back(self, border: Border, place: Place) -> Place:
        """Where a step of a tensor lies, as it is read or written on the way back."""
        if self.scan.reverse:
            return place
        return replace(place, ahead=self.borders.ahead(self.two, border, self.scan.axis.name))

    def _written(self) -> dict[int, tuple[Border, ...]]:
        """The cotangents of operands."""
        scan, parts, borders, two = self.scan, self.parts, self.borders, self.two
        returns: dict[int, tuple[Border, ...]] = {}
        for at, node in zip([*parts.carried, *parts.summed], self.back.carries, strict=True):
            if self.wanted is None or at in self.wanted:
                border, place = borders.add(two, "gone", node.axes, node.dtype)
                write_copy(two, node.axes, two.places[node.name], place, self.finish)
                returns[at] = (border,)
        for index, (at, node) in enumerate(zip(parts.outputs, self.back.outputs, strict=True)):
            border, place = borders.add(
                two, "gone", (scan.axis, *node.axes), node.dtype, scan.axis.name
            )
            two.outs.setdefault(self.back.result(parts.carries + index), []).append(
                self._back(border, place)
            )
            self.steps.append(borders.moved(border, scan.axis.name, "t"))
            returns[at] = (*returns.get(at, ()), border)
        return returns


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
