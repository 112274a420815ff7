"""What a drawn graph is made of: for each kind of node a rule that adds one where one fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl import ops, sizes
from ..dsl.core import Axes, Axis, names
from .drawing import BOOL, FLOAT, INT, Maker, Value, elements

if TYPE_CHECKING:
    from collections.abc import Callable


def _const(m: Maker) -> None:
    m.const(m.pick([0, 1, 2, -1, 0.0, 1.0, 0.5, -2.0, True, False]))


def _iota(m: Maker) -> None:
    axes = [a for v in m.pool for a in v.axes]
    if axes:
        m.add(ops.IOTA, ops.IotaAttrs(m.pick(axes)), bound=8, exact=True)


def _map(m: Maker) -> None:
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


def _smooth(m: Maker) -> None:
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


def _reduce(m: Maker) -> None:
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


def _contract(m: Maker) -> None:
    read = [v for v in m.some(m.pool[::-1], least=1) if v is not None]
    union = {a.name: a for v in read for a in v.axes}
    axes = tuple(m.some(list(union), most=2))
    bound = float(elements(tuple(union[name] for name in axes)))
    for v in read:
        bound *= max(v.bound, 1)
    exact = all(v.exact for v in read)
    m.add(ops.CONTRACT, ops.ContractAttrs(axes), read, bound=bound, exact=exact)


def _product(m: Maker) -> None:
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


def _rename(m: Maker) -> None:
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


def _select(m: Maker) -> None:
    x = m.value(axes=1)
    if x:
        axis = m.pick(x.axes)
        last = axis.size - 1 if isinstance(axis.size, int) else 0
        how = ops.Select(axis.name, m.pick([0, -1, last]))
        m.add(ops.INDEX, ops.IndexAttrs(how), [x], bound=x.bound, exact=x.exact)


def _slice(m: Maker) -> None:
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


def _gather(m: Maker) -> None:
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


def _window(m: Maker) -> None:
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


def _scatter(m: Maker) -> None:
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


def _concat(m: Maker) -> None:
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


def _along(m: Maker) -> None:
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


def _placed(m: Maker) -> None:
    """A value that is zero but at one position of an axis, which it need not have."""
    x = m.value(FLOAT)
    axes = [a for v in m.pool for a in v.axes if isinstance(a.size, int)]
    if x and axes:
        axis = m.pick(axes)
        index = m.add(ops.IOTA, ops.IotaAttrs(axis), bound=8, exact=True)
        at = m.map("eq", index, m.const(m.pick(range(axis.size))), bound=1, exact=True)
        m.map("where", at, x, m.const(0.0), bound=x.bound, exact=True)


def _stop(m: Maker) -> None:
    x = m.value()
    if x:
        m.add(ops.STOP, ops.StopAttrs(), [x], bound=x.bound, exact=x.exact)


RULES: dict[str, Callable[[Maker], None]] = {
    "const": _const,
    "iota": _iota,
    "map": _map,
    "smooth": _smooth,
    "reduce": _reduce,
    "contract": _contract,
    "product": _product,
    "rename": _rename,
    "select": _select,
    "slice": _slice,
    "gather": _gather,
    "window": _window,
    "scatter": _scatter,
    "concat": _concat,
    "along": _along,
    "stop": _stop,
    "placed": _placed,
}
"""By the name of the kind; a rule adds nothing where nothing fits."""
