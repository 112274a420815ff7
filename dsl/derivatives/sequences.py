"""The derivative of each function along axes, forwards and backwards.

A row has two functions of the tape, the operand, the result, a direction with all axes of both, and
the axes: what the direction becomes in the result, and what it becomes in the operand. All but the
normalisers and transforms are along one axis here; several are joined first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops, sizes
from ..core import Axis, Body, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import Node
    from .tape import Tape

Rule = Callable[["Tape", "Node", "Node", "Node", tuple[str, ...]], "Node"]


def _softmax(t: Tape, _x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    mean = t.reduce("sum", t.map("mul", y, v), axes)
    return t.map("mul", y, t.map("sub", v, mean))


def _log_softmax(t: Tape, _x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    mean = t.reduce("sum", t.map("mul", t.map("exp", y), v), axes)
    return t.map("sub", v, mean)


def _log_softmax_back(t: Tape, _x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    return t.map("sub", v, t.map("mul", t.map("exp", y), t.reduce("sum", v, axes)))


def _linear(fn: str) -> Rule:
    return lambda t, _x, _y, v, axes: t.along(fn, v, axes)


def _cumsum_back(t: Tape, _x: Node, _y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    return t.along("flip", t.along("cumsum", t.along("flip", v, axes), axes), axes)


# ---- orders


def _sorted(t: Tape, x: Node, _y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    return t.gather(v, axes[0], t.along("argsort", x, axes))


def _sorted_back(t: Tape, x: Node, _y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    places = t.along("argsort", t.along("argsort", x, axes), axes)
    return t.gather(v, axes[0], places)


def _highest(t: Tape, x: Node, y: Node, axis: Axis) -> Node:
    """Where the largest so far stands: the last of equals."""
    at = t.map("where", t.map("eq", x, y), t.iota(axis), 0)
    return t.along("cummax", at, [axis.name])


def _cummax(t: Tape, x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    axis = _axis(x, axes)
    return t.gather(v, axis.name, _highest(t, x, y, axis))


def _cummax_back(t: Tape, x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    axis = _axis(x, axes)
    away = t.prime(axis, x.axis_names, v.axis_names)
    pairs = (((axis.name,), (away,)),)
    at, moved = t.rename(_highest(t, x, y, axis), pairs), t.rename(v, pairs)
    base = t.zeros([axis])
    return t.emit(ops.SCATTER, ops.ScatterAttrs(axis.name, (away.name,)), base, at, moved)


# ---- running products: a recurrence, whose derivative needs no division


def _earlier(t: Tape, y: Node, axis: Axis) -> Node:
    """The product before each position."""
    how = ops.Window(axis.name, ((axis, 1),), -1, 1.0)
    return t.emit(ops.INDEX, ops.IndexAttrs(how), y)


def _cumprod(t: Tape, x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    """dy = dy before * x + y before * dx."""
    axis = _axis(x, axes)
    own = t.map("mul", _earlier(t, y, axis), v)

    def step(body: Tape, carry: Node, given: Sequence[Node]) -> tuple[Node, Node]:
        new = body.map("add", body.map("mul", carry, given[0]), given[1])
        return new, new

    return _recurrence(t, axis, [x, own], step, reverse=False)


def _cumprod_back(t: Tape, x: Node, y: Node, v: Node, axes: tuple[str, ...]) -> Node:
    """From the end: what comes back to y at a position, times the product before it."""
    axis = _axis(x, axes)

    def step(body: Tape, carry: Node, given: Sequence[Node]) -> tuple[Node, Node]:
        whole = body.map("add", given[1], carry)
        return body.map("mul", whole, given[0]), whole

    arrived = _recurrence(t, axis, [x, v], step, reverse=True)
    return t.map("mul", arrived, _earlier(t, y, axis))


def _recurrence(
    t: Tape,
    axis: Axis,
    given: Sequence[Node],
    step: Callable[[Tape, Node, Sequence[Node]], tuple[Node, Node]],
    *,
    reverse: bool,
) -> Node:
    """What each step gives out of a scan with one carry that starts at zero.

    The step says the next carry and what is given out.
    """
    body = t.inside()
    wide = max((without(value.axes, [axis.name]) for value in given), key=len)
    carry = body.input(wide)
    inputs = [body.input(without(value.axes, [axis.name]), value.dtype) for value in given]
    results = tuple(node.name for node in step(body, carry, inputs))
    attrs = ops.ScanAttrs(axis, Body(tuple(body.steps), results), 1, len(given), reverse)
    return t.item(t.emit(ops.SCAN, attrs, t.number(0.0), *given), 1)


def _axis(x: Node, axes: tuple[str, ...]) -> Axis:
    return next(axis for axis in x.axes if axis.name == axes[0])


SEQUENCES: dict[str, tuple[Rule, Rule]] = {
    "softmax": (_softmax, _softmax),
    "log_softmax": (_log_softmax, _log_softmax_back),
    "cumsum": (_linear("cumsum"), _cumsum_back),
    "flip": (_linear("flip"), _linear("flip")),
    "fft_re": (_linear("fft_re"), _linear("fft_re")),  # the matrix is symmetric
    "fft_im": (_linear("fft_im"), _linear("fft_im")),
    "sort": (_sorted, _sorted_back),
    "cummax": (_cummax, _cummax_back),
    "cumprod": (_cumprod, _cumprod_back),
}
FLAT = frozenset({"argsort", "rank"})
"""Functions whose derivative is zero."""

_TOGETHER = frozenset({"softmax", "log_softmax", "fft_re", "fft_im"})


def through(t: Tape, node: Node, v: Node, *, back: bool) -> Node | None:
    """A direction through a function along axes: forwards, or back to its operand."""
    attrs = node.attrs
    assert isinstance(attrs, ops.AlongAttrs)
    if attrs.fn in FLAT:
        return None
    x, y, axes = t.read(node)[0], node, attrs.axes
    if attrs.fn == "softmax" and v.axis_names.isdisjoint(axes):
        return None  # what is added to all changes nothing, and the sum is 1
    v = t.spread(v, [axis for axis in node.axes if axis.name in axes])
    if not axes:
        return None if attrs.fn in ("softmax", "log_softmax", "fft_im") else v
    rule = SEQUENCES[attrs.fn][back]
    if len(axes) == 1 or attrs.fn in _TOGETHER:
        return rule(t, x, y, v, axes)
    old = tuple(axis for name in axes for axis in x.axes if axis.name == name)
    joined = replace(t.prime(old[0], x.axis_names, v.axis_names), size=_product(old))
    pairs = ((axes, (joined,)),)
    flat = [t.rename(value, pairs) for value in (x, y, v)]
    made = rule(t, flat[0], flat[1], flat[2], (joined.name,))
    return t.rename(made, (((joined.name,), old),))


def _product(axes: Sequence[Axis]) -> sizes.Size:
    return sizes.product(axis.size for axis in axes)
