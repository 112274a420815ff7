"""`param`, `fixed`, `draw`, `state`: tensors that a block makes for itself."""

from __future__ import annotations

from .. import ops, sizes
from .. import syntax as s
from ..core import Axes, Axis, Body, DType, Node
from ..diagnostics import Note, Slug, or_any, or_nearest
from .builder import Builder
from .gradients import work_out
from .scope import Scope, join
from .structure import walk
from .values import Known, Val, Value

DISTRIBUTIONS: dict[str, int] = {
    "normal": 2,
    "uniform": 2,
    "log_uniform": 2,
    "truncated_normal": 2,
    "integers": 2,
    "bernoulli": 1,
    "orthogonal": 1,
    "constant": 1,
}
_DTYPES = {"integers": DType.INT, "bernoulli": DType.BOOL}


def declare(step: s.Declare, scope: Scope) -> None:
    """Make the tensor, once for each address, and give it its name."""
    if step.name in scope.names:
        notes = (
            [Note("it has its value from here", scope.spans[step.name])]
            if step.name in scope.spans
            else []
        )
        scope.fail(Slug.REASSIGNED, f"`{step.name}` already has a value", step.span, notes=notes)
    axes = _axes(step, scope)
    if step.kind == "draw":
        node = _draw(step, axes, scope)
    else:
        address = join(scope.params, step.name)
        node = scope.ctx.params.get(address) or _make(step, axes, address, scope)
        if tuple(node.axes) != axes:
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{address}` is shared, and is made here with other axes",
                step.span,
            )
        if step.kind == "state":
            scope.frame.states[step.name] = address
        if step.kind == "fixed" and step.drawn:
            node = _as_drawn(node, scope)
    scope.names[step.name] = Value(node)
    scope.spans[step.name] = step.span


def _as_drawn(node: Node, scope: Scope) -> Node:
    """What is kept as floats, as the ints or bools that its distribution gives."""
    assert isinstance(node.attrs, ops.ParamAttrs)
    assert isinstance(node.attrs.init, ops.Distribution)
    match _DTYPES.get(node.attrs.init.name):
        case DType.INT:
            return scope.map("round", [scope.builder.use(node)], node.span)
        case DType.BOOL:
            half = scope.node(Known(0.5), node.span)
            return scope.map("gt", [scope.builder.use(node), half], node.span)
    return node


def _axes(step: s.Declare, scope: Scope) -> Axes:
    axes: list[Axis] = []
    for decl in step.axes or ():
        if decl.pack:
            if decl.name not in scope.frame.packs:
                scope.fail(
                    Slug.UNKNOWN_AXIS, f"no pack of axes is called `*{decl.name}`", decl.span
                )
            axes += scope.frame.packs[decl.name]
        else:
            axes.append(scope.need_axis(decl.name, decl.span))
    if step.like is not None:
        model = scope.lookup(step.like)
        if not isinstance(model, Value):
            values = [name for name, value in scope.names.items() if isinstance(value, Value)]
            scope.fail(
                Slug.UNKNOWN_NAME,
                f"`{step.like}` is no value above",
                step.span.word(step.like),
                hint=or_nearest(step.like, values),
            )
        axes += [axis for axis in model.node.axes if axis not in axes]
    if step.kind != "draw":
        for axis in axes:
            if not isinstance(axis.size, int):
                scope.fail(
                    Slug.BAD_SIZE,
                    f"`{step.name}` is kept between calls, and `{axis.name}` has "
                    "another size at each",
                    step.span.word(axis.name),
                    hint=None
                    if sizes.counts(axis.size)
                    else f"give the model's axis a size: `[{axis.name} = 128]`",
                )
    all_banks = scope.banks if step.kind == "draw" else scope.owners
    banks = () if step.kind == "state" else tuple(b for b in all_banks if b not in axes)
    found = (*banks, *axes)
    if len({axis.name for axis in found}) < len(found):
        scope.fail(
            Slug.DUPLICATE_NAME,
            f"`{step.name}` has one axis twice",
            step.span,
            hint=_primed_hint(step),
        )
    return found


def _primed_hint(step: s.Declare) -> str | None:
    seen: set[str] = set()
    for decl in step.axes or ():
        if decl.name in seen:
            return f"a second copy is primed: `{decl.name}'`"
        seen.add(decl.name)
    return None


