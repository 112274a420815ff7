"""Of which axes of the result the axes of a value inside of a contraction are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import Axis

if TYPE_CHECKING:
    from ...dsl.core import Node


class Unfit(Exception):
    """It is no contraction of this shape."""


Places = dict[str, tuple[Axis, ...]]
"""Of each axis of a value, of which axes of the result it is made; several are one, first major."""


@dataclass(frozen=True)
class Read:
    """A value from outside: its node, and of which axes each of its own is made, by their names in
    the contraction (its order is that of the value)."""

    name: str
    places: tuple[tuple[str, tuple[Axis, ...]], ...]


def renamed(
    places: Places, pairs: tuple[tuple[tuple[str, ...], tuple[Axis, ...]], ...], below: Node
) -> Places:
    """The places of what is renamed, from those of what comes of it. Raises Unfit."""
    found = dict(places)
    for old, new in pairs:
        parts = [part for axis in new for part in found.pop(axis.name)]
        if len(old) == 1:
            found[old[0]] = tuple(parts)
        elif len(parts) == len(old) and all(
            below.size(name) == part.size for name, part in zip(old, parts, strict=True)
        ):
            found |= {name: (part,) for name, part in zip(old, parts, strict=True)}
        else:
            raise Unfit
    return found
