"""A recurrence by itself, as PyTorch runs it step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..compiler.emit.emit import emit
from ..compiler.graph import Graph
from ..dsl.core import Body, DType, Node, Step, names
from ..dsl.items import body_inputs, item_attrs
from ..dsl.ops import INPUT, ITEM, SCAN, InputAttrs
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from ..dsl.source import GENERATED
from . import emitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..compiler.artifact import KernelCall


def loop(call: KernelCall) -> Callable[..., Any]:
    """A function of the operands of a call, from a graph that holds nothing else."""
    scan = call.scan
    steps, operands = [], []
    for at, (node, order) in enumerate(zip(body_inputs(scan.body), call.orders, strict=True)):
        own = {axis.name: axis for axis in (*node.axes, scan.axis)}
        axes = tuple(own[name] for name in order)
        attrs = InputAttrs(order, axes, node.dtype)
        given = Node(f"given_{at}", INPUT, attrs, axes, node.dtype, GENERATED, f"x{at}")
        steps.append(Step(given, ()))
        operands.append(given)
    whole = Node("scan", SCAN, scan, (), DType.FLOAT, GENERATED)
    steps.append(Step(whole, tuple(node.name for node in operands)))
    results = []
    for index in range(len(call.results) - call.kernel.kept):
        item = item_attrs(scan, index)
        made = Node(f"item_{index}", ITEM, item, item.axes, item.dtype, GENERATED)
        steps.append(Step(made, ("scan",)))
        results.append(made)
    body = Body(tuple(steps), tuple(node.name for node in results))
    model = CheckedModel(
        call.name,
        body,
        tuple(InputDecl(n.site or "", names(n.axes), n.dtype, GENERATED) for n in operands),
        tuple(ResultDecl(n.name, order) for n, order in zip(results, call.results, strict=False)),
        GENERATED,
    )
    artifact = emit(Graph.from_body(body), model)
    forward: Callable[..., Any] = getattr(
        emitted.loaded(artifact.source, call.name), artifact.entry
    )().forward
    return forward
