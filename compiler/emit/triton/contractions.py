"""Sums of products: as products of matrices where they are large enough, else element by element.

Operands are multiplied pair by pair, the cheapest pair first, and an axis is summed as soon as no
other has it. What both have and is summed are the columns of the first and the rows of the second;
several axes are one.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from ....dsl.core import DType, names, without
from .tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Node
    from .writer import Writer

LEAST = 16  # rows and columns of a matrix that is multiplied as one


def contracted(w: Writer, node: Node, given: Sequence[Tile], gone: tuple[str, ...]) -> Tile:
    """The product of all, summed over axes."""
    gone = tuple(name for name in gone if not w.tiles.is_single(name))
    tiles = [own for own in given if own.axes]
    numbers = [own for own in given if not own.axes]
    while len(tiles) > 1:
        pairs = [(_cost(w, tiles, pair, gone), pair) for pair in combinations(range(len(tiles)), 2)]
        _, (one, other) = min(pairs)
        left = [own for at, own in enumerate(tiles) if at not in (one, other)]
        here = _here(tiles, (one, other), gone)
        tiles = [*left, _pair(w, node, tiles[one], tiles[other], here)]
    left_over = tuple(name for name in gone if tiles and name in names(tiles[0].axes))
    if left_over or not tiles:
        tiles = [_summed(w, node, tiles or [numbers.pop()], left_over)]
    return _product(w, node, [*tiles, *numbers])


def _here(tiles: Sequence[Tile], pair: tuple[int, int], gone: Sequence[str]) -> tuple[str, ...]:
    """The axes that can be summed when a pair is multiplied: no other operand has them."""
    others = {n for at, own in enumerate(tiles) if at not in pair for n in names(own.axes)}
    both = {n for at in pair for n in names(tiles[at].axes)}
    return tuple(name for name in gone if name in both and name not in others)


def _cost(
    w: Writer, tiles: Sequence[Tile], pair: tuple[int, int], gone: Sequence[str]
) -> tuple[float, int]:
    """What it takes to multiply a pair, and how large the result is."""
    one, other = (tiles[at] for at in pair)
    here = _here(tiles, pair, gone)
    whole = w.tiles.inside((*one.axes, *other.axes))
    volume = _volume(w, whole)
    matrices = _sizes(w, one, other, here) is not None
    return volume / (16 if matrices else 1), _volume(w, without(whole, here))


def _volume(w: Writer, axes: Axes) -> int:
    total = 1
    for axis in axes:
        total *= w.tiles.length(axis)
    return total


def _pair(w: Writer, node: Node, one: Tile, other: Tile, gone: tuple[str, ...]) -> Tile:
    return _dot(w, node, one, other, gone) or _summed(w, node, [one, other], gone)


def _product(w: Writer, node: Node, tiles: Sequence[Tile]) -> Tile:
    if len(tiles) == 1:
        return tiles[0]
    ordered = sorted(tiles, key=lambda own: len(own.axes))
    made = ordered[0]
    for own in ordered[1:]:
        axes = w.tiles.inside((*made.axes, *own.axes))
        text = f"{w.tiles.spread(made, axes)} * {w.tiles.spread(own, axes)}"
        made = w.keep(text, axes, DType.FLOAT, f"{node.name} part")
    return made


def _summed(w: Writer, node: Node, given: Sequence[Tile], gone: tuple[str, ...]) -> Tile:
    """Element by element."""
    whole = _product(w, node, given)
    if not gone:
        return w.keep(whole.text, whole.axes, DType.FLOAT, node.name)
    text = w.only(whole, whole.axes, gone, "0.0")
    axes = list(whole.axes)
    for place in reversed(range(len(axes))):
        if axes[place].name in gone:
            text = f"tl.sum({text}, {place})"
            del axes[place]
    return w.keep(text, tuple(axes), DType.FLOAT, node.name)


def _sizes(w: Writer, one: Tile, other: Tile, gone: Sequence[str]) -> list[int] | None:
    """What is summed, rows and columns of two matrices; None where they are none, or too small."""
    shared = set(names(one.axes)) & set(names(other.axes))
    if not gone or shared != set(gone):
        return None
    inner = tuple(axis for axis in one.axes if axis.name in gone)
    parts = (inner, without(one.axes, gone), without(other.axes, gone))
    sizes = [_volume(w, part) for part in parts]
    return sizes if min(sizes) >= LEAST else None


def _dot(w: Writer, node: Node, one: Tile, other: Tile, gone: tuple[str, ...]) -> Tile | None:
    """The product of two matrices."""
    sizes = _sizes(w, one, other, gone)
    if sizes is None:
        return None
    if sizes[1] > sizes[2]:
        one, other = other, one  # fewer rows than columns: below 64 rows, what is spilled is safe
    inner = tuple(axis for axis in one.axes if axis.name in gone)
    rows, columns = without(one.axes, gone), without(other.axes, gone)
    w.dots += 1
    w.work += sizes[0] * sizes[1] * sizes[2] // 16
    left = _matrix(w, Tile(w.only(one, one.axes, gone, "0.0"), one.axes, one.dtype), rows, inner)
    right = _matrix(
        w, Tile(w.only(other, other.axes, gone, "0.0"), other.axes, other.dtype), inner, columns
    )
    text = f"tl.dot({left}, {right}, input_precision=PRECISION)"
    wanted = w.tiles.inside((*rows, *columns))
    if len(rows) + len(columns) > 2:
        text = f"tl.reshape({text}, {w.tiles.shape((*rows, *columns))})"
    return w.keep(
        permuted(text, (*rows, *columns), wanted), wanted, DType.FLOAT, f"{node.name} dot"
    )


def _matrix(w: Writer, own: Tile, rows: Axes, columns: Axes) -> str:
    """A tile as a matrix."""
    text = permuted(own.text, own.axes, (*rows, *columns))
    if len(rows) == len(columns) == 1:
        return text
    return f"tl.reshape({text}, [{w.tiles.count(rows)}, {w.tiles.count(columns)}])"


def permuted(text: str, old: Axes, new: Axes) -> str:
    """The text of a tile with its axes in another order."""
    places = [names(old).index(axis.name) for axis in new]
    return text if places == sorted(places) else f"tl.permute({text}, {places})"
