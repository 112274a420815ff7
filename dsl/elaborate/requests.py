"""The models of a study: which, with which sizes, on which inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug, or_nearest
from .given import intervene
from .models import ModelRequest, elaborate_model
from .runs import lay_down
from .values import HaltError, Known, Run, Val

if TYPE_CHECKING:
    from ..core import Node
    from ..modules import Module
    from ..program import CheckedModel
    from ..sizes import Size
    from ..source import Span
    from .scope import Scope
    from .study import Study
    from .writes import Plan


def requested(study: Study, tree: s.Expr, given: dict[str, Size] | None = None) -> ModelRequest:
    """`gpt[d = 768](L = 12)`: which model, with which sizes and values."""
    values: dict[str, Val] = {}
    base = tree
    if isinstance(base, s.Call):
        for arg in base.args:
            if arg.name is None:
                study.scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    "what a model is made with is named",
                    arg.span,
                    hint="gpt(L = 12)",
                )
            values[arg.name] = study.scope.evaluate(arg.value)
        base = base.target
    sized: dict[str, int] = dict(given or {})  # type: ignore[arg-type]  # sizes may be symbols
    if isinstance(base, s.Index):
        for item in base.items:
            if not isinstance(item, s.Bind):
                study.scope.fail(
                    Slug.BAD_SIZE, "a model's axes are sized", item.span, hint="gpt[d = 128]"
                )
            sized[item.axis] = study.scope.axis_size(item.value)  # type: ignore[assignment]
        base = base.base
    if not isinstance(base, s.Name):
        study.scope.fail(Slug.UNKNOWN_NAME, "a model has a name", tree.span)
    block, module = find_model(base, study.module, study.scope)
    _check_request(block, sized, values, tree, study.scope)
    return ModelRequest(
        block, module, sized, values, training=study.training, budget=study.ctx.budget
    )


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
    block: s.Block, sized: dict[str, int], values: dict[str, Val], tree: s.Expr, scope: Scope
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
    )
    if key not in study.models:
        model = elaborate_model(request, study.collector)
        if model is None:
            raise HaltError
        study.models[key] = model
        study.ctx.limits += model.limits
    return study.models[key]


def run_model(
    study: Study,
    name: str,
    request: ModelRequest,
    inputs: dict[str, tuple[Val, Span]],
    given: tuple[s.Given, ...],
    span: Span,
    scope: Scope,
) -> Run:
    """Lay a model down on inputs, with what `with` gives."""
    numbers = {  # a number for what has a default takes its place, and is no input
        param.name: value
        for param in request.block.params
        if param.default is not None
        and isinstance(value := inputs.get(param.name, (None,))[0], Known)
    }
    nodes = {
        key: scope.node(value, at) for key, (value, at) in inputs.items() if key not in numbers
    }
    sizes: dict[str, Size] = dict(request.sizes)
    for param in request.block.params:
        if param.name in nodes and param.axes is not None:
            nodes[param.name] = _fit(
                param, nodes[param.name], sizes, request, inputs[param.name][1], scope
            )
    _check_inputs(request, inputs, scope)
    request = replace(
        request,
        sizes=sizes,  # type: ignore[arg-type]
        values={**request.values, **numbers},
        inputs=frozenset(nodes),
    )
    model = elaborated(study, request)
    for decl in model.inputs:
        if decl.name not in nodes:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"the run gives no `{decl.name}`",
                span,
                notes=[Note(f"`{model.name}` takes it", decl.span)],
                hint=f"{model.name}({decl.name} = ...)",
            )
    return laid(study, name, model, nodes, given, scope)


def laid(
    study: Study,
    name: str,
    model: CheckedModel,
    nodes: dict[str, Node],
    given: tuple[s.Given, ...],
    scope: Scope,
) -> Run:
    """A run of an elaborated model."""
    writes: Plan = {}
    for item in given:
        intervene(study, item, model, writes, scope)
    run, results = lay_down(name, model, nodes, writes, scope)
    for address, node in zip(model.updates, results[len(model.results) :], strict=True):
        study.updates.setdefault(address, node)
    for node in run.values.values():
        for axis in node.axes:
            scope.axes.setdefault(axis.name, axis)
    if study.model is None:
        study.model = model
    return run


def _check_inputs(request: ModelRequest, inputs: dict[str, tuple[Val, Span]], scope: Scope) -> None:
    """What a run is given are inputs of its model."""
    known = [param.name for param in request.block.params if param.axes is not None]
    for name, (_, span) in inputs.items():
        if name not in known:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{request.block.name}` has no input `{name}`",
                span,
                notes=[Note(f"it takes {', '.join(f'`{n}`' for n in known)}", request.block.span)],
                hint=or_nearest(name, known),
            )


def _fit(
    param: s.Param,
    node: Node,
    sizes: dict[str, Size],
    request: ModelRequest,
    span: Span,
    scope: Scope,
) -> Node:
    """The sizes of the model's inputs are those of what it is given."""
    for decl in param.axes or ():
        if decl.pack:
            continue
        if decl.name not in node.axis_names:
            scope.fail(
                Slug.MISSING_AXIS,
                f"`{request.block.name}` wants an axis `{decl.name}` on "
                f"`{param.name}`, which has {scope.say_axes(node)}",
                span,
                notes=[Note(f"`{param.name}` is declared", param.span)],
            )
        size = node.size(decl.name)
        known = sizes.get(decl.name)
        if known is not None and known != size and isinstance(known, int) and isinstance(size, int):
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{param.name}` has `{decl.name}` = {size}, and the model is made with {known}",
                span,
            )
        sizes[decl.name] = size
    fits = {"int": ("int", "bool"), "bool": ("bool",)}.get(param.kind or "", (node.dtype,))
    if node.dtype not in fits:
        scope.fail(
            Slug.WRONG_DTYPE,
            f"`{param.name}` wants {param.kind}, and this is {node.dtype}",
            span,
            notes=[Note("it is declared", param.span)],
        )
    return node
