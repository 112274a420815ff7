"""Other sizes in the place of those that operations, axes and programs have."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from .core import Body
from .ops import OpDef
from .sizes import Poly, counts
from .source import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sizes import Size

T = TypeVar("T")


def resized(value: T, change: Callable[[Size], Size]) -> T:
    """The same node, attributes, axes or program, with changed run-time sizes."""
    if isinstance(value, Poly):
        return change(value)  # type: ignore[return-value]  # a size for a size
    if isinstance(value, tuple):
        parts = tuple([resized(part, change) for part in value])
        same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if same else parts  # type: ignore[return-value]  # a tuple for a tuple
    if not is_dataclass(value) or isinstance(value, OpDef | Span | type):
        return value
    held = {own.name: getattr(value, own.name) for own in fields(value)}
    changed = {name: new for name, old in held.items() if (new := resized(old, change)) is not old}
    return replace(value, **changed) if changed else value


def counted(body: Body) -> frozenset[str]:
    """The nodes whose values are sizes of axes in a program, in the bodies of its scans too."""
    return frozenset().union(*(counts(size) for axes in _all_axes(body) for _, size in axes))


def _all_axes(body: Body) -> Iterator[tuple[tuple[str, Size], ...]]:
    for step in body.steps:
        yield tuple([(axis.name, axis.size) for axis in step.node.axes])
        inner = getattr(step.node.attrs, "body", None)
        if isinstance(inner, Body):
            yield from _all_axes(inner)
