"""The tensors that go into a kernel of a contraction and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import DType, names
from .contraction import KEY, QUERY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...dsl.core import Axes
    from .contraction import Contraction


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
    """All tensors of a kernel, in their order."""

    def __init__(self, lanes: Axes) -> None:
        self.lanes = tuple(axis.name for axis in lanes)
        self.found: list[Tensor] = []

    @classmethod
    def of(cls, made: Contraction) -> Tensors:
        """Those that a contraction reads."""
        tensors = cls(made.lanes)
        for node in made.inputs:
            tensors.add(node.name, names(node.axes), node.dtype)
        return tensors

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
