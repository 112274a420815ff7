"""A program by itself, as PyTorch runs it without kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..compiler.emit.emit import emit
from ..compiler.graph import Graph
from ..dsl.core import Body, names
from ..dsl.ops import InputAttrs
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from ..dsl.source import GENERATED
from . import emitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def alone(
    name: str, body: Body, orders: Sequence[tuple[str, ...]], results: Sequence[tuple[str, ...]]
) -> Callable[..., Any]:
    """A function of the inputs of a program, whose axes and those of its results stand in these
    orders."""
    left = iter(orders)
    steps, inputs = [], []
    for step in body.steps:
        node = step.node
        if isinstance(node.attrs, InputAttrs):
            order = next(left)
            own = {axis.name: axis for axis in node.axes}
            axes = tuple(own[axis] for axis in order)
            attrs = InputAttrs(order, axes, node.dtype)
            node = replace(node, attrs=attrs, axes=axes, site=node.site or node.name)
            inputs.append(node)
        steps.append(replace(step, node=node))
    whole = Body(tuple(steps), body.results)
    model = CheckedModel(
        name,
        whole,
        tuple(InputDecl(n.site or "", names(n.axes), n.dtype, GENERATED) for n in inputs),
        tuple(ResultDecl(n, order) for n, order in zip(body.results, results, strict=True)),
        GENERATED,
    )
    artifact = emit(Graph.from_body(whole), model)
    forward: Callable[..., Any] = getattr(
        emitted.loaded(artifact.source, name), artifact.entry
    )().forward
    return forward
