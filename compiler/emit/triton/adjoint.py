"""From a scan to the kernel of its way back: the cotangents of all that it reads.

Turn by turn from the last: the carries that entered it were kept, and the derivative of the body
gives what comes back. It is linear in that, and along lanes nothing mixes. So a sum over a lane of
which a program has a block is a part of the sum in each, and the parts are added outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ..backward import Backward
from ..cpp.kernel import CHUNK
from .kernel import Kernel, Parts, renewed
from .tiles import Tile
from .writer import Writer

if TYPE_CHECKING:
    from ....dsl.core import Axes
    from .borders import Border
    from .kernel import Plan


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


def adjoint(plan: Plan) -> Adjoint:
    """The way back of a scan that is run by this plan.

    Raises UnsupportedError where there is none.
    """
    parts = Parts(plan, "The way back of a recurrence")
    body, borders, tiles, lines = plan.body, parts.borders, parts.tiles, parts.lines
    single = [axis for axis in plan.lanes if axis != plan.block]
    way = Backward(body, single, multiplied=plan.block is None)
    writer = Writer(way.body, tiles)
    given: dict[str, Tile] = {}
    carries, inside = writer.inputs[: way.carries], writer.inputs[way.carries :]
    steps = body.carries + body.steps
    lines += parts.present()
    for at, node in enumerate(inside[: body.carries]):
        border = borders.add("check", (CHUNK, *way.own[at].axes), node.dtype)
        given[node.name] = parts.read(f"v_{border.word}", borders.load(border), lines)
    for at, node in enumerate(inside[body.carries : steps], body.carries):
        if plan.rows is not None and at == steps - 1:
            given[node.name] = Tile("there", (plan.rows,), DType.BOOL)
            continue
        border = borders.add("given", parts.of_steps(way.own[at]), node.dtype)
        given[node.name] = parts.read(f"v_{border.word}", borders.load(border), lines)
    for at, node in enumerate(inside[steps : len(way.own)], steps):
        border = borders.add("fixed", way.own[at].axes, node.dtype)
        given[node.name] = parts.read(f"v_{border.word}", borders.load(border), parts.start)
    for at, node in enumerate(carries):
        if at < len(way.carried):
            tile = borders.load(borders.add("came", node.axes, node.dtype))
        else:
            axes = tiles.inside(node.axes)
            tile = Tile(f"tl.zeros({tiles.shape(axes)}, tl.float32)", axes, node.dtype)
        given[node.name] = parts.read(f"carry_{at}", tile, parts.start)
    for node in inside[len(way.own) :]:
        border = borders.add("came", parts.of_steps(node), node.dtype)
        tile = borders.load(border, beyond=True)
        given[node.name] = parts.read(f"v_{border.word}", tile, lines)
    writer.write(given)
    lines += writer.lines
    returns: dict[int, tuple[Border, ...]] = {}

    def gone(at: int, axes: Axes) -> Border:
        """A result, with a part of it for each block if it lacks the lane."""
        lacking = () if plan.block is None or plan.block in axes else (plan.block,)
        parts_ = frozenset(names(lacking))
        border = borders.add("gone", (*lacking, *axes), DType.FLOAT, parts_)
        returns[at] = (*returns.get(at, ()), border)
        return border

    floats = (*way.carried, *way.summed)
    ends = [gone(at, node.axes) for at, node in zip(floats, carries, strict=True)]
    for index, at in enumerate(way.outputs, way.carries):
        node = writer.results[index]
        lines.append(borders.store(gone(at, parts.of_steps(node)), writer.result(index)))
    lines += renewed(parts, carries, [writer.result(at) for at in range(way.carries)])
    for border, node in zip(ends, carries, strict=True):
        parts.finish.append(borders.store(border, given[node.name]))
    there = plan.rows is not None
    count = len(way.own) - there
    made = [returns.get(at + (there and at >= steps - 1), ()) for at in range(count)]
    return Adjoint(parts.made("adjoint", writer), tuple(made))
