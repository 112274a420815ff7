"""Writes softmax attention as one call, on views of [batch, heads, positions, features]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import DType
from ..forms import Attention
from .expressions import literal
from .layout import ATOM, BOTH, MULTIPLIED, SIGNED, Layout, Value, aligned, squeezed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axis
    from ..forms import Piece
    from .writer import Writer


@dataclass(frozen=True, slots=True)
class _Fronts:
    """The axes of the two dimensions before the positions; `more` are heads of the queries that
    share those of keys and values."""

    batch: tuple[str, ...]
    heads: tuple[str, ...]
    more: tuple[str, ...]

    @property
    def every(self) -> tuple[str, ...]:
        """All of them, in the order in which the result has them."""
        return (*self.batch, *self.heads, *self.more)


def write_attention(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """`F.scaled_dot_product_attention`, the result taken apart again."""
    form = piece.form
    assert isinstance(form, Attention)
    q, k, v = (squeezed(w.need(name)) for name in piece.reads[:3])
    sizes = {a.name: a for name in piece.reads for a in w.flow.nodes[name].axes}
    fronts = _fronts(form, q, k, v)
    texts = [
        _brought(w, q, fronts.batch, (*fronts.heads, *fronts.more), (form.query, form.dot), sizes),
        _brought(w, k, fronts.batch, fronts.heads, (form.key, form.dot), sizes),
        _brought(w, v, fronts.batch, fronts.heads, (form.key, *form.value), sizes),
    ]
    mask = _mask(w, piece, form, fronts, sizes)
    texts += [f"attn_mask={mask}"] if mask else []
    texts += ["is_causal=True"] if form.causal else []
    texts += [] if form.scale is None else [f"scale={literal(form.scale).text}"]
    texts += ["enable_gqa=True"] if fronts.more else []
    done = Value(f"F.scaled_dot_product_attention({', '.join(texts)})")
    return _opened(w, done, fronts, (form.query, *(form.value or (None,))), sizes)


def _fronts(form: Attention, q: Value, k: Value, v: Value) -> _Fronts:
    inner = {form.query, form.key, form.dot, *form.value}
    kept = dict.fromkeys(axis for axis in (*k.axes, *v.axes) if axis not in inner)
    ours = [axis for axis in q.axes if axis not in inner]
    shared = [axis for axis in ours if axis in kept] + [axis for axis in kept if axis not in ours]
    more = tuple(axis for axis in ours if axis not in kept)
    if len(shared) < 2:
        return _Fronts(tuple(shared), more, ()) if more else _Fronts((), tuple(shared), ())
    return _Fronts(tuple(shared[:-1]), (shared[-1],), more)


def _brought(
    w: Writer,
    value: Value,
    batch: Sequence[str],
    heads: Sequence[str],
    last: Sequence[str],
    sizes: dict[str, Axis],
) -> str:
    """A view with four dimensions."""
    wanted = [*batch, *heads, *last]
    groups = [list(batch), list(heads), *([axis] for axis in last)]
    if set(wanted) != set(value.axes):
        value = w.exactly(value, [sizes[axis] for axis in wanted])
    return w.flattened(value, [*groups, []] if len(last) == 1 else groups).text


def _mask(w: Writer, piece: Piece, form: Attention, fronts: _Fronts, sizes: dict[str, Axis]) -> str:
    """What is kept, and what is added to the scores, as one operand."""
    read = list(piece.reads[3:])
    wanted = (*fronts.every, form.query, form.key)
    values = [w.tensor(w.need(name, wanted)) for name in read]
    masks = [_shown(w, value, fronts, form, sizes) for value in values[: form.masks]]
    added = ""
    for value, sign in zip(values[form.masks :], form.signs, strict=True):
        bias = _shown(w, w.cast(value, DType.FLOAT), fronts, form, sizes)
        if added:
            added += f" {'+' if sign > 0 else '-'} {bias.at(MULTIPLIED)}"
        else:
            added = bias.text if sign > 0 else f"-{bias.at(SIGNED)}"
    kept = masks[0].text if len(masks) == 1 else " & ".join(v.at(BOTH + 1) for v in masks)
    if kept and added:
        return f"torch.where({kept}, {added}, -torch.inf)"
    return kept or added


def _shown(
    w: Writer, value: Value, fronts: _Fronts, form: Attention, sizes: dict[str, Axis]
) -> Value:
    """A mask so that it broadcasts to [batch, heads, queries, keys]."""
    heads = (*fronts.heads, *fronts.more)
    groups = [list(fronts.batch), list(heads), [form.query], [form.key]]
    if any(len(group) > 1 and set(group) & set(value.axes) for group in groups):
        parts = [axis for group in groups for axis in group if axis in value.axes or len(group) > 1]
        value = w.exactly(value, [sizes[axis] for axis in parts])
        present = [
            group for group in groups if group and (len(group) > 1 or group[0] in value.axes)
        ]
        value = w.flattened(value, present)
    layout = tuple(group[0] if group else "*" for group in groups)
    value = aligned(value, layout)
    lacking = 2 - len(value.layout)
    if lacking > 0:
        dims = ["None"] * lacking + [":"] * len(value.layout)
        value = value.view(f"[{', '.join(dims)}]", (*[None] * lacking, *value.layout))
    return value


def _opened(
    w: Writer, value: Value, fronts: _Fronts, last: Sequence[str | None], sizes: dict[str, Axis]
) -> Value:
    """The result with its axes as dimensions again."""
    heads = (*fronts.heads, *fronts.more)
    layout: list[str | None] = [*last]
    for at, group in ((1, heads), (0, fronts.batch)):
        if len(group) > 1:
            shape = w.shape(sizes[axis] for axis in group)
            value = value.view(f".unflatten({at}, ({shape}))", ())
        layout = [*(group or [None]), *layout]
    return replace(value, layout=tuple(layout), rank=ATOM)
