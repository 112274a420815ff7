"""Statements whose loops hold nothing else: updates at positions, functions of a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.core import DType
from ....dsl.ops import AlongAttrs, ReduceAttrs, ScatterAttrs
from .loops import nested

if TYPE_CHECKING:
    from .points import Point
    from .statements import Statement


def write_put(point: Point, own: Statement) -> None:
    """Updates go to the positions that an index says."""
    memory, attrs = point.memory, own.node.attrs
    assert isinstance(attrs, ScatterAttrs)
    index, update = own.far
    with nested(memory, memory.ordered(own.axes), point.lines):
        position = point.value(index, DType.INT)
        point.lines.add(f"const int64_t at = {position};")
        value = point.value(update, own.node.dtype)
        here = {**point.indices(), attrs.axis: "at"}
        size = memory.size(own.node.size(attrs.axis))
        place = memory.place(own.node.name)
        sign = "+=" if attrs.add else "="
        element = place.element(here)
        point.lines.add(f"if (at >= 0 && at < {size}) {element} {sign} {value};")


def write_line(point: Point, own: Statement) -> None:
    """A function of the numbers along one axis."""
    memory, attrs = point.memory, own.node.attrs
    assert isinstance(attrs, ReduceAttrs | AlongAttrs)
    axis = attrs.axes[0]
    source = memory.place(own.far[0])
    size = memory.size(memory.flow.nodes[own.far[0]].size(axis))
    with nested(memory, memory.ordered(own.axes), point.lines):
        indices = point.indices()
        for target in memory.targets(own):
            given = [
                source.pointer(indices),
                source.strides.get(axis, 0),
                size,
                target.pointer(indices),
                target.strides.get(axis, 0),
            ]
            point.lines.add(f"line_{attrs.fn}({', '.join(map(str, given))});")
