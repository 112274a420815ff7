"""The lines by which a program reads and writes its blocks of queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....attention.contraction import DOT, KEY, QUERY, VALUE
from .points import WHOLE

if TYPE_CHECKING:
    from ....attention.contraction import Contraction

RESULTS = ("z", "total")
GAP = "gap"
"""What the kernel by queries gives to that by keys: what is taken from the change of a weight."""


@dataclass(frozen=True)
class Side:
    """Queries or keys: the axis, how many there are, the matrix whose features scores are made of,
    and the matrix of what comes back to results, or of values."""

    axis: str
    count: str
    word: str
    other: str

    def read(self, name: str, word: str, feature: str, whole: str) -> str:
        """The line that reads a block of a matrix; `whole` says where it has all of the rows."""
        count = feature.upper()
        there = f"there_{self.axis}, i_{feature} < {count}, {whole}, {count} == {count}P, HELD"
        return f"{name} = block({self._place(word, feature)}, {there})"

    def write(self, word: str, feature: str, value: str) -> str:
        """The line that writes a block of a matrix."""
        there = f"there_{self.axis}[:, None] & (i_{feature} < {feature.upper()})[None, :]"
        return f"tl.store({self._place(word, feature)}, {value}, mask={there})"

    def _place(self, word: str, feature: str) -> str:
        axis = self.axis
        apart = f"i_{axis}[:, None] * {word}_{axis} + i_{feature}[None, :] * {word}_{feature}"
        return f"p_{word} + tl.cast({axis}0, tl.int64) * {word}_{axis} + ({apart})"

    def vector(self, word: str, beyond: str = "0.0") -> str:
        """A number for each position of a block, read."""
        return f"tl.load({self.at(word)}, mask=there_{self.axis}, other={beyond})"

    def at(self, word: str) -> str:
        """Pointers to a number for each position of a block."""
        return f"p_{word} + tl.cast(at_{self.axis}, tl.int64) * {word}_{self.axis}"


class Border:
    """What a program reads and writes, in its rows and in the columns that it goes through."""

    def __init__(self, made: Contraction, rows: str, *, back: bool) -> None:
        self.made, self.back = made, back
        q, k, v = (node.name for node in made.inputs[:3])
        sides = {QUERY: Side(QUERY, "T", q, "came_z"), KEY: Side(KEY, "S", k, v)}
        self.queries = sides[QUERY]
        self.rows, self.columns = sides.pop(rows), *sides.values()

    def held(self) -> list[str]:
        """The lines that read the rows."""
        lines = [self.rows.read("a", self.rows.word, DOT, "False")]
        if self.back:
            lines.append(self.rows.read("c", self.rows.other, VALUE, "False"))
        if self.back and self.made.softmax and self.rows is self.queries:
            lines += [
                self.rows.read("held", "z", VALUE, "False"),
                f"offset = tl.sum(c.to(tl.float32) * held.to(tl.float32), 1)"
                f" - {self.rows.vector('came_total')}",
                f"tl.store({self.rows.at(GAP)}, offset, mask=there_{QUERY})",
                *self._level(),
            ]
        return lines

    def read(self) -> list[str]:
        """The lines that read a block of columns."""
        whole = f"part == {WHOLE}"
        lines = [
            self.columns.read("b", self.columns.word, DOT, whole),
            self.columns.read("d", self.columns.other, VALUE, whole),
        ]
        if self.back and self.made.softmax and self.columns is self.queries:
            lines += [f"offset = {self.columns.vector(GAP)}", *self._level()]
        return lines

    def _level(self) -> list[str]:
        """The log of the sum of exponentials. A query that sees nothing has a weight of 0 whatever
        it is, one that is not there because of it."""
        vector = self.queries.vector("total", 'float("inf")')
        return [f"level = {vector}", 'level = tl.where(level == float("-inf"), 0.0, level)']

    def given(self) -> list[str]:
        """The lines that write what was summed up."""
        if not self.back:
            total = f"tl.store({self.rows.at('total')}, logs, mask=there_{QUERY})"
            return [*([total] if self.made.softmax else []), self.rows.write("z", VALUE, "o")]
        lines = [self.rows.write(f"d_{self.rows.word}", DOT, "d_a")]
        if self.rows is not self.queries:
            lines.append(self.rows.write(f"d_{self.rows.other}", VALUE, "d_c"))
        return lines
