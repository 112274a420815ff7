"""`x[t = -1]`, `x[t = 1..5]`, `w[vocab = tokens]`, `x[i = 2 * i + r - 1]`, `x[t -> s]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Node, names
from ..diagnostics import Slug, or_nearest
from ..program import Limit
from .values import Known, Value

if TYPE_CHECKING:
    from ..sizes import Size
    from .scope import Scope

Pairs = tuple[tuple[tuple[str, ...], tuple[Axis, ...]], ...]
Affine = tuple[dict[str, int], "Size"]  # coefficient by local axis name, and the offset


def index_value(tree: s.Index, scope: Scope) -> Value:
    """Apply the items one after another."""
    node = scope.node(scope.evaluate(tree.base), tree.base.span)
    if len(tree.items) > 1 and all(isinstance(item, s.Arrow) for item in tree.items):
        return Value(_renamed_at_once(node, tree, scope))
    for item in tree.items:
        match item:
            case s.Bind(axis, value, otherwise):
                node = _at(node, axis, value, otherwise, item, scope)
            case s.Arrow():
                node = renamed(node, item, scope)
            case _:
                axis = names(node.axes)[0] if node.axes else "t"
                shown = f"{axis} = 0" if item.span.text == axis else f"{axis} = {item.span.text}"
                scope.fail(
                    Slug.BAD_INDEX,
                    "an index says which axis it is for",
                    item.span,
                    hint=f"{tree.base.span.text}[{shown}]",
                )
    return Value(node)


def _at(
    node: Node, axis: str, value: s.Expr, otherwise: s.Expr | None, item: s.Bind, scope: Scope
) -> Node:
    graph = scope.axis_named(
        axis, node, item.span.word(axis), f"`{item.span.text}` picks from `{axis}`"
    )
    size = node.size(graph)
    if isinstance(value, s.Range):
        start = _bound(value.start, 0, size, scope)
        stop = _bound(value.stop, size, size, scope)
        if isinstance(start, int) and isinstance(stop, int) and isinstance(size, int):
            if not 0 <= start <= stop <= size:
                scope.fail(
                    Slug.BAD_INDEX,
                    f"`{axis}` has {size} positions, and {start}..{stop} does not lie in 0..{size}",
                    value.span,
                )
        else:
            for low, high in ((0, start), (start, stop), (stop, size)):
                limit(scope, low, high, f"`{item.span.text}` must lie inside `{axis}`", item)
        return _emit(scope, ops.Slice(graph, start, stop), [node], item)
    if isinstance(value, s.At):
        return _position(node, graph, value, item, scope)
    affine = _affine(value, scope)
    settled = affine is not None and not affine[0] and otherwise is None
    if affine is not None and settled and not isinstance(affine[1], int):
        _check_inside(axis, affine[1], size, item, scope)
    if affine is not None and settled and isinstance(affine[1], int):
        at = affine[1]
        if isinstance(size, int) and not -size <= at < size:
            scope.fail(
                Slug.BAD_INDEX,
                f"`{axis}` has {size} positions, 0 to {size - 1}, and {at} is none of them",
                value.span,
            )
        if not isinstance(size, int) and (at >= 0 or not sizes.counts(size)):
            limit(
                scope,
                at + 1 if at >= 0 else -at,
                size,
                f"`{item.span.text}` is not inside `{axis}`",
                item,
            )
        return _emit(scope, ops.Select(graph, at), [node], item)
    fill = None if otherwise is None else float(scope.constant(otherwise, "the value outside"))
    if affine is not None and affine[0]:
        local = {scope.need_axis(name, value.span).name: (name, c) for name, c in affine[0].items()}
        if fill is None and graph not in local and [c for _, c in local.values()] == [1]:
            return _stretch(node, graph, next(iter(affine[0])), affine[1], item, scope)
        if graph in local or not node.axis_names & set(local):
            return _window(node, graph, local, affine[1], fill, item, scope)
    index = scope.node(scope.evaluate(value), value.span)
    if index.dtype != "int":
        scope.fail(
            Slug.WRONG_DTYPE,
            f"an index is an int, and this is a {index.dtype}",
            value.span,
            hint=f"int({value.span.text})",
        )
    return _emit(scope, ops.Gather(graph, fill), [node, index], item)


def _check_inside(axis: str, at: Size, size: Size, item: s.Bind, scope: Scope) -> None:
    """A position that depends on run-time sizes."""
    spare = sizes.subtract(size, sizes.add(at, 1))
    message = f"`{item.span.text}` is not inside `{axis}`, which has {sizes.show(size)} positions"
    if isinstance(spare, int) and spare < 0:
        scope.fail(Slug.BAD_INDEX, message, item.span)
    limit(scope, 0, at, message, item)
    limit(scope, 0, spare, message, item)


def _position(node: Node, graph: str, at: s.At, item: s.Bind, scope: Scope) -> Node:
    """`@last`, or a field of the data that holds a position for each example."""
    if at.id == "last":
        return _emit(scope, ops.Select(graph, -1), [node], item)
    positions = scope.frame.positions
    if at.id not in positions:
        scope.fail(
            Slug.UNKNOWN_FIELD,
            f"no field of the data is a position called `{at.id}`",
            at.span,
            hint=or_nearest(at.id, [*positions, "last"]) or "@last",
        )
    return _emit(scope, ops.Gather(graph), [node, scope.builder.use(positions[at.id])], item)


def _emit(
    scope: Scope,
    how: ops.Select | ops.Slice | ops.Gather | ops.Window,
    operands: list[Node],
    item: s.Tree,
) -> Node:
    try:
        return scope.builder.emit(ops.INDEX, ops.IndexAttrs(how), operands, item.span, scope.path)
    except ops.OpError as error:
        scope.unfit(error, item.span)


def _window(
    node: Node,
    graph: str,
    local: dict[str, tuple[str, int]],
    offset: Size,
    fill: float | None,
    item: s.Bind,
    scope: Scope,
) -> Node:
    """Windows over the axis: over its own index, as many as the stride allows, or over other
    axes."""
    terms = []
    for name, (own, coefficient) in local.items():
        if name != graph:
            terms.append((scope.need_axis(own, item.span), coefficient))
        elif coefficient < 1:
            scope.fail(
                Slug.BAD_INDEX,
                f"a window goes forward over `{item.axis}`",
                item.span,
                hint=f"flip[{item.axis}](...)",
            )
        else:
            terms.append(
                (Axis(graph, sizes.ceil_divide(node.size(graph), coefficient)), coefficient)
            )
    outside = scope.ctx.fill if fill is None else fill
    return _emit(scope, ops.Window(graph, tuple(terms), offset, outside), [node], item)


def _stretch(node: Node, graph: str, name: str, offset: Size, item: s.Bind, scope: Scope) -> Node:
    """`w[ctx = t]`: a stretch of one axis, as long as another, that then has the other's name."""
    axis = scope.need_axis(name, item.span)
    stop = sizes.add(offset, axis.size)
    size = node.size(graph)
    message = (
        f"`{item.span.text}` needs positions up to {sizes.show(stop)}, but "
        f"`{item.axis}` has {sizes.show(size)}"
    )
    if isinstance(stop, int) and isinstance(size, int) and stop > size:
        scope.fail(Slug.BAD_INDEX, message, item.span)
    limit(scope, 0, offset, message, item)
    limit(scope, stop, size, message, item)
    part = _emit(scope, ops.Slice(graph, offset, stop), [node], item)
    if axis.name in part.axis_names:  # both: a diagonal
        index = scope.builder.emit(ops.IOTA, ops.IotaAttrs(axis), [], item.span, scope.path)
        return _emit(scope, ops.Gather(graph), [part, index], item)
    return rename(scope, part, (((graph,), (axis,)),), item)


