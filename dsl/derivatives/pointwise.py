"""The derivative of each pointwise function with respect to each operand, applied to a direction.

A row has an entry for each operand: of the operands, the result and a direction, the direction
times the derivative; None where that is zero. It serves both modes, being the same backwards.
Where there is a kink, PyTorch's convention holds: a maximum of two equal tensors has half of each,
`sign` is 0 at 0, a bound that is a number lets through what lies on it, but 0 in `max(x, 0)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..ops import ConstAttrs

if TYPE_CHECKING:
    from ..core import Node
    from .tape import Tape

Partial = Callable[["Tape", Sequence["Node"], "Node", "Node"], "Node | None"]


def _same(_t: Tape, _x: Sequence[Node], _y: Node, v: Node) -> Node:
    return v


def _negative(t: Tape, _x: Sequence[Node], _y: Node, v: Node) -> Node:
    return t.map("neg", v)


def _times(factor: Callable[[Tape, Node, Node], Node]) -> Partial:
    """The direction times something made of the one operand and the result."""
    return lambda t, x, y, v: t.map("mul", v, factor(t, x[0], y))


# ---- of several operands


def _base(t: Tape, x: Sequence[Node], _y: Node, v: Node) -> Node | None:
    a, b = x
    if isinstance(b.attrs, ConstAttrs):
        power = b.attrs.value
        if power in (0, 1):
            return v if power else None
        return t.map("mul", t.map("mul", v, power), t.map("pow", a, power - 1))
    slope = t.map("mul", t.map("mul", v, b), t.map("pow", a, t.map("sub", b, 1)))
    return t.map("where", t.map("eq", b, 0), 0.0, slope)


def _exponent(t: Tape, x: Sequence[Node], y: Node, v: Node) -> Node:
    a, b = x
    flat = t.map("and", t.map("eq", a, 0), t.map("ge", b, 0))
    return t.map("where", flat, 0.0, t.map("mul", t.map("mul", v, y), t.map("log", a)))


def _extreme(place: int, beyond: str, least: bool) -> Partial:
    """Of `max` or `min`: the operand in a place counts unless the other is `beyond` it."""

    def partial(t: Tape, x: Sequence[Node], _y: Node, v: Node) -> Node:
        mine, other = x[place], x[1 - place]
        out = t.map(beyond, other, mine)
        if isinstance(other.attrs, ConstAttrs):
            if least and other.attrs.value == 0:
                return t.map("where", t.map("gt", mine, other), v, 0.0)
            return t.map("where", out, 0.0, v)
        shared = t.map("where", t.map("eq", mine, other), t.map("mul", v, 0.5), v)
        return t.map("where", out, 0.0, shared)

    return partial


def _angle(t: Tape, x: Sequence[Node], part: Node, v: Node) -> Node:
    square = t.map("add", t.map("mul", x[0], x[0]), t.map("mul", x[1], x[1]))
    return t.map("div", t.map("mul", v, part), square)


def _quotient(t: Tape, x: Sequence[Node], y: Node, v: Node) -> Node:
    return t.map("neg", t.map("div", t.map("mul", v, y), x[1]))


def _remainder(t: Tape, x: Sequence[Node], _y: Node, v: Node) -> Node:
    return t.map("neg", t.map("mul", v, t.map("floordiv", x[0], x[1])))


# ---- of one operand


def _over_square(t: Tape, size: Node) -> Node:
    """1 - size ^ 2."""
    return t.map("sub", 1.0, t.map("mul", size, size))


def _bell(t: Tape, x: Node, _y: Node) -> Node:
    return t.map("mul", 2 / math.sqrt(math.pi), t.map("exp", t.map("neg", t.map("mul", x, x))))


def _cubed(t: Tape, _x: Node, y: Node) -> Node:
    return t.map("mul", -0.5, t.map("mul", t.map("mul", y, y), y))


PARTIALS: dict[str, tuple[Partial | None, ...]] = {
    "add": (_same, _same),
    "sub": (_same, _negative),
    "mul": (lambda t, x, _, v: t.map("mul", v, x[1]), lambda t, x, _, v: t.map("mul", x[0], v)),
    "div": (lambda t, x, _, v: t.map("div", v, x[1]), _quotient),
    "mod": (_same, _remainder),
    "pow": (_base, _exponent),
    "max": (_extreme(0, "gt", True), _extreme(1, "gt", True)),
    "min": (_extreme(0, "lt", False), _extreme(1, "lt", False)),
    "atan2": (
        lambda t, x, _, v: _angle(t, x, x[1], v),
        lambda t, x, _, v: _angle(t, x, t.map("neg", x[0]), v),
    ),
    "where": (
        None,
        lambda t, x, _, v: t.map("where", x[0], v, 0.0),
        lambda t, x, _, v: t.map("where", x[0], 0.0, v),
    ),
    "neg": (_negative,),
    "float": (_same,),
    "abs": (_times(lambda t, x, _: t.map("sign", x)),),
    "exp": (_times(lambda _t, _x, y: y),),
    "expm1": (_times(lambda t, _, y: t.map("add", y, 1.0)),),
    "log": (lambda t, x, _, v: t.map("div", v, x[0]),),
    "log1p": (lambda t, x, _, v: t.map("div", v, t.map("add", x[0], 1.0)),),
    "sqrt": (lambda t, _, y, v: t.map("div", v, t.map("mul", 2.0, y)),),
    "rsqrt": (_times(_cubed),),
    "reciprocal": (_times(lambda t, _, y: t.map("neg", t.map("mul", y, y))),),
    "sin": (_times(lambda t, x, _: t.map("cos", x)),),
    "cos": (_times(lambda t, x, _: t.map("neg", t.map("sin", x))),),
    "tan": (_times(lambda t, _, y: t.map("add", t.map("mul", y, y), 1.0)),),
    "tanh": (_times(lambda t, _, y: _over_square(t, y)),),
    "sigmoid": (_times(lambda t, _, y: t.map("mul", y, t.map("sub", 1.0, y))),),
    "softplus": (_times(lambda t, x, _: t.map("sigmoid", x)),),
    "log_sigmoid": (_times(lambda t, x, _: t.map("sigmoid", t.map("neg", x))),),
    "erf": (_times(_bell),),
}

FLAT = {
    *("floordiv", "sign", "floor", "ceil", "round", "int", "isnan", "isfinite"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"),
}
"""Functions whose derivative is zero wherever they have one."""