def _distribution(tree: s.Expr, scope: Scope) -> ops.Distribution:
    if not isinstance(tree, s.Call) or not isinstance(tree.target, s.Name):
        scope.fail(
            Slug.UNKNOWN_NAME,
            "what follows `~` is a distribution",
            tree.span,
            hint=f"`= {tree.span.text}`, or `~ normal(0, 0.02)`",
        )
    name = tree.target.id
    if name not in DISTRIBUTIONS:
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"no distribution is called `{name}`",
            tree.target.span,
            hint=or_any(name, DISTRIBUTIONS),
        )
    args = tuple(
        float(scope.constant(arg.value, "what a distribution is given")) for arg in tree.args
    )
    if len(args) != DISTRIBUTIONS[name]:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{name}` takes {DISTRIBUTIONS[name]} numbers, and is given {len(args)}",
            tree.span,
        )
    return ops.Distribution(name, args)


def _make(step: s.Declare, axes: Axes, address: str, scope: Scope) -> Node:
    init: ops.Distribution | Body = (
        _distribution(step.value, scope) if step.drawn else _initial(step.value, axes, step, scope)
    )
    attrs: ops.Attrs
    if step.kind == "state":
        op, attrs = ops.STATE, ops.StateAttrs(axes, init)
    else:
        trained = step.kind == "param" and ":" not in address  # not of weights that are given
        op, attrs = ops.PARAM, ops.ParamAttrs(axes, init, trained)
    scope.ctx.claimed.add(address)
    node = Node(
        scope.ctx.fresh(step.span),
        op,
        attrs,
        axes,
        DType.FLOAT,
        step.span,
        site=address,
        scope=scope.path,
    )
    scope.ctx.params[address] = node
    return scope.builder.root.put(node)


def _initial(tree: s.Expr, axes: Axes, step: s.Declare, scope: Scope) -> ops.Distribution | Body:
    """The initial value: a number, or a closed program of its own."""
    if isinstance(tree, s.Number):
        return ops.Distribution("constant", (float(tree.value),))
    for part in walk(tree):
        if isinstance(part, s.Name) and isinstance(scope.lookup(part.id), Value):
            scope.fail(
                Slug.NOT_CONSTANT,
                f"`{step.name}` starts from what is known before the model runs, and "
                f"`{part.id}` is not",
                part.span,
                hint="a param starts from numbers, sizes and axes: `where(k == f, 1, 0)`",
            )
    builder = Builder(scope.ctx)
    inner = Scope(
        scope.ctx, builder, scope.frame, scope.path, scope.params, parent=_Closed(scope, builder)
    )
    value = inner.evaluate(tree)
    if isinstance(value, Known) and isinstance(value.value, int | float):
        return ops.Distribution("constant", (float(value.value),))
    node = inner.node(value, tree.span)
    extra = node.axis_names - {axis.name for axis in axes}
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{step.name}` has no axis `{min(extra)}`, and its initial value has",
            tree.span,
        )
    for axis in axes:
        node = inner.spread(node, axis, tree.span)
    return work_out(scope.ctx, Body(tuple(builder.steps), (node.name,)))


class _Closed(Scope):
    """What an initial value sees of the block: axes and numbers, no tensors."""

    def __init__(self, scope: Scope, builder: Builder) -> None:
        super().__init__(
            scope.ctx,
            builder,
            scope.frame,
            scope.path,
            scope.params,
            axes=scope.known_axes(),
            names=_numbers(scope),
        )


def _numbers(scope: Scope | None) -> dict[str, Val]:
    found: dict[str, Val] = {}
    while scope is not None:
        for name, value in scope.names.items():
            if isinstance(value, Known):
                found.setdefault(name, value)
        scope = scope.parent
    return found


def _draw(step: s.Declare, axes: Axes, scope: Scope) -> Node:
    distribution = _distribution(step.value, scope)
    builder, inside = scope.builder, axes
    while builder.parent is not None:  # in a scan each step has its own
        assert builder.axis is not None
        inside = (*inside, builder.axis)
        builder = builder.parent
    key = scope.ctx.claim(join(scope.path, step.name), "drawn")
    attrs = ops.RandomAttrs(inside, distribution, key, _DTYPES.get(distribution.name, DType.FLOAT))
    node = Node(
        scope.ctx.fresh(step.span),
        ops.RANDOM,
        attrs,
        inside,
        attrs.dtype,
        step.span,
        site=key,
        scope=scope.path,
    )
    builder.put(node)
    return scope.builder.use(node)
