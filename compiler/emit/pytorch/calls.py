"""Writes the forms that PyTorch has a call for: norms, losses, functions of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..forms import BatchNorm, CrossEntropy, LayerNorm, Pointwise, RMSNorm
from .expressions import literal
from .layout import Layout, Value, permuted, squeezed

if TYPE_CHECKING:
    from ..forms import Piece
    from .writer import Writer


def write_pointwise(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A function of one value."""
    assert isinstance(piece.form, Pointwise)
    value = w.need(piece.reads[0], wish)
    return Value(piece.form.call.format(value.text), value.layout)


def write_norm(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A layer norm or an RMS norm, over the last dimensions."""
    form = piece.form
    assert isinstance(form, LayerNorm | RMSNorm)
    x = squeezed(w.need(piece.reads[0]))
    axes = tuple(axis for axis in x.axes if axis in form.axes)
    x = permuted(x, [*(axis for axis in x.axes if axis not in axes), *axes])
    sizes = [w.size(piece.node.size(axis)) for axis in axes]
    shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
    extra = [permuted(w.need(name), axes).text for name in piece.reads[1:]]
    name = "layer_norm" if isinstance(form, LayerNorm) else "rms_norm"
    operands = ", ".join([x.text, shape, *extra])
    return Value(f"F.{name}({operands}, eps={literal(form.eps).text})", x.layout)


def write_batch_norm(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """By stored statistics; PyTorch wants their axis second."""
    form = piece.form
    assert isinstance(form, BatchNorm)
    x = squeezed(w.need(piece.reads[0]))
    at = x.layout.index(form.axis)
    before, after = x.axes[:at], x.axes[at + 1 :]
    flat = w.flattened(x, [before, [form.axis], *([axis] for axis in after)])
    stored = [w.need(name).text for name in piece.reads[1:]]
    operands = ", ".join([flat.text, *stored])
    made = Value(f"F.batch_norm({operands}, eps={literal(form.eps).text})", flat.layout)
    if len(before) < 2:
        return made
    sizes = {axis.name: axis for axis in piece.node.axes}
    return made.view(f".unflatten(0, ({w.shape(sizes[axis] for axis in before)}))", x.layout)


def write_cross_entropy(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The loss of each target, or the mean of all."""
    form = piece.form
    assert isinstance(form, CrossEntropy)
    scores = squeezed(w.need(piece.reads[0]))
    rest = [axis for axis in scores.axes if axis != form.axis]
    sizes = {a.name: a for a in w.flow.nodes[piece.reads[0]].axes}
    target = w.exactly(w.need(piece.reads[1], tuple(rest)), [sizes[axis] for axis in rest])
    flat = w.flattened(scores, [rest, [form.axis]])
    if not rest:
        flat = permuted(scores, [form.axis])
    aim = w.flattened(target, [rest]) if rest else target
    if form.mean:
        return Value(f"F.cross_entropy({flat.text}, {aim.text})")
    text = f'F.cross_entropy({flat.text}, {aim.text}, reduction="none")'
    if len(rest) < 2:
        return Value(text, tuple(rest))
    shape = w.shape(sizes[axis] for axis in rest)
    return Value(f"{text}.unflatten(0, ({shape}))", tuple(rest))
