"""What the kernels of a contraction are put together from: buffers, lines, sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .....dsl.core import DType
from ....attention.contraction import KEY, QUERY
from ....attention.masks import conditions
from ....attention.tile import tile
from .points import Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Node
    from ....attention.contraction import Contraction
    from ....attention.masks import Condition
    from ....attention.tensors import Tensors
    from ....attention.tile import Tile


@dataclass(frozen=True)
class Level:
    """The lines that make a value: once for a lane, for a row, and at each vector."""

    lane: Sequence[str] = ()
    row: Sequence[str] = ()
    point: Sequence[str] = ()
    made: str = ""


class Parts:
    """What both kernels have: numbers, what masks say of blocks, what is held close by."""

    def __init__(self, made: Contraction, own: Tile, tensors: Tensors) -> None:
        self.made, self.tile, self.tensors = made, own, tensors
        self.conditions: tuple[Condition, ...] = conditions(tile(made), softmax=made.softmax)
        self.buffers: list[str] = []
        self.bytes: list[str] = []
        self.held: list[str] = []
        self.first: list[str] = []
        for node in made.more:
            if KEY in node.axis_names and QUERY not in node.axis_names and node.name in own.steps:
                self._hold(node)

    def buffer(self, word: str, count: str, kind: str = "real") -> None:
        """Memory of a lane."""
        self.bytes.append(f"room<{kind}>({count})")
        self.buffers.append(f"{kind} *const __restrict {word} = arena.take<{kind}>({count});")

    def _hold(self, node: Node) -> None:
        """What differs from key to key is put into memory once, as vectors of it are read."""
        word, kind = f"h_{node.name}", "real" if node.dtype is DType.FLOAT else "word"
        self.buffer(word, "SP", kind)
        own = f"p_{node.name}[s * s_{node.name}]"
        values = {
            DType.FLOAT: own,
            DType.BOOL: f"{own} ? -1 : 0",
            DType.INT: f"narrowed({own}, bad)",
        }
        self.held.append(f"for (long s = from; s < until; ++s) {word}[s] = {values[node.dtype]};")

    def points(self, *, known: bool) -> Points:
        """Lines of the tile; in whole blocks, where that is asked, conditions are known to hold."""
        held = {own.name: own.holds for own in self.conditions if own.bounds} if known else {}
        return Points(self.made, self.tile, held)

    def level(self, points: Points) -> Level:
        """The lines that make the weight, or what is normalised."""
        made = points.value(self.tile.weight, DType.FLOAT)
        return Level(points.lines["lane"], points.lines["row"], points.lines["point"], made)

    def alive(self) -> Level:
        """Whether a weight may differ from zero, for what is not seen from bounds."""
        points = self.points(known=False)
        asked = [own for own in self.conditions if not own.exact]
        made = [
            points.value(own.name, DType.BOOL)
            if own.holds
            else f"~{points.value(own.name, DType.BOOL)}"
            for own in asked
        ]
        lines = points.lines
        if asked and not lines["point"]:
            lines["point"].append("(void)s;")
        return Level(
            lines["lane"], lines["row"], lines["point"], " & ".join(f"({m})" for m in made)
        )


class Returned:
    """What is added up for the gradients of inputs beside query, key and value."""

    def __init__(self, made: Contraction, points: Points, parts: Parts) -> None:
        self.made, self.points, self.parts = made, points, parts
        self.sums: list[str] = []
        self.taken: list[str] = []
        self.summed: list[str] = []
        self.finish: list[str] = []

    def add(self, node: Node) -> None:
        """An input."""
        name, slope = node.name, self.points.tile.slope
        own = f"p_d_{name}"
        if self.made.table(node) is not None:
            self._table(node)
            return
        if name not in slope:
            return
        value = f"chosen(there, {self.points.value(slope[name], DType.FLOAT)}, vec{{}})"
        if self.made.is_pair(node):
            to = f"{own} + t * t_d_{name} + s"
            self.taken.append(f"store<false>({to}, load<false>({to}, S - s) + {value}, S - s);")
        elif KEY in node.axis_names:
            self.parts.buffer(f"d_{name}", "SP")
            to = f"d_{name} + s"
            self.taken.append(f"store<true>({to}, load<true>({to}, W) + {value}, W);")
            line = f"{own}[s * s_d_{name}] += d_{name}[s];"
            self.finish.append(f"for (long s = from; s < until; ++s) {line}")
        else:
            self.sums.append(f"vec sum_{name} = {{}};")
            self.taken.append(f"sum_{name} += {value};")
            if QUERY in node.axis_names:
                self.summed.append(f"{own}[t * t_d_{name}] += sum_across(sum_{name});")
            else:
                self.parts.first.append(f"double all_{name} = 0;")
                self.summed.append(f"all_{name} += sum_across(sum_{name});")
                self.finish.append(f"*{own} += all_{name};")

    def _table(self, node: Node) -> None:
        """A table, at the positions that were read."""
        tile_, axis = self.points.tile, self.made.table(node)
        for name, picked in tile_.picked.items():
            if picked.table == node.name and name in tile_.slope:
                at = self.points.value(picked.at, DType.INT)
                value = self.points.value(tile_.slope[name], DType.FLOAT)
                self.taken.append(
                    f"put_back(p_d_{node.name}, f_d_{node.name}, c_{axis}, {at}, S - s, {value});"
                )