def limit(scope: Scope, low: Size, high: Size, message: str, item: s.Tree) -> None:
    """Something to check at the border, once run-time sizes are known. Of what is counted while
    the model runs, nothing is known there but the most that it can be."""
    if low != high and sizes.counts(high):
        scope.fail(
            Slug.BAD_INDEX,
            f"{message}, and how many positions are packed is known only while the model runs",
            item.span,
            hint=f"[{item.span.text} else 0]" if _is_position(item) else None,
        )
    low, high = sizes.bounded(low), sizes.bounded(high)
    if low != high and not (isinstance(low, int) and isinstance(high, int) and low <= high):
        if low == 0 and not isinstance(high, int):
            spare = sizes.symbols(high)
            if high in [sizes.symbol(name) for name in spare]:
                return  # a size is never negative
        scope.ctx.limits.append(Limit(low, high, message, item.span))


def _is_position(item: s.Tree) -> bool:
    return isinstance(item, s.Bind) and not isinstance(item.value, s.Range)


def rename(scope: Scope, node: Node, pairs: Pairs, item: s.Tree) -> Node:
    """Emit a rename; names that clash are the user's mistake."""
    try:
        return scope.builder.emit(ops.RENAME, ops.RenameAttrs(pairs), [node], item.span, scope.path)
    except ops.OpError as error:
        scope.fail(Slug.AXIS_MISMATCH, f"after `{item.span.text}` {error}", item.span)


