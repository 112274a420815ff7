"""Writes renames, reading and writing at positions, and concatenation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl import sizes as size_rules
from ....dsl.core import Axis, DType, names
from ....dsl.ops import (
    ConcatAttrs,
    Gather,
    IndexAttrs,
    InputAttrs,
    RenameAttrs,
    ScatterAttrs,
    Select,
    Slice,
    Window,
)
from .expressions import literal
from .layout import ATOM, COMPARED, Layout, Value, aligned, permuted, place, squeezed

if TYPE_CHECKING:
    from ....dsl.core import Node
    from ....dsl.sizes import Size
    from ..forms import Piece
    from .writer import Writer


def write_rename(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The same dimensions under other names; merged or split where there are several."""
    attrs = piece.node.attrs
    assert isinstance(attrs, RenameAttrs)
    value = w.need(piece.reads[0])
    for old, new in sorted(attrs.pairs, key=lambda pair: len(pair[1]) > 1):  # splits last
        if len(old) > 1:
            value = squeezed(value)
            at = min(value.layout.index(axis) for axis in old)
            before = [axis for axis in value.axes[:at] if axis not in old]
            after = [axis for axis in value.axes[at:] if axis not in old]
            groups = [*([axis] for axis in before), old, *([axis] for axis in after)]
            value = w.flattened(value, groups)
        # others of the pairs may still be called as a new one: a mark keeps them apart
        layout: list[str | None] = []
        for axis in value.layout:
            layout += [f"{own.name}\0" for own in new] if axis == old[0] else [axis]
        if len(new) != 1:
            at = value.layout.index(old[0])
            if new:
                value = value.view(f".unflatten({at}, ({w.shape(new)}))", ())
            else:
                value = value.view(f".squeeze({at})", ())
        value = replace(value, layout=tuple(layout))
    clean = tuple(None if axis is None else axis.rstrip("\0") for axis in value.layout)
    return replace(value, layout=clean)


