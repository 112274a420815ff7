"""From a program to a function on tensors: passes, source, and the source loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..compiler.build import graph_of
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..dsl import sizes
from ..dsl.core import Body, names
from ..dsl.ops import INPUT, InputAttrs
from ..dsl.program import CheckedModel, InputDecl, ResultDecl
from ..dsl.resize import counted, resized
from .module import Model, build
from .ragged import check_updates, padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn

    from ..compiler.graph import Graph
    from ..dsl.core import Node, Step
    from ..dsl.program import CheckedStudy
    from ..dsl.sizes import Size


@dataclass
class Lowered:
    """A program ready to run: tensors by the address of their input in, its results out."""

    module: Model
    inputs: tuple[Node, ...]
    results: tuple[Node, ...]

    def __call__(self, given: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The results, each with its axes in the order of its node. Drawn numbers are taken from
        `given` too, if they are there; else they are the same at all calls."""
        inputs = [given[address(node)] for node in self.inputs]
        draws = [address(node) for node in self.module.draws]
        if draws and all(name in given for name in draws):
            found = self.module.run_with(inputs, [given[name] for name in draws])
        else:
            self.module.restart()
            found = self.module(*inputs)
        return found if isinstance(found, tuple) else (found,)


def lower(
    study: CheckedStudy,
    results: tuple[str, ...],
    shared: nn.Module,
    *,
    ragged: Iterable[str] = (),
    seed: int = 0,
    known: Mapping[str, int] | None = None,
) -> Lowered:
    """Some values of a study, for the parameters of `shared`, and for examples that have lengths
    of their own along ragged axes. It is fast for the run-time sizes that are known."""
    built = part_of(study.body, results)
    graph = padded(built, ragged)
    if results == study.body.results:
        count = len(results)
        check_updates(built, graph, range(count - len(study.updates), count))
    return loaded(compile_graph(graph, Context(sizes=known)), study, shared, seed=seed)


def loaded(
    graph: Graph,
    study: CheckedStudy,
    shared: nn.Module,
    *,
    seed: int = 0,
    name: str = "",
    lean: bool = False,
) -> Lowered:
    """A compiled graph whose inputs are all its input nodes, and those that only say a size. If
    `lean`, it holds no value longer than it must."""
    body = _with_inputs_first(graph.to_body())
    beside = _sizing(study.body, body.steps)
    body = replace(body, steps=(*beside, *body.steps))
    inputs = tuple(step.node for step in body.steps if step.node.op is INPUT)
    results = tuple(graph.node(result) for result in graph.results)
    as_model = CheckedModel(
        name or study.name,
        body,
        tuple(_declared(node) for node in inputs),
        tuple(ResultDecl(address(node), names(node.axes)) for node in results),
        study.span,
        limits=study.limits,
    )
    module = build(graph, as_model, seed=seed, shared=shared, lean=lean)
    return Lowered(module, inputs, results)


def address(node: Node) -> str:
    """What an input or a result of a study is called at its border."""
    return node.site or node.name


def needed(body: Body, results: tuple[str, ...]) -> Body:
    """The part of a program that some of its values need; also for their sizes."""
    wanted = set(results)
    kept = []
    for step in reversed(body.steps):
        if step.node.name in wanted:
            wanted.update(step.operands)
            wanted |= counted(Body((step,), ()))
            kept.append(step)
    kept.reverse()
    return Body((*_sizing(body, kept), *kept), results)


def _sizing(body: Body, steps: Sequence[Step]) -> list[Step]:
    """Inputs of a program for the run-time sizes of some of its steps that none of their own
    inputs has."""
    wanted = _symbols(steps) - _said(steps)
    found: list[Step] = []
    for step in body.steps:
        if step.node.op is INPUT and wanted & _said([step]):
            wanted -= _said([step])
            found.append(step)
    return found


def _symbols(steps: Sequence[Step]) -> set[str]:
    """The run-time sizes that steps speak of."""
    found: set[str] = set()

    def look(size: Size) -> Size:
        found.update(sizes.symbols(size))
        return size

    resized(tuple(step.node for step in steps), look)
    return found


def _said(steps: Sequence[Step]) -> set[str]:
    """The run-time sizes that can be read off inputs."""
    axes = [axis for step in steps if step.node.op is INPUT for axis in step.node.axes]
    names_ = [(name, axis.size) for axis in axes for name in sizes.symbols(axis.size)]
    return {name for name, size in names_ if size == sizes.symbol(name)}


def part_of(body: Body, results: tuple[str, ...]) -> Graph:
    """The graph of some values of a program."""
    return graph_of(needed(body, results))


def _declared(node: Node) -> InputDecl:
    assert isinstance(node.attrs, InputAttrs)
    return InputDecl(address(node), node.attrs.order, node.dtype, node.span)


def _with_inputs_first(body: Body) -> Body:
    inputs = [step for step in body.steps if step.node.op is INPUT]
    others = [step for step in body.steps if step.node.op is not INPUT]
    return replace(body, steps=(*inputs, *others))
