"""What reads and writes at positions, backwards: cotangents go to where values came from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops, sizes
from ..core import Axis, names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import Node
    from .tape import Tape


def renamed_back(t: Tape, attrs: ops.RenameAttrs, x: Node, v: Node) -> Node:
    """To the operand of a rename, split or merge. What `v` lacks on both sides stays lacking."""
    sized = {axis.name: axis for axis in x.axes}
    pairs: list[tuple[tuple[str, ...], tuple[Axis, ...]]] = []
    for old, new in attrs.pairs:
        if not v.axis_names & set(names(new)):
            continue
        v = t.spread(v, new)
        pairs.append((names(new), tuple(sized[name] for name in old)))
    return t.rename(v, pairs)


def indexed_back(t: Tape, attrs: ops.IndexAttrs, read: Sequence[Node], v: Node) -> Node:
    """To the value that positions are read of: zero where nobody reads."""
    x, how = read[0], attrs.how
    axis = Axis(how.axis, x.size(how.axis))
    match how:
        case ops.Select(at=at):
            place = t.number(at) if at >= 0 else t.map("add", t.count([axis]), at)
            return t.map("where", t.map("eq", t.iota(axis), place), v, 0.0)
        case ops.Slice(start=start, stop=stop):
            v = t.spread(v, [Axis(how.axis, sizes.subtract(stop, start))])
            return t.window(v, how.axis, axis, 1, sizes.multiply(-1, start))
        case ops.Gather():
            return _scattered(t, axis, read[1], names(read[1].axes), x, v)
        case ops.Window():
            return _unwindowed(t, axis, how, x, v)


def _unwindowed(t: Tape, axis: Axis, how: ops.Window, x: Node, v: Node) -> Node:
    (new, step), *more = how.terms
    if not more and abs(step) == 1 and new.name in v.axis_names:
        # position = offset + step * index, solved for the index
        return t.window(v, new.name, axis, step, sizes.multiply(-step, how.offset))
    at = t.emit(ops.INDEX, ops.IndexAttrs(replace(how, fill=-1.0)), t.iota(axis))
    return _scattered(t, axis, at, [own.name for own, _ in how.terms], x, v)


def _scattered(t: Tape, axis: Axis, at: Node, places: Sequence[str], x: Node, v: Node) -> Node:
    """Each element added where it was read; what was read outside of the axis is lost.

    `places` are the axes of the positions `at`; those that the operand has too are shared.
    """
    rest = [name for name in names(x.axes) if name != axis.name]
    over = [own for own in at.axes if own.name in places and own.name not in rest]
    pairs = []
    away = []
    for own in over:
        name = own
        if own.name == axis.name:
            name = t.prime(own, x.axis_names, at.axis_names, v.axis_names)
            pairs.append(((own.name,), (name,)))
        away.append(name.name)
    at = t.rename(at, pairs)
    if pairs and axis.name in v.axis_names:
        v = t.rename(v, pairs)
    attrs = ops.ScatterAttrs(axis.name, tuple(away))
    return t.emit(ops.SCATTER, attrs, t.zeros([axis]), at, v)


def scattered_back(t: Tape, attrs: ops.ScatterAttrs, read: Sequence[Node], v: Node) -> list[Node]:
    """To the base, and to the update; None for the positions."""
    base, at, update = read
    axis = Axis(attrs.axis, base.size(attrs.axis))
    full = t.spread(v, [axis])
    taken = t.gather(full, attrs.axis, at, 0.0)
    kept = v
    if not attrs.add:
        over = [a for a in (*at.axes, *update.axes) if a.name in attrs.over]
        places = t.spread(at, over)
        kept = t.emit(ops.SCATTER, attrs, full, places, t.number(0.0))
    return [kept, taken]


def joined_back(t: Tape, attrs: ops.ConcatAttrs, read: Sequence[Node], at: int, v: Node) -> Node:
    """To one operand of a concatenation."""
    if attrs.axis not in v.axis_names:
        return v
    if attrs.new:
        return t.emit(ops.INDEX, ops.IndexAttrs(ops.Select(attrs.axis, at)), v)
    start: sizes.Size = 0
    for before in read[:at]:
        start = sizes.add(start, before.size(attrs.axis))
    stop = sizes.add(start, read[at].size(attrs.axis))
    return t.emit(ops.INDEX, ops.IndexAttrs(ops.Slice(attrs.axis, start, stop)), v)
