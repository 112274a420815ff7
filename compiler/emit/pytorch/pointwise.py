"""Writes pointwise functions: operands brought to one layout and to dtypes that PyTorch takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ....dsl.ops import MapAttrs
from ..forms import Spread
from .expressions import COMPARISONS, INFIX, literal, operator
from .layout import Layout, Value, aligned, merged

if TYPE_CHECKING:
    from ....dsl.core import Node
    from ..forms import Piece
    from .writer import Writer

ROUNDS = {"floor", "ceil", "round", "int"}


def write_map(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A function of operands that are broadcast by name."""
    node = piece.node
    assert isinstance(node.attrs, MapAttrs)
    fn = node.attrs.fn
    values = w.several(piece.reads, wish)
    layout = chosen(values, node, wish)
    values = typed(w, fn, [aligned(value, layout) for value in values], node.dtype)
    if (fn in ROUNDS and values[0].dtype is DType.INT) or fn == "float":
        return values[0]
    if all(value.plain for value in values):
        if fn in INFIX and fn not in COMPARISONS:
            return replace(operator(fn, values), dtype=node.dtype, plain=True)
        values = [w.tensor(values[0]), *values[1:]]
    return replace(operator(fn, values), dtype=node.dtype, layout=together(values))


def chosen(values: list[Value], node: Node, wish: Layout | None) -> Layout:
    """The layout in which operands meet: that of the largest, or the wish if all are small."""
    tensors = [value for value in values if value.axes]
    whole = [value for value in tensors if len(value.axes) == len(node.axes)]
    if wish is not None and not whole and node.axis_names <= set(wish):
        return tuple(axis for axis in wish if axis in node.axis_names)
    return merged(tensors, node.axis_names, names(node.axes))


def together(values: list[Value]) -> Layout:
    """The layout of what comes of values that broadcast."""
    deepest = max((len(value.layout) for value in values), default=0)
    columns = [
        (None,) * (deepest - len(value.layout)) + value.layout for value in values if value.layout
    ]
    return tuple(
        next((axis for axis in column if axis), None) for column in zip(*columns, strict=True)
    )


def typed(w: Writer, fn: str, values: list[Value], dtype: DType) -> list[Value]:
    """The operands so that PyTorch computes a result of this dtype of them."""
    if fn in ("and", "or", "not"):
        return [_truth(w, value) for value in values]
    if fn == "where":
        return [w.tensor(_truth(w, values[0])), *_branches(w, values[1:], dtype)]
    if fn in COMPARISONS or fn in ("isnan", "isfinite"):
        return values if any(not v.plain for v in values) else [w.tensor(values[0]), *values[1:]]
    values = [_counted(value) for value in values]
    if fn == "atan2":
        values = [w.tensor(value) for value in values]
    if fn in ROUNDS or dtype is DType.INT:
        return [w.cast(v, DType.INT) if v.dtype is DType.BOOL else v for v in values]
    return _floats(w, values, exact=fn != "mul")


def _counted(value: Value) -> Value:
    """A truth that is written out, as the number that it counts as: PyTorch subtracts no `True`."""
    return literal(int(value.text == "True")) if value.text in ("True", "False") else value


def _floats(w: Writer, values: list[Value], *, exact: bool = False) -> list[Value]:
    """Floats, or ints beside a float; with `exact` no bools either."""
    found = []
    has_float = any(v.dtype is DType.FLOAT and not v.plain for v in values)
    for value in values:
        alone = not has_float or (exact and value.dtype is DType.BOOL)
        if value.plain and value.dtype is DType.INT and alone:
            value = replace(value, dtype=DType.FLOAT)  # as a tensor, of the floats around it
        if not value.plain and value.dtype is not DType.FLOAT and alone:
            value = w.cast(value, DType.FLOAT)
            has_float = True
        found.append(value)
    return found


def _branches(w: Writer, values: list[Value], dtype: DType) -> list[Value]:
    if all(value.plain for value in values):
        if dtype is DType.FLOAT:
            return [w.tensor(replace(values[0], dtype=dtype)), values[1]]
        return values
    if dtype is DType.FLOAT:
        return _floats(w, values)
    return values


def _truth(w: Writer, value: Value) -> Value:
    if value.dtype is DType.BOOL:
        return value
    made = operator("ne", [value, Value("0", plain=True)])
    return replace(made, dtype=DType.BOOL, layout=value.layout, plain=value.plain)


def write_spread(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The value repeated along one more axis."""
    assert isinstance(piece.form, Spread)
    node = piece.node
    value = w.tensor(w.need(piece.reads[0], wish))
    order = merged([value], node.axis_names, names(node.axes))
    if wish is not None and node.axis_names <= set(wish):
        order = tuple(axis for axis in wish if axis in node.axis_names)
    own = {axis.name: axis for axis in node.axes}
    return w.exactly(value, [own[axis] for axis in order if axis is not None])
