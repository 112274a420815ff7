"""The tensors that go into a kernel of a contraction and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .....dsl.core import DType
from ....attention.contraction import KEY, QUERY
from ..places import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Axes


@dataclass(frozen=True)
class Tensor:
    """A tensor by its word in the source. `read` ones go in.

    `slots` are its axes as the call says how far neighbours along them are apart: each lane, `t`,
    `s`, and the axis of features or of a table; None for one that it lacks.
    """

    word: str
    slots: tuple[str | None, ...]
    dtype: DType
    read: bool = True

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that it has."""
        return tuple(axis for axis in self.slots if axis is not None)


class Tensors:
    """All tensors of a kernel, in their order. The numbers of each follow `start` others."""

    def __init__(self, lanes: Axes, start: int) -> None:
        self.lanes, self.start = tuple(axis.name for axis in lanes), start
        self.found: list[Tensor] = []

    def add(
        self, word: str, axes: Sequence[str], dtype: DType = DType.FLOAT, *, read: bool = True
    ) -> Tensor:
        """One more."""
        every = (*self.lanes, QUERY, KEY)
        feature = next((axis for axis in axes if axis not in every), None)
        slots = (*(axis if axis in axes else None for axis in every), feature)
        tensor = Tensor(word, slots, dtype, read)
        self.found.append(tensor)
        return tensor

    def lines(self) -> list[str]:
        """Declarations: where this lane of each begins, and how far its neighbours are apart."""
        found = []
        for at, tensor in enumerate(self.found):
            element = f"{'const ' if tensor.read else ''}{ELEMENTS[tensor.dtype]}"
            first = self.start + at * (len(self.lanes) + 3)
            moved = "".join(
                f" + {lane} * n[{first + place}]"
                for place, lane in enumerate(self.lanes)
                if tensor.slots[place] is not None
            )
            word = tensor.word
            found.append(f"{element} *const p_{word} = ({element} *)p[{at}]{moved};")
            for place, kind in enumerate("tsf"):
                if tensor.slots[len(self.lanes) + place] is not None:
                    number = first + len(self.lanes) + place
                    found.append(f"const long {kind}_{word} = n[{number}];")
        return found
