"""The models of a study: which, with which sizes, on which inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug, or_nearest
from .models import ModelRequest, elaborate_model
from .scope import Frame
from .values import HaltError, Val, settled

if TYPE_CHECKING:
    from ..modules import Module
    from ..program import CheckedModel
    from ..source import Span
    from .scope import Scope
    from .study import Study


def requested(
    study: Study, tree: s.Expr, home: Module | None = None, scope: Scope | None = None
) -> ModelRequest:
    """`gpt[d = 768](L = 12)`: which model, with which sizes and values; `home` is the file in which
    it is named, if not that of the study, and `scope` where in the study, if in a part of it."""
    home, scope = home or study.module, scope or study.scope
    if home is not study.module:
        scope = study.scope.inner(frame=Frame(home))
    args = tree.args if isinstance(tree, s.Call) else ()
    base = tree.target if isinstance(tree, s.Call) else tree
    sized: dict[str, int] = {}
    if isinstance(base, s.Index):
        for item in base.items:
            if not isinstance(item, s.Bind):
                scope.fail(
                    Slug.BAD_SIZE, "a model's axes are sized", item.span, hint="gpt[d = 128]"
                )
            sized[item.axis] = scope.axis_size(item.value)  # type: ignore[assignment]
        base = base.base
    if not isinstance(base, s.Name):
        scope.fail(Slug.UNKNOWN_NAME, "a model has a name", tree.span)
    block, module = find_model(base, home, scope)
    for arg in args:
        if arg.name is None:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                "what a model is made with is named",
                arg.span,
                hint="gpt(L = 12)",
            )
    _check_request(block, sized, [arg.name or "" for arg in args], tree, scope)
    values = {
        arg.name or "": settled(scope.evaluate(arg.value), scope.ctx.sweeping)
        for arg in args
        if arg.name not in _tensors(block)
    }
    return ModelRequest(
        block, module, sized, values, training=study.training, budget=study.ctx.budget
    )


def inputs_of(tree: s.Expr, block: s.Block, scope: Scope) -> dict[str, tuple[Val, Span]]:
    """`gpt(tokens = pairs.clean, L = 12)`: the inputs that are said with a model."""
    return {
        arg.name: (scope.evaluate(arg.value), arg.span)
        for arg in (tree.args if isinstance(tree, s.Call) else ())
        if arg.name is not None and arg.name in _tensors(block)
    }


def _tensors(block: s.Block) -> set[str]:
    return {param.name for param in block.params if param.axes is not None}


def find_model(tree: s.Name, module: Module, scope: Scope) -> tuple[s.Block, Module]:
    """The model of that name."""
    found = module.find(tree.id)
    if tree.id in module.broken:
        raise HaltError
    if found is None or not isinstance(found[0], s.Block) or found[0].kind != "model":
        known = [
            n
            for n in module.names()
            if (f := module.find(n)) and isinstance(f[0], s.Block) and f[0].kind == "model"
        ]
        hint = or_nearest(tree.id, known)
        if found is not None and isinstance(found[0], s.Block):
            hint = f"`{tree.id}` is a block; a model is declared with `model`"
        scope.fail(Slug.UNKNOWN_NAME, f"no model is called `{tree.id}`", tree.span, hint=hint)
    return found  # type: ignore[return-value]  # narrowed above


def _check_request(
    block: s.Block, sized: dict[str, int], values: list[str], tree: s.Expr, scope: Scope
) -> None:
    axes = {
        i.axis if isinstance(i, s.Bind) else i.id
        for i in block.axes
        if isinstance(i, s.Bind | s.Name)
    }
    typed = {axis.name for param in block.params for axis in param.axes or ()}
    for axis in sized:
        if axis not in axes | typed:
            scope.fail(
                Slug.UNKNOWN_AXIS,
                f"`{block.name}` has no axis `{axis}`",
                tree.span,
                hint=or_nearest(axis, axes),
            )
    params = [param.name for param in block.params]
    for name in values:
        if name not in params:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{block.name}` has no argument `{name}`",
                tree.span,
                hint=or_nearest(name, params),
            )


def elaborated(study: Study, request: ModelRequest) -> CheckedModel:
    """The model's program, made once for each request."""
    key = (
        request.block.name,
        id(request.block),
        tuple(sorted(request.sizes.items(), key=lambda i: i[0])),
        request.inputs,
        str(request.values),
        request.training,
    )
    if key not in study.models:
        model = elaborate_model(request, study.collector)
        if model is None:
            raise HaltError
        study.models[key] = model
        study.ctx.limits += model.limits
    return study.models[key]
