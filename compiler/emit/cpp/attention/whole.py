"""Between which bounds whole numbers of a tile lie, so that they fit a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .....dsl.core import DType
from .....dsl.ops import INPUT, ConstAttrs, IotaAttrs, MapAttrs
from ...unsupported import UnsupportedError

if TYPE_CHECKING:
    from ....attention.tile import Tile

Range = tuple[int, int]
FIRST = 1 << 24
"""What is read, and positions, are smaller than this; the kernel sees to it."""
MOST = 1 << 30
ROUNDED = 1 << 29
"""What is rounded from floats is no larger: `as_words` cuts it off."""


def ranged(tile: Tile, name: str, known: dict[str, Range]) -> Range:
    """The bounds of a value. Raises UnsupportedError where they may be too far apart."""
    if name not in known:
        low, high = _range(tile, name, known)
        if max(-low, high) > MOST and tile.node(name).dtype is DType.INT:
            raise UnsupportedError("whole numbers that may be too large")
        known[name] = low, high
    return known[name]


def _range(tile: Tile, name: str, known: dict[str, Range]) -> Range:
    node, read = tile.node(name), tile.operands(name)
    if node.dtype is DType.BOOL:
        return 0, 1
    if node.dtype is DType.FLOAT:
        return -MOST, MOST
    if isinstance(node.attrs, ConstAttrs):
        return int(node.attrs.value), int(node.attrs.value)
    if isinstance(node.attrs, IotaAttrs):
        return 0, FIRST
    if node.op is INPUT or not isinstance(node.attrs, MapAttrs):
        return -FIRST, FIRST
    fn = node.attrs.fn
    own = [ranged(tile, o, known) for o in (read[1:] if fn == "where" else read)]
    (a, b), (c, d) = own[0], own[-1]
    match fn:
        case "add":
            return a + c, b + d
        case "sub":
            return a - d, b - c
        case "mul":
            every = (a * c, a * d, b * c, b * d)
            return min(every), max(every)
        case "neg":
            return -b, -a
        case "abs":
            return 0, max(-a, b)
        case "max":
            return max(a, c), max(b, d)
        case "min":
            return min(a, c), min(b, d)
        case "where":
            return min(a, c), max(b, d)
        case "sign":
            return -1, 1
        case "mod":
            return min(c, 0), max(d, 0)
        case "floordiv":
            return min(a, -b, -1), max(b, -a)
    return -ROUNDED, ROUNDED
