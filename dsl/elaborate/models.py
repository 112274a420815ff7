"""A model, from its header inwards: inputs, sizes, results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Body, DType, Node
from ..diagnostics import Collector, Note, Slug
from ..program import CheckedModel, InputDecl, ResultDecl
from .builder import Budget, Builder, Context
from .expressions import evaluate_all
from .gradients import work_out
from .results import check_count, no_such_axis
from .scope import Frame, Scope
from .statements import run_steps
from .structure import speaks_of_axes
from .values import HaltError, Known, Poison, Template, Val, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..modules import Module

LONE = 96  # splits into the usual numbers of heads and groups


@dataclass(frozen=True)
class ModelRequest:
    """Which model, with which sizes and values given from outside (Python, `--set`, a run)."""

    block: s.Block
    module: Module
    sizes: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Val] = field(default_factory=dict)
    inputs: frozenset[str] = frozenset()  # optional tensors that will be given
    training: bool = False
    budget: Budget = field(default_factory=Budget)


def elaborate_model(request: ModelRequest, collector: Collector) -> CheckedModel | None:
    """The model as a program; None if something in it is wrong, which the collector then holds.

    A block is elaborated in the same way, its axes without a size being run-time sizes: so that
    one that nobody calls is checked too. What shares a budget shares the models that are made.
    """
    made, key = request.budget.models, _key(request, request.training)
    if key is None:
        return _made(request, collector)[0]
    if key not in made:
        made[key], reads_mode = _made(request, collector)
        if not reads_mode:
            made[_key(request, not request.training)] = made[key]
    return made[key]


def _key(request: ModelRequest, training: bool) -> object:
    """What makes a model; None if that is more than sizes and numbers."""
    if not all(isinstance(value, Known) for value in request.values.values()):
        return None
    values = {
        (k, type(v.value), v.value) for k, v in request.values.items() if isinstance(v, Known)
    }
    sized = frozenset(request.sizes.items())
    return id(request.block), sized, frozenset(values), request.inputs, training


def _made(request: ModelRequest, collector: Collector) -> tuple[CheckedModel | None, bool]:
    """The model, and whether it may be another in the other mode (training or not)."""
    ctx = Context(collector, evaluate_all, training=request.training, budget=request.budget)
    ctx.lone = LONE if request.block.kind != "model" else None
    scope = Scope(ctx, Builder(ctx), Frame(request.module), "", "")
    try:
        model = _elaborate(request, ctx, scope)
        if model is not None:
            own = replace(request, budget=Budget())
            model = replace(model, request=own, reads_mode=ctx.reads_mode)
        return model, ctx.reads_mode
    except HaltError:
        return None, ctx.reads_mode
    except RecursionError:  # blocks in blocks, as far as Python goes
        collector.report(
            Slug.TOO_LARGE,
            f"calls stand too deep in one another in `{request.block.name}`",
            request.block.span,
        )
        return None, True


def _elaborate(request: ModelRequest, ctx: Context, scope: Scope) -> CheckedModel | None:
    block = request.block
    errors = ctx.collector.errors
    first = [param for param in block.params if _is_settled(param, request)]
    for param in first:  # values that sizes may speak of
        _param(param, request, scope)
    _header_axes(request, scope)
    inputs = [
        decl
        for param in block.params
        if param not in first
        for decl in _param(param, request, scope)
    ]
    run_steps(block.body, scope)
    results = check_count(block, scope)
    nodes = [
        _result(value, declared, place, request, scope)
        for place, (value, declared) in enumerate(zip(results, block.results, strict=True))
    ]
    if ctx.collector.errors > errors:
        return None
    body = Body(
        tuple(scope.builder.steps),
        tuple(n.name for n in [*(node for node, _ in nodes), *ctx.updates.values()]),
    )
    body = work_out(ctx, body)
    ragged = {
        axis.name: axis.of
        for param in block.params
        for axis in param.axes or ()
        if axis.of is not None
    }
    return CheckedModel(
        block.name,
        body,
        tuple(inputs),
        tuple(decl for _, decl in nodes),
        block.span,
        updates=tuple(ctx.updates),
        aliases=dict(ctx.aliases),
        limits=tuple(dict.fromkeys(ctx.limits)),
        ragged=ragged,
    )


def _is_settled(param: s.Param, request: ModelRequest) -> bool:
    if param.name in request.values:
        return True
    if param.default is None or param.name in request.inputs:
        return False
    return not speaks_of_axes(param.default, request.block, request.module)


def _header_axes(request: ModelRequest, scope: Scope) -> None:
    """Axes with sizes first, in the order of the header; packs of a lone block become one axis."""
    for item in _flat(request.block.axes):
        match item:
            case s.Bind(axis, value):
                given = request.sizes.get(axis)
                scope.axes[axis] = Axis(
                    axis, given if given is not None else _lazy_size(value, scope, request)
                )
            case s.Name(axis):
                scope.axes[axis] = Axis(axis, request.sizes.get(axis, _unsized(axis, request)))
            case s.Star(pack) if pack is not None:
                axis = pack
                while axis in scope.axes:
                    axis += "'"
                scope.axes[axis] = Axis(axis, _unsized(axis, request))
                scope.frame.packs[pack] = (scope.axes[axis],)


def _flat(items: tuple[s.Item, ...]) -> list[s.Side]:
    found: list[s.Side] = []
    for item in items:
        if isinstance(item, s.Arrow):
            found += [side for side in (item.left, item.right) if side is not None]
        else:
            found.append(item)
    return found


def _unsized(axis: str, request: ModelRequest) -> sizes.Size:
    """A lone block is checked with sizes of its own, so that parameters can be made."""
    return sizes.symbol(axis) if request.block.kind == "model" else LONE


def _lazy_size(value: s.Expr, scope: Scope, request: ModelRequest) -> sizes.Size:
    """A default size may speak of axes of the arguments: they are known by their names."""
    for param in request.block.params:
        for decl in param.axes or ():
            if (
                not decl.pack
                and scope.axis(decl.name) is None
                and decl.name not in _sized_names(request.block)
            ):
                size = request.sizes.get(decl.name)
                scope.axes[decl.name] = Axis(
                    decl.name, size if size is not None else _unsized(decl.name, request)
                )
    return scope.axis_size(value)


def _sized_names(block: s.Block) -> set[str]:
    return {item.axis for item in block.axes if isinstance(item, s.Bind)}


def _param(param: s.Param, request: ModelRequest, scope: Scope) -> list[InputDecl]:
    given = request.values.get(param.name)
    if given is None and param.default is not None and param.name not in request.inputs:
        given = scope.evaluate(param.default)
    if given is not None and (param.axes is None or not isinstance(given, Poison)):
        if isinstance(given, Poison):
            raise HaltError
        if param.kind == "block" and not isinstance(given, Template):
            scope.fail(Slug.WRONG_ARGUMENTS, f"`{param.name}` is a block", param.span)
        scope.names[param.name] = given
        scope.spans[param.name] = param.span
        return []
    if param.kind in ("block", "run"):
        if request.block.kind == "model":
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"the model needs a block for `{param.name}`",
                param.span,
                hint=f"{param.name}: block = attention",
            )
        raise HaltError  # a lone block cannot be checked before it is given one
    axes: list[Axis] = []
    for decl in param.axes or ():
        if decl.pack:
            axes += scope.frame.packs.get(decl.name, ())
        else:
            axes.append(
                scope.axes.setdefault(decl.name, Axis(decl.name, _input_size(decl, request)))
            )
    _check_once(param.axes or (), f"`{param.name}`", scope)
    dtype = {"int": DType.INT, "bool": DType.BOOL}.get(param.kind or "", DType.FLOAT)
    order = tuple(axis.name for axis in axes)
    node = Node(
        scope.ctx.fresh(param.span),
        ops.INPUT,
        ops.InputAttrs(order, tuple(axes), dtype),
        tuple(axes),
        dtype,
        param.span,
        site=scope.ctx.claim(param.name, "in"),
    )
    scope.builder.put(node)
    scope.names[param.name] = Value(node)
    scope.spans[param.name] = param.span
    return [InputDecl(param.name, order, dtype, param.span, optional=param.default is not None)]


def _check_once(axes: tuple[s.AxisDecl, ...], what: str, scope: Scope) -> None:
    seen: set[str] = set()
    for decl in axes:
        if decl.name in seen:
            scope.fail(
                Slug.DUPLICATE_NAME,
                f"{what} has the axis `{decl.name}` twice",
                decl.span,
                hint=f"a second copy is primed: `{decl.name}'`",
            )
        seen.add(decl.name)


def _input_size(decl: s.AxisDecl, request: ModelRequest) -> sizes.Size:
    size = request.sizes.get(decl.name)
    return size if size is not None else _unsized(decl.name, request)


def _result(
    value: Val, declared: tuple[s.AxisDecl, ...], place: int, request: ModelRequest, scope: Scope
) -> tuple[Node, ResultDecl]:
    block = request.block
    at = scope.frame.returned[place]
    node = scope.node(value, at)
    order: list[str] = []
    _check_once(declared, f"a result of `{block.name}`", scope)
    for decl in declared:
        if decl.pack:
            order += [axis.name for axis in scope.frame.packs.get(decl.name, ())]
        else:
            order.append(decl.name)
    extra = [name for name in sorted(node.axis_names) if name not in order]
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{block.name}` is said to give [{', '.join(order)}], and this has `{extra[0]}` too",
            at,
            notes=[Note("it is said", block.span)],
            hint=f"-> [{', '.join([*order, extra[0]])}]" if extra[0].isidentifier() else None,
        )
    for name in order:
        if name not in node.axis_names:
            axis = scope.axis(name)
            if axis is None:
                no_such_axis(name, declared, block, scope)
            node = scope.spread(node, axis, block.span)
    label = "out" if len(block.results) == 1 else f"out.{place}"
    node = scope.builder.current(scope.builder.use(node))
    if node.site is None:
        node = scope.builder.name(node, scope.ctx.claim(label, "it"), block.span, "")
    else:
        scope.ctx.aliases[label] = node.site
    return node, ResultDecl(node.site or label, tuple(order))