def write_index(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """Positions along one axis."""
    attrs = piece.node.attrs
    assert isinstance(attrs, IndexAttrs)
    how = attrs.how
    match how:
        case Select(axis=axis, at=at):
            value = w.tensor(w.need(piece.reads[0]))
            layout = tuple(own for own in value.layout if own != axis)
            every = _every(w, piece, axis)
            if every:
                return _unbound(
                    w, piece, every, value.layout.index(axis), replace(value, layout=layout)
                )
            return value.view(_index(value, axis, str(at)), layout)
        case Slice(axis=axis, start=start, stop=stop):
            value = w.tensor(w.need(piece.reads[0]))
            size = w.flow.nodes[piece.reads[0]].size(axis)
            low = "" if start == 0 else w.size(start)
            high = "" if stop == size else w.size(stop)
            if not low and not high:
                return value
            return value.view(_index(value, axis, f"{low}:{high}"), value.layout)
        case Gather():
            return _gather(w, piece, how)
        case Window():
            return _window(w, piece, how)


def _every(w: Writer, piece: Piece, axis: str) -> list[Piece]:
    """The selections of all positions along the axis of a value, if there is one for each: taken
    apart at once, what comes back to them is put together at once."""
    (source,) = piece.reads
    size = w.flow.nodes[source].size(axis)
    found: dict[int, Piece] = {}
    for user in w.flow.users[source]:
        own = w.plan.pieces.get(user)
        if own is not None and isinstance(own.node.attrs, IndexAttrs) and user not in w.values:
            how = own.node.attrs.how
            if isinstance(how, Select) and how.axis == axis and isinstance(size, int):
                found.setdefault(how.at % size, own)
    return [found[at] for at in sorted(found)] if len(found) == size and len(found) > 1 else []


def _unbound(w: Writer, piece: Piece, every: list[Piece], at: int, value: Value) -> Value:
    """All positions as names; that of one piece."""
    targets = [w.target(own.node, "part") for own in every]
    w.line(f"{', '.join(targets)} = {value.atom}.unbind({at})", piece.node)
    for own, target in zip(every, targets, strict=True):
        w.values[own.node.name] = replace(value, text=target, rank=ATOM)
    w.left[piece.reads[0]] -= len(every) - 1
    return w.values[piece.node.name]


def _index(value: Value, axis: str, what: str) -> str:
    at = value.layout.index(axis)
    after = len(value.layout) - at - 1
    if at <= 2:
        return f"[{':, ' * at}{what}]"
    return f"[..., {what}{', :' * after}]"


# ---- gather


def _gather(w: Writer, piece: Piece, how: Gather) -> Value:
    base = squeezed(w.tensor(w.need(piece.reads[0])))
    index = squeezed(w.tensor(w.need(piece.reads[1])))
    size = w.flow.nodes[piece.reads[0]].size(how.axis)
    if how.fill is None:
        return _taken(w, piece, how.axis, base, index)
    index = w.assign(index, "at")
    inside = Value(
        f"({index.text} >= 0) & ({index.text} < {w.size(size)})", index.layout, DType.BOOL, 2
    )
    top = Value(w.size(size_rules.subtract(size, 1))).text
    safe = index.view(f".clamp(0, {top})", index.layout)
    found = _taken(w, piece, how.axis, base, safe)
    return _filled(w, found, inside, how.fill)


def _filled(w: Writer, value: Value, inside: Value, fill: float) -> Value:
    """The value where the condition holds, else the number."""
    condition = aligned(inside, value.layout)
    number = (
        fill
        if value.dtype is DType.FLOAT
        else bool(fill)
        if value.dtype is DType.BOOL
        else int(fill)
    )
    text = f"torch.where({condition.text}, {value.text}, {literal(number).text})"
    return Value(text, value.layout, value.dtype)


def _taken(w: Writer, piece: Piece, axis: str, base: Value, index: Value) -> Value:
    """The base at positions that are inside."""
    shared = [own for own in base.axes if own in index.axes and own != axis]
    rest = [own for own in base.axes if own not in shared and own != axis]
    if not shared:
        return _looked_up(w, piece, axis, base, index)
    new = [own for own in index.axes if own not in shared]
    made = {own.name: own for own in piece.node.axes}
    base = permuted(base, [*shared, *rest, axis])
    spots = w.exactly(index, [made[own] for own in (*shared, *new)])
    spots = w.flattened(spots, [*([own] for own in shared), new])
    for _ in rest:
        spots = spots.view(f".unsqueeze({len(shared)})", ())
    if rest:
        shape = ["-1"] * len(shared) + [w.size(made[own].size) for own in rest] + ["-1"]
        spots = spots.view(f".expand({', '.join(shape)})", ())
    text = f"{base.atom}.gather(-1, {spots.text})"
    layout = (*shared, *rest, *new)
    if not new:
        text += ".squeeze(-1)"
    elif len(new) > 1:
        text += f".unflatten(-1, ({w.shape(made[own] for own in new)}))"
    return Value(text, layout, base.dtype)


def _looked_up(w: Writer, piece: Piece, axis: str, base: Value, index: Value) -> Value:
    """Rows of a table. What is out of range is an error of PyTorch's, negative or not."""
    at = base.layout.index(axis)
    layout = (*base.layout[:at], *index.layout, *base.layout[at + 1 :])
    if len(base.layout) == 2 and at == 0 and base.dtype is DType.FLOAT:
        return Value(f"F.embedding({index.text}, {base.text})", layout)
    if not index.layout:
        text = f"{base.atom}.index_select({at}, {index.atom}.view(1)).squeeze({at})"
        return Value(text, layout, base.dtype)
    flat = index
    if len(index.layout) > 1:
        flat = index.view(".flatten()", ("*",))
    text = f"{base.atom}.index_select({at}, {flat.text})"
    if len(index.layout) > 1:
        made = {own.name: own for own in w.flow.nodes[piece.reads[1]].axes}
        text += f".unflatten({at}, ({w.shape(made[own] for own in index.axes)}))"
    return Value(text, layout, base.dtype)


# ---- windows


def _window(w: Writer, piece: Piece, how: Window) -> Value:
    """`offset + sum of coefficient * index`: a shift, a view of windows, or positions looked up."""
    base = squeezed(w.tensor(w.need(piece.reads[0])))
    size = w.flow.nodes[piece.reads[0]].size(how.axis)
    at = base.layout.index(how.axis)
    if len(how.terms) == 1 and how.terms[0][1] == 1:
        ((axis, _),) = how.terms
        before = size_rules.multiply(-1, how.offset)
        after = size_rules.subtract(size_rules.add(how.offset, axis.size), size)
        padded = _padded(w, base, at, before, after, size, how.fill)
        layout = tuple(axis.name if own == how.axis else own for own in base.layout)
        return replace(padded, layout=layout)
    if len(how.terms) == 2 and all(count > 0 for _, count in how.terms):
        slow, fast = sorted(how.terms, key=lambda term: term[1], reverse=True)
        if fast[1] == 1 or slow[1] == 1:
            return _unfolded(w, base, how, at, size)
    return _positions(w, base, how, size)


def _padded(
    w: Writer,
    base: Value,
    at: int,
    before: size_rules.Size,
    after: size_rules.Size,
    size: size_rules.Size,
    fill: float,
) -> Value:
    """More places before and after along one dimension; fewer where the number is negative."""
    if before == 0 and after == 0:
        return base
    zeros = "0, 0, " * (len(base.layout) - at - 1)
    extra = "" if fill == 0 else f", value={literal(fill).text}"
    if base.dtype is DType.BOOL:
        extra = f", value={bool(fill)}"
    elif base.dtype is DType.INT and fill != 0:
        extra = f", value={int(fill)}"
    short = _cuts_too_much(before, after, size)
    if short:  # first all that is new, then what is left
        start = 0 if after == short else w.size(size_rules.multiply(-1, before))
        whole = size_rules.add(size, size_rules.add(before, after))
        before, after = (0, after) if before == short else (before, 0)
    text = f"F.pad({base.text}, ({zeros}{w.size(before)}, {w.size(after)}){extra})"
    if short:
        text += f".narrow({at}, {start}, {w.size(whole)})"
    return Value(text, base.layout, base.dtype)


def _cuts_too_much(
    before: size_rules.Size, after: size_rules.Size, size: size_rules.Size
) -> int | None:
    """Of one side that is cut and one that is filled, how much is cut, where that may be more than
    there is: PyTorch cuts first."""
    if not isinstance(before, int) or not isinstance(after, int) or before * after >= 0:
        return None
    cut = min(before, after)
    least = size if isinstance(size, int) else 1
    return cut if -cut > least else None


def _unfolded(w: Writer, base: Value, how: Window, at: int, size: size_rules.Size) -> Value:
    """A view of windows into the padded value."""
    (one, stride), (other, step) = how.terms
    if step != 1:
        one, stride, other, step = other, step, one, stride
    last = size_rules.add(
        size_rules.multiply(stride, size_rules.subtract(one.size, 1)),
        size_rules.add(how.offset, size_rules.subtract(other.size, 1)),
    )
    after = size_rules.subtract(last, size_rules.subtract(size, 1))
    padded = _padded(w, base, at, size_rules.multiply(-1, how.offset), after, size, how.fill)
    layout = [one.name if own == how.axis else own for own in base.layout]
    call = f".unfold({at}, {w.size(other.size)}, {stride})"
    return padded.view(call, [*layout, other.name])


def _positions(w: Writer, base: Value, how: Window, size: size_rules.Size) -> Value:
    layout = tuple(axis.name for axis, _ in how.terms)
    terms = []
    for axis, count in how.terms:
        index = aligned(index_along(w, axis), layout)
        terms.append(index.text if count == 1 else f"{count} * {index.atom}")
    if how.offset != 0:
        terms.append(w.size(how.offset))
    at = w.assign(Value(" + ".join(terms), layout, DType.INT, COMPARED), "at")
    limit = w.size(size)
    inside = Value(f"({at.text} >= 0) & ({at.text} < {limit})", layout, DType.BOOL, 2)
    where = base.layout.index(how.axis)
    flat = at.view(f".clamp(0, {w.size(size_rules.subtract(size, 1))})", at.layout)
    text = (
        f"{base.atom}.index_select({where}, {flat.text}{'.flatten()' if len(layout) > 1 else ''})"
    )
    if len(layout) > 1:
        text += f".unflatten({where}, ({w.shape(axis for axis, _ in how.terms)}))"
    found = (*base.layout[:where], *layout, *base.layout[where + 1 :])
    return _filled(w, Value(text, found, base.dtype), inside, how.fill)


def index_along(w: Writer, axis: Axis) -> Value:
    """0, 1, 2, ... along an axis."""
    return Value(f"torch.arange({w.size(axis.size)}{w.on_device})", (axis.name,), DType.INT)


# ---- scatter, concatenation


def write_scatter(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The base with updates at positions; what is out of range is lost in one more place."""
    node, attrs = piece.node, piece.node.attrs
    assert isinstance(attrs, ScatterAttrs)
    base, index, update = (w.tensor(w.need(name)) for name in piece.reads)
    sizes = {own.name: own for name in piece.reads for own in w.flow.nodes[name].axes}
    rows = [own.name for own in node.axes if own.name != attrs.axis]
    own = [sizes[axis] for axis in rows]
    over = [sizes[axis] for axis in attrs.over]
    groups = [*([axis] for axis in rows), list(attrs.over)]
    whole = w.cast(w.exactly(base, [*own, sizes[attrs.axis]]), node.dtype)
    spots = w.flattened(w.exactly(index, [*own, *over]), groups)
    new = w.cast(w.flattened(w.exactly(update, [*own, *over]), groups), node.dtype)
    limit = w.size(sizes[attrs.axis].size)
    at = w.assign(replace(spots, rank=spots.rank), "at", node)
    safe = f"torch.where(({at.text} >= 0) & ({at.text} < {limit}), {at.text}, {limit})"
    call = "scatter_add" if attrs.add else "scatter"
    if node.dtype is DType.BOOL:
        whole, new = w.cast(whole, DType.INT), w.cast(new, DType.INT)
    text = f"F.pad({whole.text}, (0, 1)).{call}(-1, {safe}, {new.text})"
    made = Value(text, (*rows, attrs.axis), whole.dtype).view("[..., :-1]", (*rows, attrs.axis))
    return w.cast(made, node.dtype)


def write_concat(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """One after another along an axis, or stacked along a new one."""
    node, attrs = piece.node, piece.node.attrs
    assert isinstance(attrs, ConcatAttrs)
    first = w.flow.nodes[piece.reads[0]]
    if isinstance(first.attrs, InputAttrs) and first.attrs.grows == attrs.axis:
        return _appended(w, piece, first)
    values = [w.cast(w.tensor(value), node.dtype) for value in w.several(piece.reads, wish)]
    axes = {own.name: own for own in node.axes}
    along = [_size_along(w, name, attrs) for name in piece.reads]
    # the others follow the largest; one that is alone along the axis was made to stand beside it
    largest = max(zip(values, along, strict=True), key=lambda v: (len(v[0].axes), v[1] != 1))[0]
    order = [axis for axis in largest.axes if axis in axes]
    order += [axis for axis in names(node.axes) if axis not in order and axis != attrs.axis]
    if attrs.new:
        at = _wanted_at(w, node.name, attrs.axis, order)
        if at is None and wish is not None and attrs.axis in wish:
            at = len([a for a in wish[: wish.index(attrs.axis)] if a in order])
        if at is None:
            at = 0 if node.axes[0].name == attrs.axis else len(order)
        layout = (*order[:at], attrs.axis, *order[at:])
        where = -1 if at == len(order) else at
        parts = [w.exactly(value, [axes[axis] for axis in order]) for value in values]
        if len(parts) == 1:
            return parts[0].view(f".unsqueeze({where})", layout)
        listed = _listed([part.text for part in parts])
        return Value(f"torch.stack(({listed}), {where})", layout, node.dtype)
    order += [attrs.axis] if attrs.axis not in order else []
    last = w.tail(node.name)
    order = [axis for axis in order if axis not in last] + [axis for axis in order if axis in last]
    texts = []
    for name, value in zip(piece.reads, values, strict=True):
        own = {a.name: a for a in w.flow.nodes[name].axes}
        texts.append(w.exactly(value, [own.get(axis, axes[axis]) for axis in order]).text)
    layout = tuple(order)
    where = place(Value("", layout), attrs.axis)
    return Value(f"torch.cat(({_listed(texts)}), {where})", layout, node.dtype)


def _appended(w: Writer, piece: Piece, first: Node) -> Value:
    """What is put behind a value that grows, in place; both together."""
    before, new = w.need(piece.reads[0]), w.need(piece.reads[1])
    own = {axis.name: axis for axis in w.flow.nodes[piece.reads[1]].axes}
    new = w.exactly(w.cast(new, first.dtype), [own[axis] for axis in before.axes])
    w.helper("cache")
    return Value(f"{before.text}.append({new.text})", before.layout, first.dtype)


def _wanted_at(w: Writer, name: str, axis: str, order: list[str]) -> int | None:
    """Where a new axis goes so that a reader who merges it with its neighbours needs no copy, and
    one who takes positions of it copies blocks."""
    for user in filter(None, w.flow.users[name]):  # a result is read by nobody of the graph
        attrs = w.flow.nodes[user].attrs
        if (
            isinstance(attrs, IndexAttrs)
            and attrs.how.axis == axis
            and w.flow.reads[user][0] == name
        ):
            return 0
        for old, _ in attrs.pairs if isinstance(attrs, RenameAttrs) else ():
            if axis in old and len(old) > 1:
                before, after = old[: old.index(axis)], old[old.index(axis) + 1 :]
                if after and after[0] in order:
                    return order.index(after[0])
                if before and before[-1] in order:
                    return order.index(before[-1]) + 1
    return None


def _size_along(w: Writer, name: str, attrs: ConcatAttrs) -> Size | None:
    """The size of an operand along the axis; None if it has none."""
    node = w.flow.nodes.get(name)
    return node.size(attrs.axis) if node is not None and attrs.axis in node.axis_names else None


def _listed(parts: list[str]) -> str:
    return ", ".join(parts) + ("," if len(parts) == 1 else "")


def write_iota(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The index along an axis."""
    (axis,) = piece.node.axes
    return index_along(w, axis)


def write_stop(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The value, through which no gradient flows."""
    value = w.tensor(w.need(piece.reads[0], wish))
    return value.view(".detach()", value.layout) if value.dtype is DType.FLOAT else value
