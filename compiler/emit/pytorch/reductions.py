"""Writes reductions, and functions along axes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import DType
from ....dsl.ops import AlongAttrs, MapAttrs, ReduceAttrs
from .expressions import literal
from .layout import ATOM, Layout, Value, place, squeezed

if TYPE_CHECKING:
    from ..forms import Piece
    from .writer import Writer

OVER_SEVERAL = {  # dimensions as a tuple, keepdim
    "sum": ".sum({})",
    "mean": ".mean({})",
    "max": ".amax({})",
    "min": ".amin({})",
    "var": ".var({}, correction=0)",
    "logsumexp": ".logsumexp({})",
    "any": ".any({})",
    "all": ".all({})",
}
OVER_ONE = {"prod": ".prod({})", "argmax": ".argmax({})", "argmin": ".argmin({})"}
NEEDS_FLOAT = {"mean", "var", "logsumexp", "norm", "quantile"}
ALONG = {
    "softmax": "torch.softmax({}, {})",
    "log_softmax": "torch.log_softmax({}, {})",
    "cumsum": "{}.cumsum({})",
    "cumprod": "{}.cumprod({})",
    "cummax": "{}.cummax({}).values",
    "sort": "{}.sort({}).values",
    "argsort": "{}.argsort(dim={}, stable=True)",
    "rank": "{}.argsort(dim={}, descending=True, stable=True).argsort({})",
    "flip": "{}.flip({})",
}


def write_reduce(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A reduction; its axes stay as dimensions of size 1 where a reader wants them there."""
    node = piece.node
    assert isinstance(node.attrs, ReduceAttrs)
    fn, gone = node.attrs.fn, node.attrs.axes
    value = w.tensor(w.need(piece.reads[0]))
    if not gone:
        value = replace(value.view(".unsqueeze(-1)", (*value.layout, "*")))
        gone = ("*",)
    if fn in NEEDS_FLOAT:
        value = w.cast(value, DType.FLOAT)
    elif value.dtype is DType.BOOL and fn not in ("any", "all", "sum"):
        value = w.cast(value, DType.INT)
    elif value.dtype is not DType.BOOL and fn in ("any", "all"):
        value = w.cast(value, DType.BOOL)
    argument = literal(2.0 if node.attrs.argument is None else node.attrs.argument).text
    if fn in OVER_SEVERAL or fn == "norm":
        value, where = _dimensions(value, gone)
        format_ = OVER_SEVERAL.get(fn, f".norm({argument}, {{}})")
    else:
        value, where = _one_dimension(w, value, gone)
        format_ = OVER_ONE.get(fn, "")
    kept = _kept(value, gone, wish)
    if kept:
        where += ", keepdim=True"
        layout: Layout = tuple(None if axis in gone else axis for axis in value.layout)
    else:
        layout = tuple(axis for axis in value.layout if axis not in gone)
    if fn == "quantile":
        call = f"{w.helper('quantile_of')}({value.text}, {argument}, {where})"
        return Value(call, layout, node.dtype)
    made = replace(value.view(format_.format(where), layout), dtype=node.dtype)
    if fn in ("max", "min") and node.dtype is DType.BOOL:
        return w.cast(replace(made, dtype=DType.INT), DType.BOOL)
    return made


def _dimensions(value: Value, gone: tuple[str, ...]) -> tuple[Value, str]:
    if set(gone) == set(value.axes):
        value = squeezed(value)
        places = ["-1"] if len(gone) == 1 else [str(at) for at in range(len(value.layout))]
    else:
        places = [str(place(value, axis)) for axis in gone]
        if len(places) > 1:
            places = [str(value.layout.index(axis)) for axis in gone]
    if len(places) == 1:
        return value, places[0]
    return value, f"({', '.join(sorted(places, key=int))})"


def _one_dimension(w: Writer, value: Value, gone: tuple[str, ...]) -> tuple[Value, str]:
    """Several axes as one, the first as major."""
    if len(gone) == 1:
        return value, str(place(value, gone[0]))
    rest = [axis for axis in value.axes if axis not in gone]
    return w.flattened(value, [*([axis] for axis in rest), gone]), "-1"


