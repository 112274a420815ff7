"""What reads and writes at positions, backwards: cotangents go to where values came from."""

from __future__ import annotations

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
            place = at if at >= 0 else sizes.add(axis.size, at)
            return t.map("where", t.map("eq", t.iota(axis), _size(t, place)), v, 0.0)
        case ops.Slice(start=start, stop=stop):
            if how.axis in v.axis_names:
                return t.window(v, how.axis, axis, 1, sizes.multiply(-1, start))
            index = t.iota(axis)
            after = t.map("ge", index, _size(t, start))
            before = t.map("lt", index, _size(t, stop))
            return t.map("where", t.map("and", after, before), v, 0.0)
        case ops.Gather():
            return _scattered(t, axis, read[1], names(read[1].axes), x, v)
        case ops.Window(terms=terms, offset=offset):
            return _unwindowed(t, axis, terms, offset, x, v)


def _unwindowed(
    t: Tape,
    axis: Axis,
    terms: tuple[tuple[Axis, int], ...],
    offset: sizes.Size,
    x: Node,
    v: Node,
) -> Node:
    if len(terms) == 1 and abs(terms[0][1]) == 1 and terms[0][0].name in v.axis_names:
        (new, step), *_ = terms  # position = offset + step * index, solved for the index
        return t.window(v, new.name, axis, step, sizes.multiply(-step, offset))
    at: Node = _size(t, offset)
    for new, step in terms:
        at = t.map("add", at, t.map("mul", t.iota(new), step))
    return _scattered(t, axis, at, [new.name for new, _ in terms], x, v)


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


def _size(t: Tape, size: sizes.Size) -> Node:
    """A size as a number."""
    if isinstance(size, int):
        return t.number(size)
    total: Node | None = None
    for monomial, count in size.terms:
        term = t.number(count)
        for atom in monomial:
            if isinstance(atom, str):
                factor = t.count([Axis(atom, sizes.symbol(atom))])
            else:
                factor = t.map("floordiv", _size(t, atom.top), atom.bottom)
            term = t.map("mul", term, factor)
        total = term if total is None else t.map("add", total, term)
    assert total is not None
    return total


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