def _bound(end: s.Expr | None, default: Size, size: Size, scope: Scope) -> Size:
    if end is None:
        return default
    value = scope.size_of(end)
    if isinstance(value, int) and value < 0:
        return sizes.add(size, value)
    return value


def _names(side: s.Side | None, scope: Scope, item: s.Tree) -> list[s.Expr]:
    if side is None:
        return []
    parts: list[s.Expr] = list(side.items) if isinstance(side, s.Tuple) else [side]  # type: ignore[list-item]  # narrowed next
    for part in parts:
        if not isinstance(part, s.Name | s.Bind | s.Star):
            scope.fail(Slug.NOT_AN_AXIS, "an axis has a name", part.span, hint="x[t -> s]")
    return parts


def renamed(node: Node, item: s.Arrow, scope: Scope) -> Node:
    """The value with an axis renamed, split or merged."""
    return rename(scope, node, (_pair(node, item.left, item.right, item, scope),), item)


def _renamed_at_once(node: Node, tree: s.Index, scope: Scope) -> Node:
    """`x[u -> i, v -> j]`: several renames, none of which sees what another did."""
    pairs = []
    for item in tree.items:
        assert isinstance(item, s.Arrow)
        pairs.append(_pair(node, item.left, item.right, item, scope))
    olds = [name for old, _ in pairs for name in old]
    if len(set(olds)) < len(olds):
        scope.fail(Slug.BAD_INDEX, "one axis is renamed twice here", tree.span)
    return rename(scope, node, tuple(pairs), tree)


