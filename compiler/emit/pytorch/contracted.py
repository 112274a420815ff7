"""Writes contractions shaped like attention as calls of kernels that the runtime provides."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ...artifact import ContractionCall
from ...attention.contraction import DOT, QUERY, VALUE
from ..forms import Contracted
from .kernels import sizes_of
from .layout import MULTIPLIED, Layout, Value, aligned, squeezed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...attention.places import Read
    from ..forms import Piece
    from .writer import Writer


def write_contracted(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The call, and what the result is multiplied with."""
    form = piece.form
    assert isinstance(form, Contracted)
    found, made = form.found, form.found.contraction
    given = [_given(w, read) for read in found.reads]
    orders = tuple(value.axes for value in given)
    results = tuple(_order(orders[0], wanted) for wanted in made.results)
    count = 1 if found.total is None else 2
    what = made if form.kernel is None else form.kernel.symbol
    key = repr((what, orders, results, count, form.is_usual, sizes_of(made.body)))
    name = f"attention_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    w.calls[name] = ContractionCall(name, made, form.kernel, orders, results, count, form.is_usual)
    label = "attended" if found.gates else w.label(piece.node, "attended")
    targets = [w.names.take(label)]
    own = dict(zip((*names(made.lanes), QUERY, VALUE), names(found.axes), strict=True))
    value = Value(targets[0], tuple(own[axis] for axis in results[0]))
    if found.total is not None:
        targets.append(w.names.take("total"))
    ending = "," if len(targets) == 1 else ""
    listed = ", ".join(one.text for one in given)
    w.line(f"{', '.join(targets)}{ending} = {name}({listed})", piece.node)
    if found.total is not None:
        node = w.flow.nodes[found.total.name]
        total = Value(targets[1], tuple(own[axis] for axis in results[1]))
        if any(len(group) > 1 for group in found.total.groups):
            flat = w.flattened(total, found.total.groups)
            total = w.assign(flat, w.label(node, "total"), node)
            total = replace(total, layout=names(node.axes))
        w.values[node.name] = total
    for gate in found.gates:
        factor = _given(w, gate.read, tensor=False)
        factor = replace(factor, layout=tuple(own[axis] for axis in factor.axes))
        text = aligned(w.cast(factor, DType.FLOAT), value.layout)
        sign, rank = ("/", MULTIPLIED + 1) if gate.divides else ("*", MULTIPLIED)
        both = f"{value.at(MULTIPLIED)} {sign} {text.at(rank)}"
        value = replace(value, text=both, rank=MULTIPLIED)
    return value


def write_beside(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """What the call of another value gives too."""
    w.need(piece.reads[0])
    return w.values[piece.node.name]


def _given(w: Writer, read: Read, *, tensor: bool = True) -> Value:
    """A value with its axes as the contraction has them."""
    node = w.flow.nodes[read.name]
    value = w.cast(squeezed(w.need(read.name)), node.dtype)
    if value.plain and not tensor:
        return value
    if value.plain or set(value.axes) != node.axis_names:
        own = {axis.name: axis for axis in node.axes}
        order = [axis for axis in value.axes if axis in own]
        order += [axis for axis in names(node.axes) if axis not in order]
        value = w.exactly(value, [own[axis] for axis in order])
    value = w.tensor(value)
    places = dict(read.places)
    for axis in value.axes:
        parts = places[axis]
        if len(parts) > 1:
            at = value.layout.index(axis)
            layout = (*value.layout[:at], *names(parts), *value.layout[at + 1 :])
            value = value.view(f".unflatten({at}, ({w.shape(parts)}))", layout)
    single = {axis: parts[0].name for axis, parts in places.items() if len(parts) == 1}
    return replace(value, layout=tuple(single.get(axis or "", axis) for axis in value.layout))


def _order(query: Sequence[str], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The axes of a result: as those of the queries lie, and what these lack in front."""
    like = [VALUE if axis == DOT else axis for axis in query]
    own = [axis for axis in like if axis in wanted]
    return (*(axis for axis in wanted if axis not in own), *own)
