"""Where each value of a body lies: in an operand, in a buffer, or in a view of one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl import sizes
from ..pytorch.names import called
from .places import ELEMENTS, Place, Term, times

if TYPE_CHECKING:
    from ....dsl.core import Axes as NodeAxes
    from ....dsl.core import Axis, DType, Node
    from ....dsl.sizes import Size
    from ..flow import Flow
    from .axes import Axes
    from .statements import Statement, Statements

WIDTH = "width"  # lanes of the vector axis in this tile
ROWS = "R"  # rows run together


class Sizes:
    """Sizes as C++ says them: those that a call has are numbered variables."""

    def __init__(self) -> None:
        self.found: dict[Size, str] = {}

    def __call__(self, size: Size) -> Term:
        """A size."""
        if isinstance(size, int):
            return size
        return self.found.setdefault(size, f"n_{len(self.found)}_{_plain(sizes.show(size))[:12]}")


@dataclass
class Memory:
    """Everything that has a place in one body."""

    flow: Flow
    statements: Statements
    axes: Axes
    size: Sizes
    places: dict[str, Place] = field(default_factory=dict)
    outs: dict[str, list[Place]] = field(default_factory=dict)
    in_buffers: frozenset[str] = frozenset()
    buffers: dict[str, tuple[Place, Term]] = field(default_factory=dict)
    prefix: str = ""
    words: dict[str, str] = field(default_factory=dict)
    indexed: dict[str, str] = field(default_factory=dict)

    # ---- names and sizes

    def word(self, node: Node) -> str:
        """The variable of a value."""
        if node.name not in self.words:
            label = called(node.site) if node.site else getattr(node.attrs, "fn", node.op.name)
            self.words[node.name] = f"{self.prefix}{_plain(label)}_{len(self.words)}"
        return self.words[node.name]

    def index(self, axis: str) -> str:
        """The variable that counts along an axis."""
        if axis not in self.indexed:
            plain, taken = _plain(axis), set(self.indexed.values())
            while f"i_{plain}" in taken:
                plain += "_"
            self.indexed[axis] = f"i_{plain}"
        return self.indexed[axis]

    def is_rows(self, axis: str) -> bool:
        """Whether an axis is that of lanes run together."""
        return self.axes.rows is not None and self.axes.rows.name == axis

    def extent(self, axis: Axis) -> Term:
        """How long a loop along an axis is."""
        if self.is_rows(axis.name):
            return ROWS
        lane = self.axes.vector_lane
        if lane is not None and lane.name == axis.name:
            tile = self.axes.tile
            divides = isinstance(lane.size, int) and lane.size % tile == 0
            return tile if divides else WIDTH
        return self.size(axis.size)

    def whole(self, size: Term) -> str:
        """Whether full vectors make up the size, as C++ asks."""
        return f"{size} % W == 0" if isinstance(size, int) else "false"

    def ordered(self, axes: NodeAxes) -> list[Axis]:
        """The axes that have loops, in their order in memory."""
        by_name = {axis.name: axis for axis in axes}
        return [by_name[name] for name in self.axes.sorted(by_name)]

    def indices(self, axes: NodeAxes) -> dict[str, Term]:
        """The loop variables of axes."""
        return {axis.name: self.index(axis.name) for axis in self.ordered(axes)}

    def vector_of(self, axes: NodeAxes, scalar: bool) -> str | None:
        """The axis along which a loop nest takes several numbers at once."""
        ordered = self.ordered(axes)
        if scalar or not ordered or self.is_rows(ordered[-1].name):
            return None
        return ordered[-1].name

    # ---- places

    def place(self, name: str) -> Place:
        """Where a value lies."""
        if name in self.statements.views:
            source, view = self.statements.views[name]
            return view(self.place(source))
        if name not in self.places:
            node = self.flow.nodes[name]
            self.places[name] = self.buffer(f"{self.word(node)}_kept", node.axes, node.dtype)
        return self.places[name]

    def buffer(self, word: str, axes: NodeAxes, dtype: DType) -> Place:
        """New memory for the axes that have loops."""
        strides: dict[str, Term] = {}
        step: Term = 1
        for at, axis in enumerate(reversed(self.ordered(axes))):
            strides[axis.name] = step
            size = self.extent(axis)
            if size == WIDTH:
                size = self.axes.tile
            if at == 0 and size != ROWS:
                size = f"pad({size})"
            step = times(step, size)
        place = Place(word, dict(reversed(strides.items())), dtype, padded=bool(strides))
        self.buffers[word] = place, step
        return place

    def partial(self, own: Statement, *, across: bool) -> Place:
        """Where a sum grows that is held in memory; across vectors, a vector for each."""
        word = f"part_{self.word(own.node)}"
        if word in self.buffers:
            return self.buffers[word][0]
        axes = tuple(axis for axis in own.axes if axis.name not in own.reduced)
        if not across:
            return self.buffer(word, axes, own.node.dtype)
        strides: dict[str, Term] = {}
        step: Term = "W"
        for axis in reversed(self.ordered(axes)):
            strides[axis.name] = step
            step = times(step, self.extent(axis))
        place = Place(word, strides, own.node.dtype)
        self.buffers[word] = place, step
        return place

    def targets(self, own: Statement) -> list[Place]:
        """Where the value that a statement makes is written."""
        name = own.node.name
        if own.into is not None:
            return [own.into(self.place(name))]
        held = [self.place(name)] if name in self.in_buffers else []
        return [*held, *self.outs.get(name, ())]

    def declarations(self) -> list[str]:
        """The buffers, as C++ takes them."""
        rows = [(w, ELEMENTS[p.dtype], count) for w, (p, count) in self.buffers.items()]
        return [f"{t} *__restrict {w} = arena.take<{t}>({count});" for w, t, count in rows]


def _plain(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_") or "x"
