"""Selections, concatenations, splits and merges that find what exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl import sizes
from ....dsl.core import Axis, DType, names
from ....dsl.ops import INDEX, Gather, IndexAttrs, RenameAttrs, Select, Slice, Window
from .refusal import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Node
    from ...lengths import Joined
    from .walk import Pad


def index(
    pad: Pad,
    node: Node,
    how: Select | Slice | Gather | Window,
    operands: tuple[str, ...],
    axis: Axis | None,
) -> None:
    """A selection; `axis` is that which is read, if it is ragged."""
    lengths, value = pad.lengths, operands[0]
    together = lengths.joined_of(value, how.axis)
    match how:
        case Select(name, at) if axis is not None and at < 0:
            end = lengths.length(axis.size, node, together)
            place = lengths.map("add", node, end, lengths.number(at, node))
            fill = 0.0 if sizes.counts(axis.size) else None  # there may be nothing at all
            _gather(pad, node, Gather(name, fill), value, place)
        case Slice(name, start, stop) if axis is not None and lengths.symbols(Axis(name, start)):
            part = Axis(name, sizes.subtract(stop, start))
            first = lengths.length(start, node, together)
            place = lengths.map("add", node, first, lengths.index(part, node))
            _gather(pad, node, Gather(name), value, place)
        case Gather(name, None):
            place = operands[1]
            if place in lengths.dependent and lengths.ragged(place):
                _gather(pad, node, how, value, place)
        case Gather(fill=float(fill)) | Window(fill=fill) if axis is not None:
            dtype = pad.edit.node(value).dtype
            number = bool(fill) if dtype is DType.BOOL else fill
            number = int(fill) if dtype is DType.INT else number
            shown = lengths.only(value, [axis], number, node)
            if isinstance(how, Window) and lengths.symbols(Axis(axis.name, how.offset)):
                place = lengths.length(how.offset, node, together)
                for term, factor in how.terms:
                    step = lengths.map(
                        "mul", node, lengths.index(term, node), lengths.number(factor, node)
                    )
                    place = lengths.map("add", node, place, step)
                read = IndexAttrs(Gather(axis.name, fill))
                pad.become(node, lengths.add(INDEX, read, node, shown, place))
            else:
                pad.edit.set_operands(node.name, [shown, *operands[1:]])


def _gather(pad: Pad, node: Node, how: Gather, value: str, place: str) -> None:
    """What is behind the end may say any place; it says the first."""
    lengths = pad.lengths
    place = lengths.only(place, lengths.ragged(place), 0, node)
    pad.become(node, lengths.add(INDEX, IndexAttrs(how), node, value, place))


def concat(pad: Pad, node: Node, axis: str, operands: tuple[str, ...]) -> None:
    """Each example's parts one after another, without what lies between."""
    lengths = pad.lengths
    parts = [_own(pad, o, axis) for o in operands]
    together = _alike(pad, node, [(o, own) for o, own in zip(operands, parts, strict=True)])
    if not any(lengths.symbols(own) for own in parts[:-1]):
        return
    total = next(own for own in node.axes if own.name == axis)
    here = place = lengths.index(total, node)
    end: sizes.Size = 0
    for own in parts[:-1]:
        end = sizes.add(end, own.size)
        if lengths.symbols(own):
            whole = lengths.whole(own.size, node)
            gap = lengths.map("sub", node, whole, lengths.length(own.size, node, together))
            behind = lengths.map("ge", node, here, lengths.length(end, node, together))
            zero = lengths.number(0, node)
            skipped = lengths.map("where", node, behind, gap, zero)
            place = lengths.map("add", node, place, skipped)
    inside = lengths.exists(total, node, together)
    place = lengths.map("where", node, inside, place, lengths.number(0, node))
    pad.become(node, lengths.add(INDEX, IndexAttrs(Gather(axis)), node, node.name, place))


def reshape(
    pad: Pad, node: Node, pairs: Sequence[tuple[tuple[str, ...], Axes]], value: str
) -> None:
    """Splits and merges. Positions that are not the first ones of an array any more are gathered,
    from all of them in a row."""
    lengths = pad.lengths
    changed, gathered = [], []
    for old, new in pairs:
        before = [_own(pad, value, name) for name in old]
        ragged = [own for own in (*before, *new) if lengths.symbols(own)]
        if len(old) == len(new) == 1 or not ragged:
            changed.append((old, new))
            continue
        _check_examples(pad, node, before)
        together = _alike(pad, node, [(value, own) for own in before])
        if any(lengths.symbols(own) for own in (*before[1:], *new[1:])):
            line = Axis("_".join(old), sizes.product(own.size for own in before))
            while line.name in {*pad.edit.node(value).axis_names, *names(node.axes)}:
                line = Axis(f"{line.name}_", line.size)
            gathered.append((line.name, _place(pad, node, before, new, together)))
            new = (line,)
        changed.append((old, new))
    if not gathered:
        return
    pad.edit.put(replace(node, attrs=RenameAttrs(tuple(changed))))
    pad.typed(node.name)
    current = node.name
    for row, place in gathered:
        current = lengths.add(INDEX, IndexAttrs(Gather(row)), node, current, place)
    pad.become(node, current)


def _place(pad: Pad, node: Node, before: Sequence[Axis], after: Axes, together: Joined) -> str:
    """Where in the row of all old positions the one at new indices stands."""
    lengths = pad.lengths
    one = lengths.number(1, node)

    def count(axis: Axis) -> str:
        return lengths.map("max", node, lengths.length(axis.size, node, together), one)

    at = lengths.number(0, node)
    for axis in after:  # which one it is, among those that the example has
        at = lengths.map("mul", node, at, count(axis))
        at = lengths.map("add", node, at, lengths.index(axis, node))
    place, stride = lengths.number(0, node), one
    for axis in reversed(before):  # and where that one stands in the array
        step = lengths.map("mul", node, lengths.map("mod", node, at, count(axis)), stride)
        place = lengths.map("add", node, place, step)
        at = lengths.map("floordiv", node, at, count(axis))
        stride = lengths.map("mul", node, stride, lengths.whole(axis.size, node))
    return place


def _own(pad: Pad, value: str, name: str) -> Axis:
    return next(axis for axis in pad.edit.node(value).axes if axis.name == name)


def _check_examples(pad: Pad, node: Node, before: Sequence[Axis]) -> None:
    """An axis is not merged with the one that its lengths are of."""
    for axis in before:
        both = pad.lengths.examples(axis) & {own.name for own in before}
        if both:
            why = f"leaves no `{min(both)}` for a length to be of"
            raise refused(pad.lengths, node, axis, why)


def _alike(pad: Pad, node: Node, parts: Sequence[tuple[str, Axis]]) -> Joined:
    """Whether these axes have lengths of each example, or all of several examples together."""
    lengths = pad.lengths
    found = {
        lengths.joined_of(value, axis.name): axis for value, axis in parts if lengths.symbols(axis)
    }
    if len(found) > 1:
        axis = found[min(found, key=len)]
        why = "puts it beside one that all share"
        raise refused(lengths, node, axis, why)
    return next(iter(found), frozenset())
