"""Gradients of what a contraction reads beside queries, keys and values, as Triton.

What differs along rows, or along neither axis, is summed over columns and written at the end; what
differs from pair to pair is written where it is made; to a table is added at positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .....dsl.core import DType, names
from ....attention.contraction import KEY, QUERY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Node
    from ....attention.contraction import Contraction
    from .points import Points


def axes_of(made: Contraction, node: Node) -> tuple[str, ...]:
    """The axes of a gradient as kernels give it: with every lane, and with queries where the input
    differs along neither queries nor keys."""
    lanes = names(made.lanes)
    own = tuple(axis for axis in names(node.axes) if axis not in lanes)
    return (*lanes, *(own or (QUERY,)))


def rows_of(node: Node) -> str:
    """The rows of the kernel that makes the gradient of an input."""
    return KEY if KEY in node.axis_names and QUERY not in node.axis_names else QUERY


class Returned:
    """The lines of the inputs whose gradients a kernel makes."""

    def __init__(self, points: Points, inputs: Sequence[Node]) -> None:
        self.points, self.inputs = points, inputs
        self.sums: list[str] = []
        self.taken: list[str] = []
        self.finish: list[str] = []

    def write(self) -> None:
        """The lines of all."""
        points = self.points
        for node in self.inputs:
            if points.made.table(node) is not None:
                self._table(node)
            elif node.name in points.score.slope:
                self._sum(node)

    def _slope(self, name: str) -> str:
        """The cotangent of an input at each row and column; 0 where there are none."""
        text = self.points.everywhere(self.points.of(self.points.score.slope[name], DType.FLOAT))
        return f"tl.where(there, {text}, 0.0)"

    def _sum(self, node: Node) -> None:
        made, points = self.points.made, self.points
        word = f"d_{node.name}"
        if made.is_pair(node):
            to = points.place(word, points.both)
            self.taken.append(f"tl.store({to}, {self._slope(node.name)}, mask=there)")
            return
        axis = made.axes[points.rows]
        self.sums.append(f"sum_{node.name} = tl.zeros([ROWS], tl.float32)")
        self.taken.append(f"sum_{node.name} += tl.sum({self._slope(node.name)}, 1)")
        to = points.place(word, (axis,))
        self.finish.append(f"tl.store({to}, sum_{node.name}, mask=there_{axis.name})")

    def _table(self, node: Node) -> None:
        """A table, at the positions that were read."""
        points, axis = self.points, self.points.made.table(node)
        for name, picked in points.score.picked.items():
            if picked.table == node.name and name in points.score.slope:
                at = points.everywhere(points.of(picked.at, DType.INT))
                inside = f"there & ({at} >= 0) & ({at} < n_{axis})"
                to = f"p_d_{node.name} + tl.cast({at}, tl.int64) * d_{node.name}_{axis}"
                self.taken.append(f"tl.atomic_add({to}, {self._slope(name)}, mask={inside})")
