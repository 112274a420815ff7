"""Draws well-typed graphs over all operations, and data for them.

Numbers stay small and finite. What is discontinuous (comparisons, rounding, ranks) reads only
values that are exact in binary, so that a pass may round differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from tests.compiler.drawing import ALL_OPS, AXES, BOOL, FLOAT, INT, Maker, Value, elements

from neuraxis.compiler.draws import drawn
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.reference import NamedArray
from neuraxis.dsl import ops, sizes
from neuraxis.dsl.core import Axes, Axis, Body, DType, names, without
from neuraxis.dsl.items import item_attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# ---- one function a kind of node: adds some, or nothing where nothing fits


def add_const(m: Maker) -> None:
    m.const(m.pick([0, 1, 2, -1, 0.0, 1.0, 0.5, -2.0, True, False]))


def add_iota(m: Maker) -> None:
    axes = [a for v in m.pool for a in v.axes]
    if axes:
        m.add(ops.IOTA, ops.IotaAttrs(m.pick(axes)), bound=8, exact=True)


def add_map(m: Maker) -> None:
    fn = m.pick(
        "add sub mul max min neg abs where not floor ceil round int sign float floordiv mod div1"
        " eq ne lt le gt ge and or isnan isfinite"
    )
    if fn in ("add", "sub", "max", "min", "mul"):
        a, b = m.value(), m.value()
        if a and b:
            bound = a.bound * b.bound if fn == "mul" else a.bound + b.bound
            m.map(fn, a, b, bound=bound, exact=True)
    elif fn == "div1":
        a = m.value()
        m.map("div", a, m.const(1), bound=a.bound if a else 0, exact=True)
    elif fn in ("neg", "abs", "float", "sign", "not", "isnan", "isfinite"):
        a = m.value(exact=fn == "sign" or fn == "not")
        m.map(fn, a, bound=max(a.bound, 1) if a else 0, exact=True)
    elif fn == "where":
        a, b = m.value(), m.value()
        if a and b:
            m.map("where", m.value(BOOL), a, b, bound=max(a.bound, b.bound), exact=True)
    elif fn in ("floor", "ceil", "round", "int"):
        a = m.value(exact=True)
        m.map(fn, a, bound=a.bound + 1 if a else 0, exact=True)
    elif fn in ("floordiv", "mod"):
        a, b = m.value(INT, exact=True), m.value(INT, exact=True)
        if a and b:
            divisor = m.map("abs", b, bound=b.bound, exact=True)
            divisor = m.map("add", divisor, m.const(1), bound=b.bound + 1, exact=True)
            m.map(fn, a, divisor, bound=a.bound + b.bound + 2, exact=True)
    else:
        m.map(fn, m.value(exact=True), m.value(exact=True), bound=1, exact=True)


def add_smooth(m: Maker) -> None:
    fn = m.pick(
        "tanh sin cos sigmoid erf softplus log_sigmoid exp expm1 log log1p sqrt rsqrt reciprocal"
        " div atan2 pow tan"
    )
    x = m.value(FLOAT, INT)
    if x is None:
        return
    if fn in ("exp", "expm1", "tan"):
        m.map(fn, m.map("tanh", x, bound=1, exact=False), bound=3, exact=False)
    elif fn in ("log", "log1p", "sqrt", "rsqrt", "reciprocal", "div", "atan2", "pow"):
        size = m.map("abs", x, bound=x.bound, exact=True)
        above = m.map("add", size, m.const(1), bound=x.bound + 1, exact=True)
        if above is None:
            return
        if fn in ("div", "atan2"):
            other = m.value()
            m.map(fn, other, above, bound=max(other.bound, 4) if other else 0, exact=False)
        elif fn == "pow":
            m.map(fn, above, m.const(m.pick([0.5, 1, 2])), bound=above.bound**2, exact=False)
        else:
            m.map(fn, above, bound=above.bound, exact=False)
    else:
        m.map(fn, x, bound=x.bound + 1, exact=False)


def add_reduce(m: Maker) -> None:
    fn = m.pick("sum sum prod max min mean var norm logsumexp quantile argmax argmin any all")
    x = m.value(exact=fn in ("argmax", "argmin", "any", "all"))
    if x is None:
        return
    axes = tuple(m.some(names(x.axes), most=2))
    if not axes and fn in ("argmax", "argmin", "quantile"):
        return
    count = elements(tuple(a for a in x.axes if a.name in axes))
    bound = {"prod": x.bound**count, "var": x.bound**2}.get(fn, x.bound * count + count)
    argument = {"quantile": 0.25, "norm": m.pick([None, 1.0, 2.0])}.get(fn)
    exact = fn in ("sum", "max", "min", "prod", "argmax", "argmin", "any", "all") and x.exact
    m.add(ops.REDUCE, ops.ReduceAttrs(fn, axes, argument), [x], bound=bound, exact=exact)


def add_contract(m: Maker) -> None:
    read = [v for v in m.some(m.pool[::-1], least=1) if v is not None]
    union = {a.name: a for v in read for a in v.axes}
    axes = tuple(m.some(list(union), most=2))
    bound = float(elements(tuple(union[name] for name in axes)))
    for v in read:
        bound *= max(v.bound, 1)
    exact = all(v.exact for v in read)
    m.add(ops.CONTRACT, ops.ContractAttrs(axes), read, bound=bound, exact=exact)


def add_product(m: Maker) -> None:
    """A sum of a product that is mostly not read by anything else."""
    read = [v for v in m.some(m.pool[::-1], least=2) if v is not None]
    made: Value | None = read[0]
    for v in read[1:]:
        if made is not None:
            hidden = made if made not in read else None
            factors = [made, v] if m.pick([True, False]) else [v, made]
            made = m.map("mul", *factors, bound=made.bound * v.bound, exact=True)
            if hidden and m.pick([True, True, False]):
                m.pool.remove(hidden)
    if made is not None and made.axes:
        axes = tuple(m.some(names(made.axes), least=1, most=2))
        bound = made.bound * elements(tuple(a for a in made.axes if a.name in axes))
        attrs: ops.Attrs = ops.ReduceAttrs("sum", axes)
        op = ops.REDUCE
        if m.pick([False, True, False]):
            op, attrs = ops.CONTRACT, ops.ContractAttrs(axes)
        m.add(op, attrs, [made], bound=bound, exact=made.exact)
        if m.pick([True, True, False]):
            m.pool.remove(made)


def add_rename(m: Maker) -> None:
    x = m.value()
    if x is None:
        return
    pairs: list[tuple[tuple[str, ...], Axes]] = []
    match m.pick(["identity", "one", "swap", "split", "merge"]):
        case "one" if x.axes:
            axis = m.pick(x.axes)
            pairs = [((axis.name,), (Axis(m.axis_name(), axis.size),))]
        case "swap" if len(x.axes) > 1:
            a, b, *_ = x.axes
            pairs = [((a.name,), (Axis(b.name, a.size),)), ((b.name,), (Axis(a.name, b.size),))]
        case "split":
            even = [a for a in x.axes if isinstance(a.size, int) and a.size % 2 == 0]
            if even:
                axis = m.pick(even)
                half = sizes.floor_divide(axis.size, 2)
                pairs = [((axis.name,), (Axis(m.axis_name(), half), Axis(m.axis_name(), 2)))]
        case "merge" if len(x.axes) > 1:
            old = m.some(x.axes, least=2, most=2)
            new = Axis(m.axis_name(), sizes.product(a.size for a in old))
            pairs = [(names(tuple(old)), (new,))]
    m.add(ops.RENAME, ops.RenameAttrs(tuple(pairs)), [x], bound=x.bound, exact=x.exact)


def add_select(m: Maker) -> None:
    x = m.value(axes=1)
    if x:
        axis = m.pick(x.axes)
        last = axis.size - 1 if isinstance(axis.size, int) else 0
        how = ops.Select(axis.name, m.pick([0, -1, last]))
        m.add(ops.INDEX, ops.IndexAttrs(how), [x], bound=x.bound, exact=x.exact)


def add_slice(m: Maker) -> None:
    x = m.value(axes=1)
    if x:
        axis = m.pick(x.axes)
        start = m.pick([0, 1] if isinstance(axis.size, int) else [0])
        stop = m.pick([axis.size, sizes.floor_divide(sizes.add(axis.size, 1), 2)])
        how = ops.Slice(axis.name, min(start, stop - 1) if isinstance(stop, int) else start, stop)
        sliced = m.add(ops.INDEX, ops.IndexAttrs(how), [x], bound=x.bound, exact=x.exact)
        if sliced:  # another axis by another name, so that it meets no other size
            new = Axis(m.axis_name(), sizes.subtract(how.stop, how.start))
            attrs = ops.RenameAttrs((((axis.name,), (new,)),))
            m.add(ops.RENAME, attrs, [sliced], bound=x.bound, exact=x.exact)
            m.pool.remove(sliced)


def add_gather(m: Maker) -> None:
    x = m.value(axes=1)
    at = m.value(INT, exact=True)
    if x and at:
        axis = m.pick(x.axes)
        fill = None
        if isinstance(axis.size, int) and axis.size > 0 and m.pick([True, False]):
            at = m.map("mod", at, m.const(axis.size), bound=axis.size, exact=True)
        else:
            fill = 0.0 if x.dtype is BOOL else m.pick([0.0, -1.0])
        if at:
            attrs = ops.IndexAttrs(ops.Gather(axis.name, fill))
            m.add(ops.INDEX, attrs, [x, at], bound=x.bound + 1, exact=x.exact)


def add_window(m: Maker) -> None:
    x = m.value(axes=1)
    if x:
        axis = m.pick(x.axes)
        stride = m.pick([1, 2, -1])
        terms: tuple[tuple[Axis, int], ...]
        terms = ((Axis(m.axis_name(), sizes.ceil_divide(axis.size, abs(stride))), stride),)
        if m.pick([True, False]):
            terms += ((Axis(m.axis_name(), 2), m.pick([1, -1])),)
        fill = 0.0 if x.dtype is BOOL else m.pick([0.0, -1.0])
        how = ops.Window(axis.name, terms, m.pick([0, 1, -1, sizes.subtract(axis.size, 1)]), fill)
        m.add(ops.INDEX, ops.IndexAttrs(how), [x], bound=x.bound + 1, exact=x.exact)


def add_scatter(m: Maker) -> None:
    base, at, update = m.value(axes=1), m.value(INT, exact=True, axes=1), m.value()
    if not (base and at and update):
        return
    axis = m.pick(base.axes)
    own = [n for n in names(at.axes) if n not in names(base.axes)]
    over = tuple(m.some(own, most=2))
    bound = base.bound + update.bound * 16
    exact = base.exact and update.exact
    attrs = ops.ScatterAttrs(axis.name, over)
    m.add(ops.SCATTER, attrs, [base, at, update], bound=bound, exact=exact)


def add_concat(m: Maker) -> None:
    parts = m.some(m.pool[::-1], least=1, most=3)
    bound, exact = max(v.bound for v in parts), all(v.exact for v in parts)
    shared = [n for n in names(parts[0].axes) if all(n in names(v.axes) for v in parts)]
    if m.pick([True, False]) or not shared:
        m.add(ops.CONCAT, ops.ConcatAttrs(m.axis_name(), True), parts, bound=bound, exact=exact)
        return
    joined = m.add(ops.CONCAT, ops.ConcatAttrs(m.pick(shared)), parts, bound=bound, exact=exact)
    if joined and len(parts) > 1:
        m.pool.remove(joined)
        axis = next(a for a in joined.axes if a not in parts[0].axes or len(parts) == 1)
        attrs = ops.RenameAttrs((((axis.name,), (Axis(m.axis_name(), axis.size),)),))
        m.add(ops.RENAME, attrs, [joined], bound=bound, exact=exact)


def add_along(m: Maker) -> None:
    fn = m.pick("softmax log_softmax cumsum cumprod sort flip cummax argsort rank fft_re fft_im")
    x = m.value(exact=fn in ("argsort", "rank"), axes=1)
    if x:
        axes = tuple(m.some(names(x.axes), least=1, most=2))
        count = elements(tuple(a for a in x.axes if a.name in axes))
        bound = x.bound**count if fn == "cumprod" else x.bound * 2 * count + count
        if fn in ("sort", "flip", "cummax"):
            bound = x.bound
        exact = x.exact and fn not in ("softmax", "log_softmax", "fft_re", "fft_im")
        m.add(ops.ALONG_OP, ops.AlongAttrs(fn, axes), [x], bound=bound, exact=exact)


def add_stop(m: Maker) -> None:
    x = m.value()
    if x:
        m.add(ops.STOP, ops.StopAttrs(), [x], bound=x.bound, exact=x.exact)


def add_scan(m: Maker) -> None:
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


ADD = {name.removeprefix("add_"): rule for name, rule in globals().items() if "add_" in name[:4]}


def grow(maker: Maker, count: int) -> None:
    """Add about so many nodes."""
    for _ in range(count):
        ADD[maker.pick(maker.kinds)](maker)


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


@dataclass(frozen=True)
class Given:
    """What a graph is run on: arguments of `evaluate`."""

    inputs: dict[str, NamedArray]
    params: dict[str, np.ndarray[Any, Any]]
    sizes: dict[str, int]
    seed: int

    def keywords(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "params": self.params,
            "sizes": self.sizes,
            "random": drawn(self.seed),
        }


def data_for(graph: Graph, seed: int, length: int) -> Given:
    """Inputs that are multiples of a quarter, parameters, and `length` for the size `t`."""
    known = {"t": length}
    numbers = np.random.default_rng(seed)
    inputs, params = {}, {}
    for name in graph.in_order():
        node = graph.node(name)
        shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
        if node.op is ops.INPUT:
            array: Any = numbers.integers(-8, 9, shape) / 4
            if node.dtype is INT:
                array = numbers.integers(-2, 3, shape)
            if node.dtype is BOOL:
                array = numbers.integers(0, 2, shape).astype(bool)
            inputs[name] = NamedArray(names(node.axes), np.asarray(array))
        elif node.op is ops.PARAM and node.site is not None:
            params[node.site] = numbers.uniform(-1, 1, shape)
    return Given(inputs, params, known, seed)


seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 4)
