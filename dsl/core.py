"""The core language: what every expression of a spec becomes, and what the graph is made of.

A program is a list of steps, each one operation on values with named axes. The checker emits
them, so what is checked is what is built; the compiler puts them in a graph and rewrites it.
The operations and their rules stand in `ops/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .sizes import Size, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ops import Attrs, OpDef
    from .source import Span


class DType(StrEnum):
    """What a value holds."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Axis:
    """A named axis with its size. Names are unique within a value."""

    name: str
    size: Size

    def __str__(self) -> str:
        return f"{self.name}={show(self.size)}"


Axes = tuple[Axis, ...]
"""The axes of a value. The order is where they came from, a hint for layouts, and means nothing."""


def names(axes: Axes) -> tuple[str, ...]:
    """The axes' names, in their order."""
    return tuple(axis.name for axis in axes)


def without(axes: Axes, gone: Iterable[str]) -> Axes:
    """The axes but those named."""
    gone = set(gone)
    return tuple(axis for axis in axes if axis.name not in gone)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation and the value that it makes.

    `site` is the address that users select, if the value has one; `scope` the address of the
    call or turn that it belongs to; `made_by` the pass that made it.
    """

    name: str
    op: OpDef
    attrs: Attrs
    axes: Axes
    dtype: DType
    span: Span
    site: str | None = None
    scope: str = ""
    made_by: str = "build"

    @property
    def axis_names(self) -> frozenset[str]:
        """Which axes the value has."""
        return frozenset(axis.name for axis in self.axes)

    def at(self, site: str) -> Node:
        """The same with an address. (`replace` does this too, and takes three times as long.)"""
        return Node(
            self.name, self.op, self.attrs, self.axes, self.dtype, self.span, site, self.scope,
            self.made_by,
        )  # fmt: skip

    def size(self, axis: str) -> Size:
        """The size of an axis. Raises KeyError if the value lacks it."""
        for own in self.axes:
            if own.name == axis:
                return own.size
        raise KeyError(axis)


@dataclass(frozen=True, slots=True)
class Step:
    """A node with the names of the nodes that it reads, in position order."""

    node: Node
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A program: steps in an order in which they can be run, and the names of its results."""

    steps: tuple[Step, ...]
    results: tuple[str, ...]
