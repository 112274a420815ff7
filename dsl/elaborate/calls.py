"""Calling a block: a template, the address that its insides live at, and its body run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ..diagnostics import Slug
from .arguments import arguments, bind_param, check_names, is_tensor
from .brackets import bind_brackets
from .lifting import bind_types, keep_apart, own_axes
from .results import check_count, result
from .scope import Frame, Scope, join
from .shared import below, of_parameters
from .statements import run_steps
from .structure import owns_parameters, speaks_of_axes
from .values import Instance, Template, Val, Value

if TYPE_CHECKING:
    from .. import syntax as s
    from ..source import Span

DEEPEST = 48


def template(base: Template, items: tuple[s.Item, ...], scope: Scope) -> Template:
    """A template with more axes given."""
    return replace(base, items=(*base.items, *((item, scope) for item in items)))


def call(
    target: Template | Instance,
    items: tuple[s.Item, ...],
    tree: s.Call,
    scope: Scope,
    address: str | None,
) -> tuple[Val, ...]:
    """Call a block, or make a template of one when no tensor is given to it."""
    base = target if isinstance(target, Template) else target.template
    base = template(base, items, scope)
    block = base.block
    if block.kind == "model":
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` is a model; only blocks are called in blocks",
            tree.span,
        )
    if isinstance(target, Template) and tree.args and all(arg.name for arg in tree.args):
        given = {arg.name for arg in tree.args}
        if any(
            p.default is None and p.name not in given and p.name not in base.args
            for p in block.params
        ):
            args = {arg.name or "": scope.evaluate(arg.value) for arg in tree.args}
            check_names(block, args, tree, scope)
            return (replace(base, args={**base.args, **args}),)
    own, anonymous = address is not None or not isinstance(target, Template), address is None
    if address is None and isinstance(target, Instance) and target.name:
        address = _numbered(target.name, join(scope.path, target.name), scope)
    if address is None:
        address = _numbered(block.name, block.name, scope)
    inner_address = (
        address
        if own and isinstance(target, Template) and not owns_parameters(block, base.module)
        else None
    )
    values = arguments(base, tree, scope, inner_address)
    ctx = scope.ctx
    ctx.spend(tree.span)
    if ctx.depth >= DEEPEST:
        _too_deep(block, tree, scope)
    ctx.depth += 1
    ctx.calls.append((block.name, tree.span))
    outer_fill, ctx.fill = ctx.fill, 0.0
    statement, before = ctx.statement, len(scope.builder.steps)
    try:
        results = _enter(base, values, tree, scope, address, target)
    finally:
        ctx.depth -= 1
        ctx.calls.pop()
        ctx.fill, ctx.statement = outer_fill, statement
    if isinstance(target, Instance) and target.path not in ctx.decided:
        kept = of_parameters(scope.builder.steps[before:], {n.name: n for n in ctx.params.values()})
        ctx.decided[target.path] = below(address, kept)
    if anonymous and len(results) == 1 and isinstance(results[0], Value):
        node = results[0].node
        if node.name in scope.builder.place and scope.builder.current(node).site is None:
            claimed = scope.ctx.claim(address, "it")
            return (Value(scope.builder.name(node, claimed, tree.span, scope.path)),)
    return results


def _too_deep(block: s.Block, tree: s.Call, scope: Scope) -> NoReturn:
    """A block that calls itself, in the end; the last call of the one that is met most often."""
    calls = [*scope.ctx.calls, (block.name, tree.span)]
    called = [name for name, _ in calls]
    most = max(called, key=called.count)
    if called.count(most) < 3:
        scope.fail(Slug.TOO_LARGE, f"blocks are called more than {DEEPEST} deep here", tree.span)
    at = [span for name, span in calls if name == most][-1]
    scope.fail(Slug.RECURSIVE, f"`{most}` calls itself without end", at)


def _numbered(name: str, counted: str, scope: Scope) -> str:
    """The address of a call under a name that is not its own, numbered from the second."""
    count = scope.counts[counted] = scope.counts.get(counted, 0) + 1
    return join(scope.path, name if count == 1 else f"{name}.{count}")


def _enter(
    base: Template,
    values: dict[str, tuple[Val, Span]],
    tree: s.Call,
    scope: Scope,
    address: str,
    target: Template | Instance,
) -> tuple[Val, ...]:
    block, ctx = base.block, scope.ctx
    owners = target.owners if isinstance(target, Instance) else scope.owners
    frame = Frame(base.module, reserved=scope.around())
    inner = Scope(
        ctx,
        scope.builder,
        frame,
        address,
        target.path if isinstance(target, Instance) else _param_path(scope, address),
        banks=(*scope.banks, *(bank for bank in owners if bank not in scope.banks)),
        owners=owners,
    )
    nodes = {
        param.name: scope.node(values[param.name][0], values[param.name][1])
        for param in block.params
        if param.name in values and is_tensor(param, values[param.name][0])
    }
    binding, nodes = bind_brackets(base, nodes, tree, scope, inner)
    bind_types(block, binding, nodes, tree, scope, inner)
    renamed = keep_apart(base, binding, nodes, tree, scope, inner)
    first = [
        param
        for param in block.params  # values that sizes may speak of
        if param.name not in nodes and (param.name in values or not _after_axes(param, base))
    ]
    for param in first:
        bind_param(param, values, nodes, inner, scope, tree)
    own_axes(block, binding, inner)
    for param in block.params:
        if param not in first:
            bind_param(param, values, nodes, inner, scope, tree)
    run_steps(block.body, inner)
    results = check_count(block, inner)
    return tuple(
        result(value, declared, renamed, block, tree, scope, inner, at)
        for value, declared, at in zip(results, block.results, frame.returned, strict=True)
    )


def _after_axes(param: s.Param, base: Template) -> bool:
    return param.default is not None and speaks_of_axes(param.default, base.block, base.module)


def _param_path(scope: Scope, address: str) -> str:
    """Where parameters of a call at `address` live: under `share`, without the turn."""
    if scope.params == scope.path:
        return address
    return join(scope.params, address.removeprefix(scope.path).lstrip("."))