def _kept(value: Value, gone: tuple[str, ...], wish: Layout | None) -> bool:
    """Whether the reader has the axes that are gone, in the same places."""
    if wish is None or any(axis not in value.layout for axis in gone):
        return False
    return tuple(axis for axis in wish if axis in value.axes) == value.axes


def write_along(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A function along axes that keeps them."""
    node = piece.node
    assert isinstance(node.attrs, AlongAttrs)
    fn, axes = node.attrs.fn, node.attrs.axes
    value = w.tensor(w.need(piece.reads[0], wish))
    if node.dtype is DType.FLOAT:
        value = w.cast(value, DType.FLOAT)
    elif value.dtype is DType.BOOL:
        value = w.cast(value, DType.INT)
    if fn in ("fft_re", "fft_im"):
        return _transform(value, axes, fn)
    if not axes:
        value = value.view(".unsqueeze(-1)", (*value.layout, "*"))
        axes = ("*",)
    order = value.axes
    several = len(axes) > 1
    flat, where = _one_dimension(w, value, axes)
    call = ALONG[fn]
    if fn in ("softmax", "log_softmax") and _may_be_empty(w, piece):
        call = f"{w.helper(f'masked_{fn}')}({{}}, {{}})"
    operand = flat.atom if call.startswith("{}") else flat.text
    made = replace(flat, text=call.format(operand, where, where), rank=ATOM, dtype=node.dtype)
    if several:
        sizes = ", ".join(w.size(node.size(axis)) for axis in axes)
        rest = [axis for axis in order if axis not in axes]
        made = made.view(f".unflatten(-1, ({sizes}))", (*rest, *axes))
    elif axes == ("*",):
        made = made.view(".squeeze(-1)", made.layout[:-1])
    if node.dtype is DType.INT or fn not in ("sort", "flip", "cummax"):
        return made
    return w.cast(replace(made, dtype=value.dtype), node.dtype)


def _transform(value: Value, axes: tuple[str, ...], fn: str) -> Value:
    part = "real" if fn == "fft_re" else "imag"
    if not axes:
        text = value.text if part == "real" else f"torch.zeros_like({value.text})"
        return replace(value, text=text, rank=value.rank if part == "real" else ATOM)
    if len(axes) == 1:
        call = f"torch.fft.fft({value.text}, dim={place(value, axes[0])})"
    else:
        where = ", ".join(str(place(value, axis)) for axis in axes)
        call = f"torch.fft.fftn({value.text}, dim=({where}))"
    return replace(value, text=f"{call}.{part}", rank=ATOM, dtype=DType.FLOAT)


def _may_be_empty(w: Writer, piece: Piece) -> bool:
    """Whether all that is compared may be -inf: unless nothing is masked, or causally."""
    name = piece.reads[0]
    flow = w.flow
    waiting = [name]
    seen = set()
    while waiting:
        name = waiting.pop()
        attrs = flow.nodes[name].attrs
        if name in seen:
            continue
        seen.add(name)
        if flow.numbers.get(name) == float("-inf"):
            return True
        if isinstance(attrs, MapAttrs):
            read = flow.reads[name]
            masked = attrs.fn == "where" and flow.numbers.get(read[2]) == float("-inf")
            if masked and _leaves_some(w, read[0], piece):
                waiting.append(read[1])
            else:
                waiting += read[1:] if attrs.fn == "where" else read
        elif flow.nodes[name].op.name in ("input", "param") and flow.nodes[name].axes:
            continue
    return False


def _leaves_some(w: Writer, mask: str, piece: Piece) -> bool:
    """Whether the mask is `s <= t`, which holds for at least one s."""
    flow = w.flow
    attrs = flow.nodes[mask].attrs
    assert isinstance(piece.node.attrs, AlongAttrs)
    if attrs not in (MapAttrs("le"), MapAttrs("ge")) or len(piece.node.attrs.axes) != 1:
        return False
    low, high = flow.reads[mask] if attrs == MapAttrs("le") else flow.reads[mask][::-1]
    indices = [flow.nodes[name].op.name == "iota" for name in (low, high)]
    return all(indices) and flow.nodes[low].axes[0].name == piece.node.attrs.axes[0]
