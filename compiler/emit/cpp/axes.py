"""What each axis of a body is: one along which all is independent, or one that the body mixes.

*Lanes* are axes along which nothing mixes and that every result has: each lane is a recurrence of
its own. All others are *inner*. One axis is the vector: the last in memory, several at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import Axis, Node, names
from ....dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
    Window,
)
from ..backward import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ....dsl.sizes import Size
    from ..flow import Flow
    from .statements import Statement

VECTOR = 8  # numbers side by side
STATE = 32 << 10  # bytes of the carries of one tile of lanes, at most
WIDEST = 512  # a wide strip of lanes reads memory in its order
NARROWEST = 16
ROWS = 4  # lanes that share what is read of a weight
LARGE = 1024  # products in a sum that is worth it


@dataclass(frozen=True)
class Axes:
    """The axes of a kernel: `order` is that in memory, the vector last."""

    lanes: tuple[Axis, ...]
    order: tuple[str, ...]
    vector: str | None
    tile: int
    """How many lanes along the vector axis are run together, if it is a lane."""
    rows: Axis | None
    """A lane several of which are run together, because they read the same weights."""
    volume: int
    """How many numbers the carries of what is run together have."""

    @property
    def vector_lane(self) -> Axis | None:
        """The vector axis, if it is a lane."""
        return next((axis for axis in self.lanes if axis.name == self.vector), None)

    def sorted(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Axes in their order in memory."""
        wanted = set(wanted)
        return tuple(name for name in self.order if name in wanted)


def mixed(flow: Flow) -> set[str]:
    """Axes along which something is summed, moved or looked at by index."""
    found: set[str] = set()
    sizes: dict[str, object] = {}
    for node in flow.nodes.values():
        for axis in node.axes:
            if sizes.setdefault(axis.name, axis.size) != axis.size:
                found.add(axis.name)
        match node.attrs:
            case ReduceAttrs(axes=axes) | ContractAttrs(axes=axes) | AlongAttrs(axes=axes):
                found.update(axes)
            case RenameAttrs(pairs=pairs):
                found.update(name for old, new in pairs for name in (*old, *names(new)))
            case IotaAttrs(axis=axis):
                found.add(axis.name)
            case IndexAttrs(how=how):
                found.add(how.axis)
                if isinstance(how, Window):
                    found.update(axis.name for axis, _ in how.terms)
            case ConcatAttrs(axis=name):
                found.add(name)
            case ScatterAttrs(axis=name, over=over):
                found.update((name, *over))
    return found


def analysed(
    flows: Sequence[Flow],
    carries: Sequence[Node],
    outputs: Sequence[Node],
    statements: Sequence[Statement],
    weights: Sequence[Node] = (),
    vector: str | None = None,
) -> Axes:
    """The axes of bodies that are run together. `weights` are inputs as they are without lanes,
    `vector` is the axis that is to be last in memory, if that is known."""
    seen: dict[str, Axis] = {}
    nodes = [node for flow in flows for node in flow.nodes.values()]
    for node in (*carries, *nodes):
        seen |= {axis.name: axis for axis in node.axes if axis.name not in seen}
    ends = (*carries, *outputs)
    shared = set.intersection(*(set(names(node.axes)) for node in ends)) if ends else set()
    moved = set().union(*map(mixed, flows))
    lanes = tuple(axis for axis in seen.values() if axis.name in shared - moved)
    if vector not in seen:
        vector = _vector(list(seen.values()), statements)
    rows = None
    if vector not in names(lanes):
        known = {node.name: node for node in (*nodes, *weights)}
        rows = _rows(known, lanes, statements)
    inner = [name for name in seen if name not in names(lanes) and name != vector]
    own = [] if rows is None else [rows.name]
    order = (*own, *inner, *([vector] if vector else []))
    volume = _volume(carries, lanes)
    tile = _tile(seen[vector].size, volume) if vector in names(lanes) and vector else 0
    together = volume * (tile or 1) * (1 if rows is None else ROWS)
    return Axes(lanes, order, vector, tile, rows, together)


def _count(axis: Axis) -> int:
    return axis.size if isinstance(axis.size, int) else UNKNOWN


def _vector(axes: Sequence[Axis], statements: Sequence[Statement]) -> str | None:
    """The axis by which the body takes the fewest operations."""

    def cost(candidate: Axis) -> float:
        total = 0.0
        side = min(VECTOR, max(_count(candidate), 1))
        for own in statements:
            work = 1.0
            for axis in own.axes:
                work *= _count(axis)
            if candidate.name in own.reduced:
                work *= 1.5
            total += work / side if candidate in own.axes else work
        return total

    best: tuple[float, str] | None = None
    for axis in axes:
        found = cost(axis), axis.name
        if best is None or found[0] <= best[0]:
            best = found
    return best[1] if best else None


def _rows(
    nodes: Mapping[str, Node], lanes: Sequence[Axis], statements: Sequence[Statement]
) -> Axis | None:
    """A lane that a large operand of a sum lacks."""
    for own in statements:
        work = 1
        for axis in own.axes:
            work *= 1 if axis in lanes else _count(axis)
        if own.kind != "reduce" or work < LARGE:
            continue
        for name in own.near:
            node = nodes[name]
            lacking = [axis for axis in lanes if axis.name not in node.axis_names]
            if own.reduced <= node.axis_names and lacking:
                return lacking[0]
    return None


def _volume(carries: Sequence[Node], lanes: Sequence[Axis]) -> int:
    """How many numbers the carries of one lane have."""
    volume = 0
    for node in carries:
        own = 1
        for axis in node.axes:
            own *= 1 if axis in lanes else _count(axis)
        volume += own
    return volume


def _tile(size: Size, volume: int) -> int:
    tile = WIDEST
    while tile > NARROWEST and tile * volume * 8 > STATE:
        tile //= 2
    return min(tile, size) if isinstance(size, int) else tile
