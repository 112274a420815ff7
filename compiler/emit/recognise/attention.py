"""Softmax attention, whatever masks the scores, when nobody reads the scores or the pattern.

`z = dot[s](softmax[s](f(dot[k](q, key))), v)`, where f scales, adds a bias, and sets to -inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.core import names
from ....dsl.ops import AlongAttrs, ContractAttrs, IotaAttrs, MapAttrs, RenameAttrs
from ..forms import Attention

if TYPE_CHECKING:
    from ....dsl.core import Axes, Node
    from .patterns import View


Pairs = tuple[tuple[tuple[str, ...], "Axes"], ...]


@dataclass
class _Scores:
    """What becomes of the product of queries and keys before the softmax."""

    scale: float = 1.0
    masks: list[str] = field(default_factory=list)
    biases: list[tuple[str, int]] = field(default_factory=list)  # with their signs
    merged: Pairs = ()  # axes of the product that are one above it, until the pattern splits them
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
        scores = _Scores()
        attrs = view.flow.nodes[pattern].attrs
        if isinstance(attrs, RenameAttrs) and view.once(pattern):  # heads split into groups
            scores.inner.add(pattern)
            scores.merged = attrs.pairs
            (pattern,) = view.flow.reads[pattern]
            attrs = view.flow.nodes[pattern].attrs
        if attrs == AlongAttrs("softmax", (key,)):
            if not view.once(pattern):
                return None
            scores.inner.add(pattern)
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
            case ContractAttrs(axes=(_,)) if len(read) == 2 and not scores.merged:
                scores.dot = name
                return True
            case MapAttrs(fn="where") if view.number(read[2]) == -math.inf:
                if key not in _axes(view, read[1]):
                    return False
                scores.masks.append(read[0])
                name = read[1]
            case MapAttrs(fn="add" | "sub" as fn) if scores.scale == 1.0:
                name, bias = _core(view, read) if fn == "add" else read
                if view.number(bias) is not None:
                    return False
                scores.biases.append((bias, 1 if fn == "add" else -1))
            case RenameAttrs(pairs=pairs) if _undone(scores.merged, pairs):
                seen = [*scores.masks, *(name for name, _ in scores.biases)]
                if any(
                    _axes(view, other) & {o for old, _ in scores.merged for o in old}
                    for other in seen
                ):
                    return False
                scores.merged = ()
                (name,) = read
            case MapAttrs(fn="mul" | "div" as fn):
                name, factor = _core(view, read) if fn == "mul" else read
                number = view.number(factor)
                if number is None or number <= 0:
                    return False
                scores.scale *= number if fn == "mul" else 1 / number
            case _:
                return False


def _undone(split: Pairs, merged: Pairs) -> bool:
    """Whether the one takes apart exactly what the other puts together."""
    wanted = {(names(new), old) for old, new in split}
    return bool(split) and wanted == {(old, names(new)) for old, new in merged}


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
    if key in q_axes or key not in k_axes & v_axes or inner not in q_axes & k_axes:
        return None
    value = {inner} & v_axes or v_axes - q_axes - k_axes
    query = _query(view, root, scores, q_axes - k_axes - v_axes, k, key)
    if query is None or len(value) > 1 or not v_axes - value - {key} <= q_axes | k_axes:
        return None
    extra = (*scores.masks, *(name for name, _ in scores.biases))
    if any(not _axes(view, name) <= (q_axes | k_axes) - {inner} for name in extra):
        return None
    q_node = view.flow.nodes[q]
    square = q_node.size(query) == view.flow.nodes[k].size(key)
    lone = len(extra) == len(scores.masks) == 1
    causal = square and lone and _is_causal(view, extra[0], query, key)
    size = q_node.size(inner)
    usual = isinstance(size, int) and math.isclose(scores.scale, size**-0.5, rel_tol=1e-9)
    scale = None if usual else scores.scale
    form = Attention(
        query,
        key,
        inner,
        tuple(value),
        scale,
        causal,
        0 if causal else len(scores.masks),
        tuple(sign for _, sign in scores.biases),
    )
    return form, (q, k, v, *(() if causal else extra)), frozenset(scores.inner)


def _query(
    view: View, root: Node, scores: _Scores, candidates: frozenset[str], k: str, key: str
) -> str | None:
    """The axis of the queries, among those that keys and values lack: others group heads."""
    masked = {axis for name in scores.masks for axis in _axes(view, name)} & candidates
    size = view.flow.nodes[k].size(key)
    ordered = [axis for axis in root.axes if axis.name in (masked or candidates)]
    ordered.sort(key=lambda axis: (axis.size != size, isinstance(axis.size, int)))
    return ordered[0].name if ordered else None


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
