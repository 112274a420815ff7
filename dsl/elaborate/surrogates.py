"""`heaviside(x, surrogate = atan(2.0))`: a step that has the slope of a smooth one.

To the step is added what is always 0, the smooth step less itself, of which only the first has a
slope. So no operation has a slope that is not its own, and every kind of derivative agrees.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Slug, or_any
from .values import Known, Value

if TYPE_CHECKING:
    from ..core import Node
    from .functions import Given

SMOOTH: dict[str, tuple[str, float, float]] = {
    "atan": ("atan2", math.pi / 2, 1 / math.pi),
    "erf": ("erf", 1.0, 0.5),
    "sigmoid": ("sigmoid", 1.0, 1.0),
}
"""A function, by how much its operand is stretched besides its steepness, and its value."""


def heaviside(given: Given) -> Value:
    """1.0 where x is above 0, else 0.0."""
    named = [arg for arg in given.tree.args if arg.name == "surrogate"]
    rest = tuple(arg for arg in given.tree.args if arg not in named)
    (x,) = replace(given, tree=replace(given.tree, args=rest)).nodes(1, 1)
    step = _map(given, "float", _map(given, "gt", x, 0))
    if named:
        smooth = _smooth(given, x, named[0].value)
        stopped = given.emit(ops.STOP, ops.StopAttrs(), [smooth]).node
        step = _map(given, "add", step, _map(given, "sub", smooth, stopped))
    return Value(step)


def _smooth(given: Given, x: Node, tree: s.Expr) -> Node:
    name = tree.target if isinstance(tree, s.Call) else tree
    args = tree.args if isinstance(tree, s.Call) else ()
    if not isinstance(name, s.Name) or name.id not in SMOOTH or len(args) > 1:
        given.scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{tree.span.text}` is no step with a slope",
            tree.span,
            hint=or_any(name.id if isinstance(name, s.Name) else "", SMOOTH),
        )
    steepness = given.scope.finite(args[0].value, "how steep a surrogate is") if args else 1.0
    fn, width, height = SMOOTH[name.id]
    inner = _map(given, "mul", x, width * steepness)
    value = _map(given, fn, inner, 1.0) if fn == "atan2" else _map(given, fn, inner)
    return _map(given, "mul", value, height)


def _map(given: Given, fn: str, *operands: Node | float) -> Node:
    scope, span = given.scope, given.tree.span
    read = [scope.node(Known(o), span) if isinstance(o, int | float) else o for o in operands]
    return scope.map(fn, read, span)
