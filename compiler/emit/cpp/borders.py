"""The tensors that go into a kernel and come out of it, and where a lane of each lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from .places import ELEMENTS, Place, Term, plus, times

if TYPE_CHECKING:
    from ....dsl.core import Axes as NodeAxes
    from .memory import Memory

READ = frozenset(["first", "given", "fixed", "check", "came"])
"""Kinds of tensors that go in: first carries, per-step values, constants; of a way back the carries
kept, and the cotangents of last carries and outputs."""


MUCH = 128  # numbers of a step


@dataclass(frozen=True)
class Border:
    """A tensor that goes in or comes out.

    Along `outer` axes its neighbours are any number of elements apart, and the call says how many;
    along `inner` ones, which lie densely in this order, that is known.
    """

    word: str
    kind: str
    axes: NodeAxes
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    dtype: DType

    def apart(self, axis: str) -> str:
        """The variable that says how far neighbours along an outer axis are apart."""
        return f"s_{self.word}_{self.outer.index(axis)}"


class Borders:
    """All tensors of a kernel, in their order."""

    def __init__(self) -> None:
        self.found: list[Border] = []
        self.pointers: list[str] = []

    def add(
        self,
        memory: Memory,
        kind: str,
        axes: NodeAxes,
        dtype: DType,
        moving: str | None = None,
        lies: tuple[str, ...] = (),
    ) -> tuple[Border, Place]:
        """A tensor, and where this lane of it lies; along `moving`, a pointer will be moved.

        Its inner axes are in the order of memory, or as it `lies`, if these are the same.
        """
        word = f"{kind}_{len(self.found)}"
        own = names(axes)
        rows = {memory.axes.rows.name} if memory.axes.rows else set()
        inner = memory.axes.sorted(set(own) - rows)
        inner = lies if set(lies) == set(inner) else inner
        border = Border(word, kind, axes, tuple(a for a in own if a not in inner), inner, dtype)
        sizes = {axis.name: axis.size for axis in axes}
        strides: dict[str, Term] = {}
        step: Term = 1
        for name in reversed(inner):
            strides[name] = step
            step = times(step, memory.size(sizes[name]))
        strides = dict(reversed(strides.items()))
        moved = []
        for lane in memory.axes.lanes:
            if lane.name in own:
                apart: Term = border.apart(lane.name) if lane.name in border.outer else 1
                moved.append(times(f"l_{memory.index(lane.name)}", apart))
                if memory.is_rows(lane.name):
                    strides[lane.name] = apart
        start = word if moving is None else f"{word}_0"
        element = f"{'const ' if kind in READ else ''}{ELEMENTS[dtype]}"
        offset = plus(moved)
        self.pointers.append(
            f"{element} *__restrict {start} = ({element} *)p[{len(self.found)}]"
            f"{'' if offset == 0 else f' + {offset}'};"
        )
        self.found.append(border)
        return border, Place(word, strides, dtype)

    def moved(self, border: Border, axis: str, by: str) -> str:
        """The line that moves a pointer along an axis."""
        element = f"{'const ' if border.kind in READ else ''}{ELEMENTS[border.dtype]}"
        word = border.word
        return f"{element} *__restrict {word} = {word}_0 + {by} * {border.apart(axis)};"

    def ahead(self, memory: Memory, border: Border, axis: str) -> Term:
        """How far on the second step from here lies, where steps go back in memory and have many
        numbers: a processor sees less well there what comes next. The way back of 4 x 512 numbers,
        512 steps, takes 0.8 to 0.85 of the time."""
        count: Term = 1
        for own in border.axes:
            if own.name in border.inner:
                count = times(count, memory.extent(own))
        few = isinstance(count, int) and count < MUCH
        return 0 if few or memory.axes.rows is not None else f"-2 * {border.apart(axis)}"

    def numbers(self) -> list[str]:
        """What the call says of them."""
        return [border.apart(axis) for border in self.found for axis in border.outer]
