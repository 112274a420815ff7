"""What the rules of operations are made of: axes and dtypes, and errors where they do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import Axes, Axis, DType, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .. import sizes


class OpError(Exception):
    """Operands that do not fit an operation."""


class SizeError(OpError):
    """One axis of two sizes."""

    def __init__(self, axis: str, first: sizes.Size, second: sizes.Size) -> None:
        self.axis, self.sizes = axis, (first, second)
        super().__init__(f"axis {axis} has sizes {first} and {second}")


Operand = tuple[Axes, DType]
Typed = tuple[Axes, DType]


def broadcast(*operands: Axes) -> Axes:
    """The union by name; the operand with most axes gives the order.

    Raises OpError where one name has two sizes.
    """
    widest, *others = sorted(operands, key=len, reverse=True)
    merged: dict[str, Axis] | None = None
    found = widest
    for axes in others:
        if axes is widest or not axes:
            continue
        if merged is None:
            merged = {axis.name: axis for axis in widest}
        for axis in axes:
            known = merged.setdefault(axis.name, axis)
            if known is axis:
                continue
            if known.size != axis.size:
                raise SizeError(axis.name, known.size, axis.size)
        if len(merged) > len(found):
            found = tuple(merged.values())
    return found


def said(axes: Axes) -> str:
    """Axes in a message."""
    return ", ".join(names(axes)) or "none"


def distinct(axes: Axes) -> None:
    """Raises OpError where an axis is there twice."""
    seen = [axis.name for axis in axes]
    twice = [name for name in seen if seen.count(name) > 1]
    if twice:
        raise OpError(f"the axis `{twice[0]}` is there twice")


def has(axes: Axes, wanted: Sequence[str]) -> None:
    """Raises OpError where an axis is not there."""
    missing = [name for name in wanted if name not in names(axes)]
    if missing:
        raise OpError(f"no axis {missing[0]} among {said(axes)}")
