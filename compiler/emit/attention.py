"""Softmax attention, whatever masks the scores, when nobody reads the scores or the pattern.

`z = dot[s](softmax[s](f(dot[k](q, key))), v)`, where f scales, adds a bias, and sets to -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import AlongAttrs, ContractAttrs, IotaAttrs, MapAttrs
from .forms import Attention

if TYPE_CHECKING:
    from ...dsl.core import Node
    from .patterns import View


@dataclass
class _Scores:
    """What becomes of the product of queries and keys before the softmax."""

    scale: float = 1.0
    masks: list[str] = field(default_factory=list)
    biases: list[str] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)
    dot: str = ""


def attention(view: View, root: Node) -> tuple[Attention, tuple[str, ...], frozenset[str]] | None:
    """The form of an attention's result, what it reads, and its inner values."""
    if not isinstance(root.attrs, ContractAttrs) or len(root.attrs.axes) != 1:
        return None
    (key,) = root.attrs.axes
    read = view.flow.reads[root.name]
    if len(read) != 2:
        return None
    for pattern, v in (read, read[::-1]):
        attrs = view.flow.nodes[pattern].attrs
        if isinstance(attrs, AlongAttrs) and attrs == AlongAttrs("softmax", (key,)):
            if not view.once(pattern):
                return None
            scores = _Scores(inner={pattern})
            if _open(view, view.flow.reads[pattern][0], scores, key):
                return _form(view, root, scores, key, v)
    return None


def _open(view: View, name: str, scores: _Scores, key: str) -> bool:
    """Take the scores apart down to the product; False if something else is in the way."""
    while True:
        node = view.flow.nodes[name]
        read = view.flow.reads[name]
        if not view.once(name) or name in view.flow.closed:
            return False
        scores.inner.add(name)
        match node.attrs:
            case ContractAttrs(axes=(_,)) if len(read) == 2:
                scores.dot = name
                return True
            case MapAttrs(fn="where") if view.number(read[2]) == -math.inf:
                if scores.biases or key not in _axes(view, read[1]):
                    return False
                scores.masks.append(read[0])
                name = read[1]
            case MapAttrs(fn="add") if not scores.masks or scores.scale == 1.0:
                name, bias = _core(view, read)
                if scores.scale != 1.0 or view.number(bias) is not None:
                    return False
                scores.biases.append(bias)
            case MapAttrs(fn="mul" | "div" as fn):
                name, factor = _core(view, read) if fn == "mul" else read
                number = view.number(factor)
                if number is None:
                    return False
                scores.scale *= number if fn == "mul" else 1 / number
            case _:
                return False


def _core(view: View, read: tuple[str, ...]) -> tuple[str, str]:
    """The operand that goes on towards the product, and the other."""
    one, other = read
    if view.number(one) is not None or not _leads(view, one):
        return other, one
    return one, other


def _leads(view: View, name: str) -> bool:
    while view.once(name) and name not in view.flow.closed:
        attrs = view.flow.nodes[name].attrs
        if isinstance(attrs, ContractAttrs):
            return True
        if not isinstance(attrs, MapAttrs) or attrs.fn not in ("add", "mul", "div", "where"):
            return False
        read = view.flow.reads[name]
        if attrs.fn == "where":
            name = read[1]
        else:
            name = next((o for o in read if view.once(o) and o not in view.flow.closed), read[0])
    return False


def _axes(view: View, name: str) -> frozenset[str]:
    return view.flow.nodes[name].axis_names


def _form(
    view: View, root: Node, scores: _Scores, key: str, v: str
) -> tuple[Attention, tuple[str, ...], frozenset[str]] | None:
    dot = view.flow.nodes[scores.dot]
    assert isinstance(dot.attrs, ContractAttrs)
    (inner,) = dot.attrs.axes
    q, k = view.flow.reads[scores.dot]
    if key in _axes(view, q):
        q, k = k, q
    q_axes, k_axes, v_axes = (_axes(view, name) for name in (q, k, v))
    batch = (q_axes | k_axes) - {key, inner}
    if key in q_axes or key not in k_axes or key not in v_axes or inner not in q_axes & k_axes:
        return None
    queries = q_axes - k_axes - v_axes
    value = v_axes - q_axes - k_axes
    for masked in (*scores.masks, *scores.biases):
        queries = queries & _axes(view, masked) if len(queries) > 1 else queries
        if not _axes(view, masked) <= q_axes | k_axes:
            return None
    if len(queries) != 1 or len(value) > 1 or inner in v_axes and not value:
        return _self_valued(view, root, scores, (q, k, v), (key, inner), queries)
    (query,) = queries
    if not v_axes - value - {key} <= batch:
        return None
    return _made(view, root, scores, (q, k, v), (query, key, inner), tuple(value))


def _self_valued(
    view: View, root: Node, scores: _Scores, read: tuple[str, str, str],
    axes: tuple[str, str], queries: frozenset[str],
) -> tuple[Attention, tuple[str, ...], frozenset[str]] | None:
    """The values' axis is called as the one that queries and keys are compared along."""
    key, inner = axes
    q_axes, k_axes, v_axes = (_axes(view, name) for name in read)
    if len(queries) != 1 or inner not in v_axes or v_axes - q_axes - k_axes:
        return None
    (query,) = queries
    if not v_axes - {key, inner} <= (q_axes | k_axes) - {query}:
        return None
    return _made(view, root, scores, read, (query, key, inner), (inner,))


def _made(
    view: View, root: Node, scores: _Scores, read: tuple[str, str, str],
    axes: tuple[str, str, str], value: tuple[str, ...],
) -> tuple[Attention, tuple[str, ...], frozenset[str]] | None:
    query, key, inner = axes
    q = view.flow.nodes[read[0]]
    k = view.flow.nodes[read[1]]
    inner_frozen = frozenset(scores.inner)
    if not view.free(root.name, inner_frozen):
        return None
    masks = list(scores.masks)
    square = q.size(query) == k.size(key)
    causal = square and len(masks) == 1 and _is_causal(view, masks[0], query, key)
    if len(masks) > 1 or len(scores.biases) > 1:
        return None
    size = q.size(inner)
    usual = isinstance(size, int) and math.isclose(scores.scale, size**-0.5, rel_tol=1e-9)
    alone = causal and not scores.biases
    form = Attention(
        query, key, inner, value, None if usual else scores.scale, alone,
        bool(masks) and not alone, bool(scores.biases),
    )
    extra = (*(() if alone else masks), *scores.biases)
    return form, (*read, *extra), inner_frozen


def _is_causal(view: View, mask: str, query: str, key: str) -> bool:
    """Whether the mask is `key position <= query position`."""
    attrs = view.flow.nodes[mask].attrs
    if mask not in view.flow.closed or attrs not in (MapAttrs("le"), MapAttrs("ge")):
        return False
    found = [view.flow.nodes[name].attrs for name in view.flow.reads[mask]]
    if attrs == MapAttrs("ge"):
        found.reverse()
    return all(
        isinstance(index, IotaAttrs) and index.axis.name == axis
        for index, axis in zip(found, (key, query), strict=True)
    )
