"""How a scan can be run by programs: which lanes, how many together, by how many warps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.items import body_inputs
from ..backward import volume
from .kernel import Plan, lanes_of
from .tiles import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Axis, Node
    from ....dsl.ops import ScanAttrs

STATE = 4096  # numbers of carries in one program, if a block can be smaller
WIDEST = 32  # lanes in a block
PER_WARP = 2048  # numbers that a warp holds well: 64 in each thread; in chunks there are others
FEW = 512  # numbers of which those of several turns of the loop fit the shared memory
MOST_WARPS = 16


def planned(scan: ScanAttrs, body: ScanAttrs, rows: Axis | None) -> Plan:
    """The plan by which a step of `body` is a turn of the loop: `scan`, or that in chunks."""
    lanes = lanes_of(body)
    inputs = body_inputs(body.body)
    steps = body.carries + body.steps
    there = rows is not None  # the last per-step value, which is read of no memory
    carries, given = inputs[: body.carries], inputs[body.carries : steps - there]
    given = (*given, *inputs[steps:])
    hidden = {axis.name for axis in lanes}
    held = sum(volume(node, hidden) for node in carries)
    block = _block(lanes, given, alone=held == len(carries))
    width = 1
    if block is not None:
        most = min(WIDEST, max(STATE // max(held, 1), 16))
        width = min(most, rounded(block.size)) if isinstance(block.size, int) else most
    holding = carries if there else inputs  # in chunks all else is read and gone
    numbers = sum(_held(node, hidden, block, width) for node in holding)
    stages = 3 if there else 2 if numbers > FEW else 4  # of chunks 2 spill more, and so do 4
    warps = _warps(numbers, rows)
    return Plan(scan, body, rows, lanes, block, width, warps, stages)


def _held(node: Node, hidden: set[str], block: Axis | None, width: int) -> int:
    """How many numbers of a value a program holds."""
    return volume(node, hidden) * (width if block in node.axes else 1)


def _block(lanes: Axes, given: Sequence[Node], *, alone: bool) -> Axis | None:
    """The lane of which some are run together: the largest that something read lacks, so that it
    is read once; any, where a program would have but one number of each carry."""
    known = [axis for axis in lanes if isinstance(axis.size, int) and axis.size > 1]
    shared = [axis for axis in known if any(axis.name not in n.axis_names for n in given)]
    if alone:
        return max(known, key=_size) if known else (lanes[-1] if lanes else None)
    return max(shared, key=_size) if shared else None


def _size(axis: Axis) -> int:
    assert isinstance(axis.size, int)
    return axis.size


def _warps(numbers: int, rows: Axis | None) -> int:
    warps, most = (1, PER_WARP) if rows is None else (4, PER_WARP // 8)
    while warps * most < numbers and warps < MOST_WARPS:
        warps *= 2
    return warps