def _pair(
    node: Node, left: s.Side | None, right: s.Side | None, item: s.Arrow, scope: Scope
) -> tuple[tuple[str, ...], tuple[Axis, ...]]:
    old: list[str] = []
    for part in _names(left, scope, item):
        if isinstance(part, s.Star):
            old += [axis.name for axis in scope.frame.packs.get(part.pack or "", ())]
        elif isinstance(part, s.Name):
            old.append(
                scope.axis_named(
                    part.id, node, part.span, f"`{item.span.text}` renames `{part.id}`"
                )
            )
    total = sizes.product(node.size(name) for name in old)
    wanted = _names(right, scope, item)
    if not old or not wanted:
        scope.fail(Slug.BAD_INDEX, "a rename has axes on both sides", item.span, hint="x[t -> s]")
    new: list[Axis] = []
    unknown: list[str] = []
    for part in wanted:
        if isinstance(part, s.Bind):
            new.append(scope.new_axis(part.axis, scope.axis_size(part.value)))
        elif isinstance(part, s.Name):
            known = scope.axis(part.id)
            if len(wanted) == 1:
                # the size is settled: a copy, whose name may already stand for an equal axis
                if known is not None and known.size == total and known.name not in old:
                    new.append(known)
                else:
                    new.append(_copy(scope, part.id, total, known))
            elif known is not None:
                new.append(known)
            else:
                unknown.append(part.id)
                new.append(Axis("?", 0))
    if unknown:
        rest = sizes.product(axis.size for axis in new if axis.name != "?")
        if len(unknown) > 1 or not isinstance(rest, int) or rest == 0:
            scope.fail(
                Slug.BAD_SIZE,
                f"the size of `{unknown[0]}` is not known",
                item.span,
                hint=f"give it one in the header: `[{unknown[0]} = 4]`",
            )
        if isinstance(total, int) and total % rest:
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{item.span.text}` splits {total} positions into {rest} parts, which "
                f"leaves {total % rest}",
                item.span,
            )
        made = scope.new_axis(unknown[0], sizes.floor_divide(total, rest))
        new = [made if axis.name == "?" else axis for axis in new]
    after = sizes.product(axis.size for axis in new)
    if isinstance(total, int) and isinstance(after, int) and total != after:
        scope.fail(
            Slug.SIZE_MISMATCH,
            f"`{item.span.text}` turns {total} elements into {after}",
            item.span,
        )
    if total != after:
        limit(scope, total, after, f"`{item.span.text}` must split evenly", item)
        limit(scope, after, total, f"`{item.span.text}` must split evenly", item)
    return tuple(old), tuple(new)


def _copy(scope: Scope, name: str, size: Size, known: Axis | None) -> Axis:
    if known is not None:
        return Axis(known.name, size)
    return scope.new_axis(name, size)


def _affine(tree: s.Expr, scope: Scope) -> Affine | None:
    """The expression as a sum of multiples of axes plus an offset, or None if it is none."""
    match tree:
        case s.Name(name) if scope.lookup(name) is None and scope.axis(name) is not None:
            return {name: 1}, 0
        case s.Number() | s.Name() | s.SizeOf():
            value = scope.evaluate(tree)
            if (
                isinstance(value, Known)
                and isinstance(value.value, int | sizes.Poly)
                and not isinstance(value.value, bool)
            ):
                return {}, value.value
            return None
        case s.Unary("-", operand):
            inner = _affine(operand, scope)
            return None if inner is None else _scaled(inner, -1)
        case s.Binary("+" | "-" as op, left, right):
            a, b = _affine(left, scope), _affine(right, scope)
            if a is None or b is None:
                return None
            b = _scaled(b, -1) if op == "-" else b
            total = dict(a[0])
            for name, count in b[0].items():
                total[name] = total.get(name, 0) + count
            return {n: c for n, c in total.items() if c}, sizes.add(a[1], b[1])
        case s.Binary("*", left, right):
            a, b = _affine(left, scope), _affine(right, scope)
            if a is None or b is None:
                return None
            if not a[0] and isinstance(a[1], int):
                return _scaled(b, a[1])
            if not b[0] and isinstance(b[1], int):
                return _scaled(a, b[1])
            if not a[0] and not b[0]:
                return {}, sizes.multiply(a[1], b[1])
        case s.Binary("//", left, right):
            a, b = _affine(left, scope), _affine(right, scope)
            if (
                a is not None
                and b is not None
                and not a[0]
                and not b[0]
                and isinstance(b[1], int)
                and b[1] > 0
            ):
                return {}, sizes.floor_divide(a[1], b[1])
    return None


def _scaled(affine: Affine, factor: int) -> Affine:
    return {n: c * factor for n, c in affine[0].items()}, sizes.multiply(affine[1], factor)
