"""What looks at positions in a step: selections, windows, gathers, joins, and writes at positions.

A tile is in registers, so a position is read by a gather along one axis, or by a sum in which all
others count for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ....dsl.ops import ConcatAttrs, Gather, ScatterAttrs, Select, Slice, Window
from ..unsupported import UnsupportedError
from .contractions import permuted
from .expressions import converted, literal
from .tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Axis, Node
    from .writer import Writer


def renamed(
    w: Writer, node: Node, own: Tile, pairs: Sequence[tuple[tuple[str, ...], Axes]]
) -> Tile:
    """Renames, splits and merges. These are of axes whose sizes are powers of two."""
    sized = {axis.name: axis for axis in own.axes}
    if any(w.tiles.is_single(name) for old, new in pairs for name in (*old, *names(new))):
        raise UnsupportedError("a lane gets another name")
    for old, new in pairs:
        if len(old) == len(new) == 1:
            continue
        if any(w.tiles.beyond(axis) for axis in (*(sized[name] for name in old), *new)):
            raise UnsupportedError("an axis is split whose size is no power of two")
    taken = {name for old, _ in pairs for name in old}
    rest = [axis for axis in own.axes if axis.name not in taken]
    before = (*(sized[name] for old, _ in pairs for name in old), *rest)
    after = (*(axis for _, new in pairs for axis in new), *rest)
    wanted = w.tiles.inside(after)
    text = own.text
    if all(len(old) == len(new) == 1 for old, new in pairs):
        changed = {old[0]: axes[0] for old, axes in pairs}
        after = tuple(changed.get(axis.name, axis) for axis in own.axes)
        text = permuted(text, after, wanted)
        return Tile(text, wanted, own.dtype) if text == own.text else _kept(w, node, text, wanted)
    text = f"tl.reshape({permuted(text, own.axes, before)}, {w.tiles.shape(after)})"
    return _kept(w, node, permuted(text, after, wanted), wanted)


def _kept(w: Writer, node: Node, text: str, axes: Axes) -> Tile:
    return w.keep(text, axes, node.dtype, node.name)


def indexed(
    w: Writer, node: Node, how: Select | Slice | Gather | Window, read: Sequence[Tile]
) -> Tile:
    """Reads positions along one axis."""
    own = read[0]
    axis = next(axis for axis in own.axes if axis.name == how.axis)
    new = {a.name: a for a in node.axes}
    match how:
        case Select(at=at):
            place = str(at) if at >= 0 else f"({w.tiles.size(axis)} - {-at})"
            return _selected(w, node, own, axis, place)
        case Slice(start=start):
            if not isinstance(start, int):
                raise UnsupportedError("a range whose start is known only when it runs")
            out = new[how.axis]
            index = f"{w.tiles.index(out)} + {start}" if start else w.tiles.index(out)
            return gathered(w, node, own, axis, Tile(index, (out,), DType.INT), 0.0)
        case Window(terms=terms, offset=offset, fill=fill):
            if not isinstance(offset, int):
                raise UnsupportedError("a window whose offset is known only when it runs")
            axes = w.tiles.inside(term for term, _ in terms)
            parts = [f"{w.tiles.along(term, axes)} * {by}" for term, by in terms]
            held = w.keep(
                " + ".join([*parts, str(offset)]), axes, DType.INT, f"{node.name} positions"
            )
            return gathered(w, node, own, axis, held, fill)
        case Gather(fill=fill):
            if fill is None:
                raise UnsupportedError("a gather that may be out of range")
            return gathered(w, node, own, axis, read[1], fill)


def _selected(w: Writer, node: Node, own: Tile, axis: Axis, place: str) -> Tile:
    inner = DType.INT if own.dtype is DType.BOOL else own.dtype
    chosen = f"{w.tiles.along(axis, own.axes)} == {place}"
    where = names(own.axes).index(axis.name)
    text = f"tl.sum(tl.where({chosen}, {converted(own.text, own.dtype, inner)}, 0), {where})"
    left = tuple(a for a in own.axes if a.name != axis.name)
    return _kept(w, node, converted(text, inner, own.dtype), left)


def gathered(w: Writer, node: Node, own: Tile, axis: Axis, index: Tile, fill: float) -> Tile:
    """The value at positions along an axis, whose axes take its place; `fill` outside."""
    place = names(own.axes).index(axis.name)
    others = [a.name for a in own.axes if a.name != axis.name]
    new = tuple(a for a in index.axes if a.name not in others)
    shape = (*own.axes[:place], *new, *own.axes[place + 1 :])
    listed = tuple(a for a in shape if a.name in names(index.axes))
    size = w.tiles.size(axis)
    spread = Tile(permuted(index.text, index.axes, listed), listed, DType.INT)
    there = f"({index.text} >= 0) & ({index.text} < {size})"
    inside = w.keep(there, index.axes, DType.BOOL, f"{node.name} inside")
    text = w.tiles.spread(spread, shape) if listed else spread.text
    dims = [w.tiles.length(a) for a in own.axes]
    dims[place] = w.tiles.count(new)
    at = f"tl.broadcast_to({text}, {w.tiles.shape(shape)})" if listed else text
    if len(new) != 1:
        at = f"tl.reshape({at}, {dims})" if listed else f"tl.full({dims}, {at}, tl.int32)"
    at = w.keep(f"({at}).to(tl.int32)", shape, DType.INT, f"{node.name} at").text
    at = f"tl.where(({at} >= 0) & ({at} < {size}), {at}, 0)"
    inner = DType.INT if own.dtype is DType.BOOL else own.dtype
    source = w.tiles.full(own, own.axes, own.dtype)
    text = f"tl.gather({converted(source, own.dtype, inner)}, {at}, {place})"
    if len(new) != 1:
        text = f"tl.reshape({text}, {w.tiles.shape(shape)})"
    wanted = w.tiles.inside(shape)
    text = converted(permuted(text, shape, wanted), inner, own.dtype)
    nothing = literal(fill, own.dtype)
    text = f"tl.where({w.tiles.spread(inside, wanted)}, {text}, {nothing})"
    return _kept(w, node, text, wanted)


def flipped(w: Writer, node: Node, own: Tile, name: str) -> Tile:
    """The axis backwards."""
    axis = next(axis for axis in own.axes if axis.name == name)
    back = f"{w.tiles.size(axis)} - 1 - {w.tiles.index(axis)}"
    held = w.keep(back, (axis,), DType.INT, f"{node.name} positions")
    return gathered(w, node, own, axis, held, 0.0)


def joined(w: Writer, node: Node, read: Sequence[Tile]) -> Tile:
    """One after another along an axis, or side by side along a new one."""
    attrs = node.attrs
    assert isinstance(attrs, ConcatAttrs)
    axis = next(axis for axis in node.axes if axis.name == attrs.axis)
    axes = w.tiles.inside(node.axes)
    at = w.tiles.along(axis, axes)
    start = 0
    made: list[tuple[int, Tile]] = []
    for own in read:
        if attrs.new:
            made.append((start, own))
            start += 1
            continue
        part = next(a for a in own.axes if a.name == attrs.axis)
        if not isinstance(part.size, int):
            raise UnsupportedError("what is joined has a size that is known only when it runs")
        index = f"{w.tiles.index(axis)} - {start}" if start else w.tiles.index(axis)
        held = w.keep(index, (axis,), DType.INT, f"{node.name} positions")
        made.append((start, gathered(w, node, own, part, held, 0.0)))
        start += part.size
    text = w.tiles.spread(made[0][1], axes)
    for begin, own in made[1:]:
        text = f"tl.where({at} >= {begin}, {w.tiles.spread(own, axes)}, {text})"
    return _kept(w, node, text, axes)


def put(w: Writer, node: Node, read: Sequence[Tile]) -> Tile:
    """Writes or adds at positions: at each place, what is put there."""
    attrs = node.attrs
    assert isinstance(attrs, ScatterAttrs)
    base, index, update = read
    if node.dtype is DType.BOOL:
        raise UnsupportedError("a write of bools at positions")
    axis = next(axis for axis in node.axes if axis.name == attrs.axis)
    all_axes = (*index.axes, *update.axes, *(a for a in node.axes))
    whole = w.tiles.inside(all_axes)
    hit = f"{w.tiles.spread(index, whole)} == {w.tiles.along(axis, whole)}"
    hits = w.keep(hit, w.tiles.inside((*index.axes, axis)), DType.BOOL, f"{node.name} hits")
    there = w.tiles.there(whole, attrs.over)
    condition = " & ".join([w.tiles.spread(hits, whole), *there])
    value = converted(update.text, update.dtype, node.dtype)
    value = w.tiles.spread(Tile(value, update.axes, node.dtype), whole)
    text = f"tl.where({condition}, {value}, 0)"
    some = f"tl.where({condition}, 1, 0)"
    axes = list(whole)
    for place in reversed(range(len(axes))):
        if axes[place].name in attrs.over:
            text, some = f"tl.sum({text}, {place})", f"tl.max({some}, {place})"
            del axes[place]
    left = tuple(axes)
    under = converted(base.text, base.dtype, node.dtype)
    under = w.tiles.spread(Tile(under, base.axes, node.dtype), left)
    text = f"{under} + {text}" if attrs.add else f"tl.where({some} > 0, {text}, {under})"
    return _kept(w, node, text, w.tiles.inside(left))
