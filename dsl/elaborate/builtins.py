"""The functions that are built in because the language cannot say them: one row each."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Node
from ..diagnostics import Slug
from ..functions import ALONG, REDUCTIONS
from ..modules import Module
from .functions import Builtin, Given
from .gradients import grad, jacobian, jvp, vjp
from .indexing import rename, renamed
from .packing import pack, unpack
from .surrogates import heaviside
from .values import Known, Template, Val, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scope import Scope

UNARY = [
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tan",
    "tanh",
    "sigmoid",
    "softplus",
    "erf",
    "log_sigmoid",
    "abs",
    "sign",
    "floor",
    "ceil",
    "round",
    "float",
    "int",
    "isnan",
    "isfinite",
]
_NUMERIC: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "float": float,
    "int": int,
}
FILLS = {
    "max": -math.inf,
    "argmax": -math.inf,
    "logsumexp": -math.inf,
    "min": math.inf,
    "argmin": math.inf,
    "prod": 1.0,
    "all": 1.0,
}
UNBUILT = {
    name: f"`{name}`"
    for name in [
        "solve",
        "spectral_norm",
        "svd",
    ]
}


def builtin_call(
    name: str, items: tuple[s.Item, ...] | None, tree: s.Call, scope: Scope, address: str | None
) -> tuple[Val, ...]:
    """Run a built-in function. It has no insides, so a call in it may live at its address."""
    row = BUILTINS[name]
    result = row.run(Given(name, items, tree, scope, row.usage, address))
    return result if isinstance(result, tuple) else (result,)


@cache
def as_block(name: str) -> Template:
    """A pointwise function where a block is wanted: `mlp(nonlinearity = tanh)`."""
    applied = s.Call(s.Name(name), (s.Argument(None, s.Name("pre")),))
    block = s.Block(
        "block", name, (), (s.Param("pre", None, None, None),), ((),), (s.Return((applied,)),)
    )
    return Template(block, Module("functions", s.Spec((block,))))


# ---- pointwise


def _unary(given: Given) -> Val:
    (value,) = given.values(1, 1)
    if isinstance(value, Known) and given.name in _NUMERIC and isinstance(value.value, int | float):
        try:
            return Known(_NUMERIC[given.name](value.value))
        except (ValueError, OverflowError):
            given.scope.fail(
                Slug.BAD_SIZE, f"`{given.tree.span.text}` has no value", given.tree.span
            )
    return Value(
        given.scope.map(
            given.name, [given.scope.node(value, given.tree.args[0].span)], given.tree.span
        )
    )


def _fold_map(given: Given) -> Val:
    """`max(a, b, ...)` without brackets; with brackets a reduction."""
    if given.items is not None:
        return _reduce(given)
    values = given.values(2)
    if all(isinstance(v, Known) and isinstance(v.value, int | float) for v in values):
        numbers = [v.value for v in values if isinstance(v, Known)]
        return Known((max if given.name == "max" else min)(numbers))  # type: ignore[type-var]  # numbers, checked above
    nodes = [given.scope.node(v, a.span) for v, a in zip(values, given.tree.args, strict=True)]
    total = nodes[0]
    for node in nodes[1:]:
        total = given.scope.map(given.name, [total, node], given.tree.span)
    return Value(total)


def _where(given: Given) -> Val:
    values = given.values(3, 3)
    if isinstance(values[0], Known):
        return values[1] if values[0].value else values[2]
    nodes = [given.scope.node(v, a.span) for v, a in zip(values, given.tree.args, strict=True)]
    return Value(given.scope.map("where", nodes, given.tree.span))


def _clip(given: Given) -> Val:
    x, low, high = given.nodes(3, 3)
    return Value(
        given.scope.map(
            "min", [given.scope.map("max", [x, low], given.tree.span), high], given.tree.span
        )
    )


# ---- over axes


def _within(given: Given, least: int, most: int | None = None) -> list[Node]:
    """The arguments of a reduction: outside a window in them stands its identity."""
    ctx = given.scope.ctx
    outer, ctx.fill = ctx.fill, FILLS.get(given.name, 0.0)
    try:
        return given.nodes(least, most)
    finally:
        ctx.fill = outer


def _reduce(given: Given) -> Val:
    argument = None
    if given.name == "quantile":
        values = given.values(2, 2)
        nodes = [given.scope.node(values[0], given.tree.args[0].span)]
        argument = float(given.scope.constant(given.tree.args[1].value, "the level of a quantile"))
        if not 0 <= argument <= 1:
            given.wrong(f"a level lies between 0 and 1, and this is {argument}")
    else:
        nodes = _within(given, 1, 1)
    axes = given.axes(nodes)
    if given.items is None:
        given.wrong(f"`{given.name}` wants the axes that it is over", given.over(nodes))
    if not axes:
        return Value(nodes[0])
    if given.name in ("argmax", "argmin") and len(axes) > 1:
        given.wrong(f"`{given.name}` is over one axis")
    return given.emit(ops.REDUCE, ops.ReduceAttrs(given.name, axes, argument), nodes)


def _dot(given: Given) -> Val:
    nodes = _within(given, 1)
    if given.items is None:
        given.wrong("`dot` wants the axes that it is over", given.over(nodes, 1))
    return given.emit(ops.CONTRACT, ops.ContractAttrs(given.axes(nodes)), nodes)


def _rank(given: Given) -> Val:
    """Along one axis, or among the positions of several together."""
    (node,) = given.nodes(1, 1)
    axes = given.axes([node])
    if len(axes) < 2:
        return _along(given, [node])
    own = tuple(axis for name in axes for axis in node.axes if axis.name == name)
    together = Axis("^" + "_".join(axes), sizes.product(axis.size for axis in own))
    merged = rename(given.scope, node, ((axes, (together,)),), given.tree)
    ranks = given.emit(ops.ALONG_OP, ops.AlongAttrs("rank", (together.name,)), [merged]).node
    return Value(rename(given.scope, ranks, (((together.name,), own),), given.tree))


def _along(given: Given, nodes: list[Node] | None = None) -> Val:
    nodes = nodes or given.nodes(1, 1)
    axes = given.axes(nodes)
    if not axes or (len(axes) > 1 and given.name not in ("softmax", "log_softmax")):
        given.wrong(f"`{given.name}` wants the axis that it is along", given.over(nodes, 1))
    return given.emit(ops.ALONG_OP, ops.AlongAttrs(given.name, axes), nodes)


def _concat(given: Given) -> Val:
    nodes = given.nodes(1)
    if not given.items or len(given.items) != 1:
        given.wrong(f"`{given.name}` wants one axis in brackets")
    item = given.items[0]
    if not isinstance(item, s.Name):
        given.wrong(f"`{given.name}` wants one axis in brackets")
    if given.name == "stack":
        known = given.scope.axis(item.id)
        axis = (
            Axis(known.name, len(nodes))
            if known is not None
            else given.scope.new_axis(item.id, len(nodes))
        )
        return given.emit(ops.CONCAT, ops.ConcatAttrs(axis.name, new=True), nodes)
    graph = given.axes(nodes)[0]
    for node, arg in zip(nodes, given.tree.args, strict=True):
        given.scope.axis_named(
            item.id, node, arg.span, f"`concat[{item.id}]` joins along `{item.id}`"
        )
    return given.emit(ops.CONCAT, ops.ConcatAttrs(graph), nodes)


def _shift(given: Given) -> Val:
    """`shift[t](x, n)`: position t holds what was at t - n; zeros come in."""
    values = given.values(1, 2)
    node = given.scope.node(values[0], given.tree.args[0].span)
    by = (
        given.scope.whole(given.tree.args[1].value, "how far a shift goes")
        if len(values) == 2
        else 1
    )
    (axis,) = given.axes([node])
    window = ops.Window(axis, ((Axis(axis, node.size(axis)), 1),), -by, 0.0)
    return given.emit(ops.INDEX, ops.IndexAttrs(window), [node])


def _topk(given: Given) -> tuple[Val, ...]:
    """`values, places = topk[e -> j = 2](x)`, the largest first."""
    (node,) = given.nodes(1, 1)
    old, new, size = given.arrow()
    if size is None:
        given.wrong("`topk` says how many are kept")
    graph = given.scope.axis_named(old, node, given.tree.span, f"`topk` is over `{old}`")
    count = given.scope.axis_size(size)
    negative = given.scope.map("neg", [node], given.tree.span)
    order = given.emit(ops.ALONG_OP, ops.AlongAttrs("argsort", (graph,)), [negative]).node
    kept = given.emit(ops.INDEX, ops.IndexAttrs(ops.Slice(graph, 0, count)), [order]).node
    axis = given.scope.new_axis(new, count)
    places = rename(given.scope, kept, (((graph,), (axis,)),), given.tree)
    found = given.emit(ops.INDEX, ops.IndexAttrs(ops.Gather(graph)), [node, places])
    return found, Value(places)


def _fft(given: Given) -> tuple[Val, ...]:
    """`re, im = fft[t -> f](x)`: as many frequencies as positions, no factor in front."""
    (node,) = given.nodes(1, 1)
    old, _, size = given.arrow()
    if size is not None:
        given.wrong("`fft` gives as many frequencies as there are positions")
    graph = given.scope.axis_named(old, node, given.tree.span, f"`fft` is along `{old}`")
    arrow = given.items[0] if given.items else None
    assert isinstance(arrow, s.Arrow)
    found = []
    for part in ("fft_re", "fft_im"):
        along = given.emit(ops.ALONG_OP, ops.AlongAttrs(part, (graph,)), [node]).node
        found.append(Value(renamed(along, arrow, given.scope)))
    return tuple(found)


# ---- the rest


def _stop(given: Given) -> Val:
    return given.emit(ops.STOP, ops.StopAttrs(), given.nodes(1, 1))


def _prev(given: Given) -> Val:
    arg = given.tree.args[0].value if given.tree.args else None
    if isinstance(arg, s.Name):
        scope: Scope | None = given.scope
        while scope is not None:
            if arg.id in scope.carried:
                return scope.carried[arg.id]
            scope = scope.parent
    given.scope.fail(
        Slug.CARRY_ORDER, "`prev` wants the name of a carry", given.tree.span, hint=given.usage
    )
    return None


def _unbuilt(given: Given) -> Val:
    given.scope.fail(Slug.UNBUILT, f"{UNBUILT[given.name]} is not built yet", given.tree.span)


BUILTINS: dict[str, Builtin] = {
    **{name: Builtin(f"{name}(x)", _unary) for name in UNARY},
    **{name: Builtin(f"{name}[t](x)", _reduce) for name in REDUCTIONS},
    **{name: Builtin(f"{name}[t](x)", _along) for name in ALONG if not name.startswith("fft")},
    "rank": Builtin("rank[t](x)", _rank),
    "max": Builtin("max[t](x) or max(a, b)", _fold_map),
    "min": Builtin("min[t](x) or min(a, b)", _fold_map),
    "quantile": Builtin("quantile[t](x, 0.5)", _reduce),
    "dot": Builtin("dot[k](a, b)", _dot),
    "where": Builtin("where(condition, a, b)", _where),
    "clip": Builtin("clip(x, low, high)", _clip),
    "heaviside": Builtin("heaviside(x)", heaviside),
    "concat": Builtin("concat[f](a, b)", _concat),
    "stack": Builtin("stack[g](a, b)", _concat),
    "shift": Builtin("shift[t](x, 1)", _shift),
    "topk": Builtin("topk[e -> j = 2](x)", _topk),
    "pack": Builtin("pack[t -> s](x, active)", pack),
    "unpack": Builtin("unpack[s -> t](y, active)", unpack),
    "fft": Builtin("fft[t -> f](x)", _fft),
    "stop": Builtin("stop(x)", _stop),
    "prev": Builtin("prev(S)", _prev),
    "grad": Builtin("grad(y, x)", grad),
    "vjp": Builtin("vjp(y, x, c)", vjp),
    "jvp": Builtin("jvp(y, x, v)", jvp),
    "jacobian": Builtin("jacobian[k -> k'](y, x)", jacobian),
    **{name: Builtin(f"{name}(...)", _unbuilt) for name in UNBUILT},
}
