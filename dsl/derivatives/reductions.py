"""The derivative of each reduction: a weight for every element that it is over.

The reduction changes by the sum of the changes of its elements times their weights, and a
cotangent comes back to each element times its weight: one table for both modes. Of equal extremes
each has an equal part, and the length of nothing but zeros has the slope 0, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import ops

if TYPE_CHECKING:
    from ..core import Axis, Node
    from .tape import Tape

Weight = Callable[["Tape", "Node", "Node", ops.ReduceAttrs], "Node | None"]


def _over(x: Node, attrs: ops.ReduceAttrs) -> list[Axis]:
    return [axis for axis in x.axes if axis.name in attrs.axes]


def _mean(t: Tape, x: Node, _y: Node, attrs: ops.ReduceAttrs) -> Node:
    return t.map("div", 1.0, t.count(_over(x, attrs)))


def _extreme(t: Tape, x: Node, y: Node, attrs: ops.ReduceAttrs) -> Node:
    return _parts(t, t.map("eq", x, y), attrs)


def _parts(t: Tape, chosen: Node, attrs: ops.ReduceAttrs) -> Node:
    """1 shared by what is chosen."""
    count = t.reduce("sum", chosen, attrs.axes)
    return t.map("div", t.map("float", chosen), count)


def _var(t: Tape, x: Node, _y: Node, attrs: ops.ReduceAttrs) -> Node:
    gap = t.map("sub", x, t.reduce("mean", x, attrs.axes))
    return t.map("mul", t.map("div", 2.0, t.count(_over(x, attrs))), gap)


def _prod(t: Tape, x: Node, _y: Node, attrs: ops.ReduceAttrs) -> Node | None:
    """The product of all others, one axis after another, without a division."""
    weight: Node | None = None
    for axis in reversed(_over(x, attrs)):
        others = t.map("mul", _before(t, x, axis), _after(t, x, axis))
        weight = others if weight is None else t.map("mul", others, weight)
        x = t.reduce("prod", x, [axis.name])
    return weight


def _before(t: Tape, x: Node, axis: Axis) -> Node:
    """The product of all earlier ones."""
    product = t.along("cumprod", x, [axis.name])
    how = ops.Window(axis.name, ((axis, 1),), -1, 1.0)
    return t.emit(ops.INDEX, ops.IndexAttrs(how), product)


def _after(t: Tape, x: Node, axis: Axis) -> Node:
    """The product of all later ones."""
    flipped = t.along("flip", x, [axis.name])
    return t.along("flip", _before(t, flipped, axis), [axis.name])


def _norm(t: Tape, x: Node, y: Node, attrs: ops.ReduceAttrs) -> Node:
    """sign(x) * (|x| / norm) ^ (p - 1), and 0 where the norm is."""
    p = 2.0 if attrs.argument is None else attrs.argument
    sign = t.map("sign", x)
    if p == 1:
        return sign
    if math.isinf(p):
        largest = t.map("eq", t.map("abs", x), y)
        return t.map("mul", sign, _parts(t, largest, attrs))
    whole = t.map("where", t.map("eq", y, 0), 1.0, y)
    if p == 2:
        return t.map("div", x, whole)
    part = t.map("div", t.map("abs", x), whole)
    if p < 1:  # a zero has an infinite slope, and gets none
        part = t.map("where", t.map("eq", x, 0), 1.0, part)
    return t.map("mul", sign, t.map("pow", part, p - 1))


def _logsumexp(t: Tape, x: Node, y: Node, _: ops.ReduceAttrs) -> Node:
    return t.map("exp", t.map("sub", x, y))


def _quantile(t: Tape, x: Node, _y: Node, attrs: ops.ReduceAttrs) -> Node:
    """The two elements around the level have what is left of 1 by their distance from it."""
    order = t.along("argsort", t.along("argsort", x, attrs.axes), attrs.axes)
    last = t.map("sub", t.count(_over(x, attrs)), 1)
    level = t.map("mul", attrs.argument or 0.0, last)
    near = t.map("sub", 1.0, t.map("abs", t.map("sub", order, level)))
    return t.map("max", near, 0.0)


WEIGHTS: dict[str, Weight] = {
    "sum": lambda _t, _x, _y, _attrs: None,  # None: each counts once
    "mean": _mean,
    "max": _extreme,
    "min": _extreme,
    "var": _var,
    "prod": _prod,
    "norm": _norm,
    "logsumexp": _logsumexp,
    "quantile": _quantile,
}

FLAT = {"argmax", "argmin", "any", "all"}
"""Reductions whose derivative is zero."""
