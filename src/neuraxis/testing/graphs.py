"""Draws well-typed graphs over all operations.

Numbers stay small and finite. What is discontinuous (comparisons, rounding, ranks) reads only
values that are exact in binary, so that a pass may round differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..compiler.graph import Graph
from ..dsl import ops
from ..dsl.core import Axes, Body, DType, names, without
from ..dsl.items import item_attrs
from .drawing import ALL_OPS, AXES, BOOL, FLOAT, INT, Maker, Value
from .kinds import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@st.composite
def graphs(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    most: int = 12,
    kinds: Sequence[str] = ALL_OPS,
) -> Graph:
    """A well-typed graph with up to about `most` nodes of these kinds besides its inputs."""
    maker = Maker(draw, kinds=kinds)
    for _ in range(draw(st.integers(1, 3))):
        axes = tuple(maker.some(AXES))
        attrs = ops.InputAttrs(names(axes), axes, maker.pick([FLOAT, FLOAT, INT, BOOL]))
        maker.add(ops.INPUT, attrs, exact=True)
    for _ in range(draw(st.integers(0, 2))):
        axes = tuple(maker.some(AXES[:4], most=2))
        maker.add(ops.PARAM, ops.ParamAttrs(axes, ops.Distribution("uniform", (-1.0, 1.0))))
    if draw(st.booleans()):
        distribution = ops.Distribution("uniform", (0.0, 1.0))
        maker.add(ops.RANDOM, ops.RandomAttrs((AXES[1],), distribution, "r"))
    grow(maker, draw(st.integers(1, most)))
    results = maker.some(maker.pool[::-1], least=1)
    return Graph.from_body(Body(tuple(maker.steps), tuple(v.name for v in results)))


def grow(maker: Maker, count: int) -> None:
    """Add about so many nodes."""
    for _ in range(count):
        (_scan if (kind := maker.pick(maker.kinds)) == "scan" else RULES[kind])(maker)


def _scan(m: Maker) -> None:
    runs = [a for v in m.pool for a in v.axes]
    if not runs or m.prefix.count("s") > 1:
        return
    axis = m.pick(runs)
    inside = [v for v in m.pool if axis in v.axes]
    apart = [v for v in m.pool if axis.name not in names(v.axes)]
    starts = [v for v in m.some(apart, most=2) if v.dtype is not BOOL]
    steps, constants = m.some(inside, most=2), m.some(apart, most=2)
    body = Maker(m.draw, prefix=f"{m.prefix}s{len(m.steps)}.", kinds=m.kinds)
    carries = []
    for value in starts:
        extra = m.some([a for a in AXES[:2] if a != axis and a.name not in names(value.axes)])
        dtype = m.pick([value.dtype, FLOAT])
        carries.append(_body_input(body, (*value.axes, *extra), dtype, 4, False))
    for value in steps:
        axes = without(value.axes, [axis.name])
        _body_input(body, axes, value.dtype, value.bound, value.exact)
    for value in constants:
        _body_input(body, value.axes, value.dtype, value.bound, value.exact)
    if not body.pool:
        return
    grow(body, m.draw(st.integers(0, 5)))
    results = [_next(body, carry) for carry in carries]
    own = [v for v in body.pool if axis.name not in names(v.axes)]
    outputs = m.some(own[::-1], most=2)
    if not results and not outputs:
        return
    attrs = ops.ScanAttrs(
        axis,
        Body(tuple(body.steps), tuple(v.name for v in (*results, *outputs))),
        len(carries),
        len(steps),
        m.pick([False, True]),
    )
    if any(axis.name in step.node.axis_names for step in body.steps):
        return
    scan = m.add(ops.SCAN, attrs, [*starts, *steps, *constants], bound=0)
    assert scan is not None
    for index in range(len(results) + len(outputs)):
        if m.pick([True, True, False]):
            bound = 4 if index < len(results) else outputs[index - len(results)].bound
            m.add(ops.ITEM, item_attrs(attrs, index), [scan], bound=bound)


def _body_input(body: Maker, axes: Axes, dtype: DType, bound: float, exact: bool) -> Value:
    attrs = ops.InputAttrs(names(axes), axes, dtype)
    value = body.add(ops.INPUT, attrs, bound=bound, exact=exact)
    assert value is not None
    return value


def _next(body: Maker, carry: Value) -> Value:
    """A new carry of the same type that stays in bounds, with or without the old one."""
    fit = [v for v in body.pool if v.dtype is carry.dtype and set(v.axes) <= set(carry.axes)]
    other = body.pick(fit)
    if carry.dtype is INT:
        low, high = body.const(-4), body.const(4)
        made = body.map("max", body.map("min", other, high, bound=9, exact=True), low, bound=4,
                        exact=True)  # fmt: skip
    elif body.pick([False, False, False, True]):
        made = body.const(1)
    else:
        mixed = body.map("add", carry, other, bound=9, exact=False)
        made = body.map("tanh", body.pick([mixed, other]), bound=1, exact=False)
    assert made is not None
    return made
