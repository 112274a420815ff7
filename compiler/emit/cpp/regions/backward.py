"""From a region to the kernel of its way back: the cotangents of all that it reads.

The derivative of the body is a body; what the way there computed is computed again, row by row.
What comes back to an operand that all rows share is added up over the rows of a piece of work, and
given out once for each piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .....dsl.core import Body, DType, Step, names, without
from .....dsl.derivatives import pullback
from .....dsl.items import body_inputs
from .....dsl.ops import INPUT, MAP, InputAttrs, MapAttrs
from ....context import Context
from ....graph import Graph
from ....lift import with_inputs
from ....passes.fold import fold
from ....passes.prune import prune
from ..axes import analysed
from ..borders import Borders
from ..kernel import CHUNK
from ..loops import Lines, write_copy
from ..memory import Sizes
from ..spans import Span
from .rows import in_rows, laid_out, rows_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from .....dsl.core import Axis, Node
    from ..axes import Axes
    from ..borders import Border
    from ..kernel import Kernel


@dataclass(frozen=True)
class Backward:
    """A kernel that reads what the region reads, then the cotangents of its float results.

    `returns` says of each operand which results of the kernel make its cotangent: none, or one,
    which is summed over axes that the operand lacks.
    """

    kernel: Kernel
    returns: tuple[tuple[Border, ...], ...]


def backward(
    body: Body, lanes: tuple[Axis, ...], moved: Collection[int], vector: str | None = None
) -> Backward:
    """The way back of a region whose kernel has these lanes, to these of its operands; `vector` is
    the axis that is last in memory.

    Raises UnsupportedError where there is none.
    """
    return _Backward(body, lanes, moved, vector).made()


class _Backward:
    def __init__(
        self, body: Body, lanes: tuple[Axis, ...], moved: Collection[int], vector: str | None
    ) -> None:
        self.vector = vector
        self.own = body_inputs(body)
        self.floats = sorted(moved)
        types = []
        for at, node in enumerate(self.own):
            more = tuple(axis for axis in lanes if axis.name not in node.axis_names)
            wide = (*more, *node.axes) if at in moved else node.axes
            types.append((wide, node.dtype))
        lifted = with_inputs(body, types)
        inputs = body_inputs(lifted)
        back = pullback(lifted, [inputs[at].name for at in self.floats])
        self.given = body_inputs(back)
        self.back = prune(fold(Graph.from_body(back), Context()), Context()).to_body()
        self.results = dict(zip(self.floats, self.back.results, strict=True))

    def _ordered(self, summed: dict[int, Node]) -> Body:
        """The body with the sums for some operands as carries, then the other cotangents."""
        nodes = {step.node.name: step.node for step in self.back.steps}
        rest = [step for step in self.back.steps if step.node.op is not INPUT]
        results = []
        for at, held in summed.items():
            found = nodes[self.results[at]]
            new = replace(held, name=f"more {at}", op=MAP, attrs=MapAttrs("add"))
            rest.append(Step(new, (held.name, found.name)))
            results.append(new.name)
        results += dict.fromkeys(self.results[at] for at in self.floats if at not in summed)
        inputs = [*summed.values(), *self.given]
        return Body((*(Step(node, ()) for node in inputs), *rest), tuple(results))

    def _sums(self, axes: Axes) -> dict[int, Node]:
        """What holds the sum for each operand that is the same in all rows."""
        rows = set(names(rows_of(axes)))
        found = {}
        for at in self.floats:
            if rows and not self.own[at].axis_names & rows:
                wide = self.given[at].axes
                attrs = InputAttrs(names(wide), wide, DType.FLOAT)
                found[at] = replace(
                    self.given[at], name=f"sum {at}", op=INPUT, attrs=attrs, site=None
                )
        return found

    def made(self) -> Backward:
        """The kernel, and what its results are."""
        size, borders = Sizes(), Borders()
        first = Span(self._ordered({}), 0, size)
        axes = in_rows(
            analysed([first.flow], (), first.outputs, first.statements.found, vector=self.vector)
        )
        summed = self._sums(axes)
        span = Span(self._ordered(summed), len(summed), size)
        memory = span.settled(axes)
        inside = span.inputs[len(summed) :]
        for at, node in enumerate(inside):
            kind, own = ("fixed", self.own[at]) if at < len(self.own) else ("came", node)
            memory.places[node.name] = borders.add(memory, kind, own.axes, own.dtype)[1]
        returns: dict[int, tuple[Border, ...]] = {}
        gone: dict[str, Border] = {}  # what comes back to several operands is given out once
        for at in self.floats:
            name = self.results[at]
            if at in summed:
                continue
            if name not in gone:
                index = len(gone)
                node = span.outputs[index]
                gone[name], place = borders.add(memory, "gone", node.axes, node.dtype)
                memory.outs.setdefault(span.result(len(summed) + index), []).append(place)
            returns[at] = (gone[name],)
        pointers, finish = tuple(borders.pointers), Lines()
        rows = names(rows_of(axes))
        for at, node in zip(summed, span.carries, strict=True):
            held = memory.buffer(f"sum_{at}", node.axes, node.dtype)
            memory.places[node.name] = held
            inner = without(node.axes, rows)
            border, place = borders.add(memory, "gone", (CHUNK, *inner), node.dtype, CHUNK.name)
            finish.add(borders.moved(border, CHUNK.name, "(from / every)"))
            write_copy(memory, inner, held, place, finish)
            returns[at] = (border,)
        kernel = laid_out(
            "The way back of a region",
            memory,
            borders,
            pointers,
            span.write().lines,
            finish.lines,
        )
        return Backward(kernel, tuple(returns.get(at, ()) for at in range(len(self.own))))
