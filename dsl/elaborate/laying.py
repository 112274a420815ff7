"""A model laid down in a study: on inputs, with weights, with what else follows `with`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Note, Slug, or_nearest
from ..program import Limit
from .given import intervene
from .placing import placed
from .planned import Plan
from .requests import elaborated
from .runs import lay_down
from .values import Known, Run, Val
from .weights import weights_label

if TYPE_CHECKING:
    from ..core import Node
    from ..program import CheckedModel
    from ..sizes import Size
    from ..source import Span
    from .models import ModelRequest
    from .scope import Scope
    from .study import Study


def run_model(
    study: Study,
    name: str,
    request: ModelRequest,
    inputs: dict[str, tuple[Val, Span]],
    given: tuple[s.Given, ...],
    span: Span,
    scope: Scope,
    weights: str | None = None,
    seed: int | None = None,
) -> Run:
    """Lay a model down on inputs, with weights and what else `with` gives."""
    model, nodes = prepared(study, request, inputs, span, scope)
    return laid(study, name, model, nodes, given, span, scope, weights, seed)


def prepared(
    study: Study,
    request: ModelRequest,
    inputs: dict[str, tuple[Val, Span]],
    span: Span,
    scope: Scope,
) -> tuple[CheckedModel, dict[str, Node]]:
    """The model for inputs of such sizes, and the inputs as tensors."""
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
    return model, nodes


def laid(
    study: Study,
    name: str,
    model: CheckedModel,
    nodes: dict[str, Node],
    given: tuple[s.Given, ...],
    span: Span,
    scope: Scope,
    weights: str | None = None,
    seed: int | None = None,
) -> Run:
    """A run of an elaborated model; what is drawn may be of a `seed` of its own."""
    parts = placed(study, given, model, scope)
    label = weights_label(study, model, weights, span, parts, seed)
    writes = Plan(trained=study.training and not label, whole=span)
    for item in given:
        if not isinstance(item, s.Placed):
            intervene(study, item, model, writes, scope)
    run, results = lay_down(
        name, model, nodes, writes, scope, weights=label, placed=parts, seed=seed
    )
    for address, node in zip(model.updates, results[len(model.results) :], strict=True):
        if not label:
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
        declared = known if isinstance(known, int) else _declared(request, decl.name)
        if declared is not None and not isinstance(size, int):
            node = _held_to(declared, decl.name, node, param, request, span, scope)
        sizes[decl.name] = node.size(decl.name)
    fits = {"int": ("int", "bool"), "bool": ("bool",)}.get(param.kind or "", (node.dtype,))
    if node.dtype not in fits:
        scope.fail(
            Slug.WRONG_DTYPE,
            f"`{param.name}` wants {param.kind}, and this is {node.dtype}",
            span,
            notes=[Note("it is declared", param.span)],
        )
    return node


def _declared(request: ModelRequest, axis: str) -> int | None:
    """The size that the head of a model gives to an axis, if it is a plain number."""
    for own in request.block.axes:
        if isinstance(own, s.Bind) and own.axis == axis and isinstance(own.value, s.Number):
            return int(own.value.value)
    return None


def _held_to(
    size: int,
    axis: str,
    node: Node,
    param: s.Param,
    request: ModelRequest,
    span: Span,
    scope: Scope,
) -> Node:
    """What is read from a file has the size that the model says; checked once it is read."""
    message = f"`{request.block.name}` wants {size} positions of `{axis}` on `{param.name}`"
    found = node.size(axis)
    scope.ctx.limits += [Limit(found, size, message, span), Limit(size, found, message, span)]
    how = ops.IndexAttrs(ops.Slice(axis, 0, size))
    return scope.builder.emit(ops.INDEX, how, [node], span, node.scope)
