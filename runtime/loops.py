"""A recurrence by itself, as PyTorch runs it without a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ..compiler.context import Context
from ..compiler.costs import ROWS, in_parallel
from ..compiler.driver import compile_graph
from ..compiler.emit.emit import emit
from ..compiler.graph import Graph
from ..dsl.core import Body, DType, Node, Step, names
from ..dsl.items import body_inputs, item_attrs
from ..dsl.ops import INPUT, ITEM, SCAN, InputAttrs
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from ..dsl.source import GENERATED
from . import emitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.artifact import KernelCall

    Function = Callable[..., tuple[Any, ...]]

SCAN_NODE = "scan"


@dataclass(frozen=True)
class Alone:
    """A graph that holds nothing but one recurrence, called `SCAN_NODE`."""

    name: str
    graph: Graph
    axis: str
    given: tuple[tuple[str, ...], ...]  # the axes of the operands
    orders: tuple[tuple[str, ...], ...]  # of the results


def alone(call: KernelCall) -> Alone:
    """The recurrence of a call, whose inputs are the call's operands."""
    scan = call.scan
    steps, operands = [], []
    for at, (node, order) in enumerate(zip(body_inputs(scan.body), call.orders, strict=True)):
        own = {axis.name: axis for axis in (*node.axes, scan.axis)}
        axes = tuple(own[name] for name in order)
        attrs = InputAttrs(order, axes, node.dtype)
        given = Node(f"given_{at}", INPUT, attrs, axes, node.dtype, GENERATED, f"x{at}")
        steps.append(Step(given, ()))
        operands.append(given.name)
    whole = Node(SCAN_NODE, SCAN, scan, (), DType.FLOAT, GENERATED)
    steps.append(Step(whole, tuple(operands)))
    results = []
    for index in range(len(call.scan.body.results)):
        item = item_attrs(scan, index)
        made = Node(f"item_{index}", ITEM, item, item.axes, item.dtype, GENERATED)
        steps.append(Step(made, (SCAN_NODE,)))
        results.append(made.name)
    body = Body(tuple(steps), tuple(results))
    return Alone(
        call.name,
        Graph.from_body(body),
        scan.axis.name,
        tuple(call.orders),
        tuple(call.results[: len(results)]),
    )


def written(
    name: str, graph: Graph, results: Sequence[str], orders: Sequence[tuple[str, ...]]
) -> Function:
    """A function of all inputs of a graph that gives a tuple: some of its values, with their axes
    in these orders."""
    with graph.edit() as edit:
        edit.set_results(results)
    graph = edit.graph
    inputs = [graph.node(n) for n in graph.in_order() if graph.node(n).op is INPUT]
    model = CheckedModel(
        name,
        graph.to_body(),
        tuple(InputDecl(n.site or "", names(n.axes), n.dtype, GENERATED) for n in inputs),
        tuple(ResultDecl(n, order) for n, order in zip(results, orders, strict=True)),
        GENERATED,
    )
    artifact = emit(graph, model)
    forward: Callable[..., Any] = getattr(
        emitted.loaded(artifact.source, name), artifact.entry
    )().forward

    def run(*operands: Any) -> tuple[Any, ...]:
        found = forward(*operands)
        return found if isinstance(found, tuple) else (found,)

    return run


def loop(call: KernelCall) -> Function:
    """A function of the operands of a call that goes step by step."""
    own = alone(call)
    return written(own.name, own.graph, own.graph.results, own.orders)


def parallel(call: KernelCall, chunk: int) -> Function:
    """The same in the parallel forms that its carries have, in chunks of so many steps."""
    own = alone(call)
    graph = compile_graph(own.graph, Context(recurrences="parallel", chunk=chunk))
    return written(own.name, graph, graph.results, own.orders)


def axis_at(orders: Sequence[tuple[str, ...]], axis: str) -> tuple[int, int] | None:
    """The first operand that has an axis, and at which place; None if none has it."""
    return next(((at, order.index(axis)) for at, order in enumerate(orders) if axis in order), None)


class Plain:
    """A recurrence as PyTorch runs it on the CPU: in parallel where that is faster, else step by
    step."""

    def __init__(self, call: KernelCall) -> None:
        self.call, self.place = call, axis_at(call.orders, call.scan.axis.name)
        self.worth = in_parallel(call.scan)

    @cached_property
    def loop(self) -> Function:
        """Step by step."""
        return loop(self.call)

    @cached_property
    def parallel(self) -> Function:
        """In parallel."""
        return parallel(self.call, ROWS)

    def ready(self) -> Plain:
        """The same with both written, so that PyTorch can trace a call."""
        _ = self.loop, self.worth is None or self.parallel
        return self

    def __call__(self, *operands: torch.Tensor) -> tuple[Any, ...]:
        """The results, in the orders of the call."""
        return (self.parallel if self._pays(operands) else self.loop)(*operands)

    def _pays(self, operands: Sequence[torch.Tensor]) -> bool:
        if self.worth is None:
            return False
        steps = self.call.scan.axis.size
        if not isinstance(steps, int):
            steps = 0 if self.place is None else operands[self.place[0]].shape[self.place[1]]
        numbers = max(x.numel() for x in operands[: self.call.scan.carries])
        learns = torch.is_grad_enabled() and any(x.requires_grad for x in operands)
        return self.worth.pays(steps, numbers, learns=learns)
