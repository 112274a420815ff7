"""Values as they are written: an expression, and which axis each of its dimensions is.

Order is free inside a program, so values are written in the order that needs no copy; views bring
two of them together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Layout = tuple[str | None, ...]
"""The axis of each dimension; None is a dimension of size 1 that is no axis."""

COMPARED, EITHER, BOTH, ADDED, MULTIPLIED, SIGNED, RAISED, ATOM = range(8)
"""How strongly an expression holds together: `a < b`, `a | b`, `a & b`, `a + b`, ... `f(a)`."""


@dataclass(frozen=True, slots=True)
class Value:
    """An expression. `plain` is a Python number, not a tensor."""

    text: str
    layout: Layout = ()
    dtype: DType = DType.FLOAT
    rank: int = ATOM
    plain: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes, in the order of the dimensions."""
        return tuple(axis for axis in self.layout if axis is not None)

    @property
    def atom(self) -> str:
        """The expression so that `.f()` may follow."""
        return self.text if self.rank == ATOM else f"({self.text})"

    def at(self, rank: int) -> str:
        """The expression as an operand of something that holds as strongly as `rank`."""
        return self.text if self.rank >= rank else f"({self.text})"

    def view(self, call: str, layout: Iterable[str | None]) -> Value:
        """What a method or an index of the value gives."""
        return replace(self, text=self.atom + call, layout=tuple(layout), rank=ATOM)


def place(value: Value, axis: str) -> int:
    """The dimension of an axis, counted from the end if it is the last."""
    at = value.layout.index(axis)
    return -1 if at == len(value.layout) - 1 else at


def squeezed(value: Value) -> Value:
    """Without dimensions that are no axes."""
    gone = [at for at, axis in enumerate(value.layout) if axis is None]
    if not gone:
        return value
    where = str(gone[0]) if len(gone) == 1 else str(tuple(gone))
    if gone == [len(value.layout) - 1]:
        where = "-1"
    return value.view(f".squeeze({where})", value.axes)


def permuted(value: Value, order: Sequence[str]) -> Value:
    """With exactly these dimensions in this order."""
    value = squeezed(value)
    order = tuple(order)
    if value.layout == order:
        return value
    places = [value.layout.index(axis) for axis in order]
    moved = [at for at, old in enumerate(places) if at != old]
    if len(order) == 2:
        return value.view(".t()", order)
    if len(moved) == 2:
        return value.view(f".transpose({moved[0]}, {moved[1]})", order)
    return value.view(f".permute({', '.join(map(str, places))})", order)


def aligned(value: Value, wanted: Layout) -> Value:
    """A view that broadcasts to a layout which has all of its axes."""
    if value.plain or not value.axes:
        return value if not value.layout else squeezed(value)
    order = tuple(axis for axis in wanted if axis in value.axes)
    if order != value.axes:
        value = permuted(value, order)
    steps: list[str] = []
    left = list(value.layout)
    for axis in reversed(wanted):
        while left and left[-1] is None and axis in value.axes:
            steps.append("0")
            left.pop()
        if left and (left[-1] == axis or left[-1] is None):
            steps.append(":")
            left.pop()
        elif any(left):
            steps.append("None")
        else:
            break
    steps += ["0"] * len(left)
    return _indexed(value, steps[::-1])


def _indexed(value: Value, steps: list[str]) -> Value:
    """The value under an index of `:`, `None` and `0`."""
    if all(step == ":" for step in steps):
        return value
    layout: list[str | None] = []
    own = iter(value.layout)
    for step in steps:
        if step == "None":
            layout.append(None)
        elif step == "0":
            next(own)
        else:
            layout.append(next(own))
    odd = [at for at, step in enumerate(steps) if step != ":"]
    if len(odd) == 1:
        at = odd[0]
        last = -1 if at == len(steps) - 1 else at
        name = "unsqueeze" if steps[at] == "None" else "squeeze"
        return value.view(f".{name}({last})", layout)
    full = 0
    while steps[full] == ":":
        full += 1
    if full > 1:
        steps = ["...", *steps[full:]]
    return value.view(f"[{', '.join(steps)}]", layout)


def merged(values: Sequence[Value], axes: frozenset[str], hint: Sequence[str]) -> Layout:
    """A layout for what is computed of the values point by point: most often that of the largest.

    Axes that it lacks go where another value has them. `hint` decides about what stands in none.
    """
    if not values:
        return tuple(axis for axis in hint if axis in axes)
    ordered = sorted(values, key=lambda value: -len(value.axes))
    layout = list(ordered[0].layout)
    for value in ordered[1:]:
        _insert(layout, value.axes)
    _insert(layout, [axis for axis in hint if axis in axes])
    return tuple(axis for axis in layout if axis is None or axis in axes)


def _insert(layout: list[str | None], order: Sequence[str]) -> None:
    """Put axes of `order` that are missing next to the neighbour that they have there."""
    for at, axis in enumerate(order):
        if axis in layout:
            continue
        before = [other for other in order[:at] if other in layout]
        after = [other for other in order[at + 1 :] if other in layout]
        if after:
            layout.insert(layout.index(after[0]), axis)
        elif before and at < len(order) - 1:
            layout.insert(layout.index(before[-1]) + 1, axis)
        else:
            layout.append(axis)
