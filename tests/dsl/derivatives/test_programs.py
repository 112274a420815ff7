"""Derivatives of drawn programs: against finite differences, PyTorch, each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, note
from hypothesis import strategies as st
from tests.compiler.emitted import checked, doubles, emulate, inputs_of, module

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.reference import NamedArray, evaluate, evaluate_nodes
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.dsl import functions, ops
from neuraxis.dsl.core import Body, DType, Node, names
from neuraxis.dsl.derivatives import (
    forward,
    pointwise,
    pullback,
    pushforward,
    reductions,
    reverse,
    sequences,
)
from neuraxis.testing import assert_close
from neuraxis.testing.data import FINE, data_for
from neuraxis.testing.graphs import graphs
from neuraxis.testing.slopes import Slopes, can_differ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.testing.data import Given

seeds = st.integers(0, 2**20)
lengths = st.integers(1, 4)
LEAVES = (ops.INPUT, ops.PARAM)


def test_every_operation_and_function_has_a_row() -> None:
    apart = {*("input", "param", "state", "random", "const", "iota"), "scan", "item", "stop"}
    for rules in (reverse.RULES, forward.RULES):
        assert {op.name for op in rules} == {op.name for op in ops.OPS} - apart
    assert pointwise.PARTIALS.keys() | pointwise.FLAT == functions.MAPS.keys()
    assert reductions.WEIGHTS.keys() | reductions.FLAT == functions.REDUCTIONS.keys()
    assert sequences.SEQUENCES.keys() | sequences.FLAT == functions.ALONG.keys()
    for fn, partials in pointwise.PARTIALS.items():
        assert len(partials) == functions.MAPS[fn].arity
        assert fn not in pointwise.FLAT


def floats(body: Body, among: Sequence[ops.OpDef] = LEAVES) -> list[Node]:
    """The inputs and parameters that have a derivative."""
    nodes = [step.node for step in body.steps]
    return [node for node in nodes if node.op in among and node.dtype is DType.FLOAT]


def results_of(body: Body) -> list[Node]:
    """The results that have a derivative."""
    nodes = {step.node.name: step.node for step in body.steps}
    return [nodes[name] for name in body.results if nodes[name].dtype is DType.FLOAT]


def given_also(data: Given, derived: Body, body: Body, more: Sequence[NamedArray]) -> Given:
    """The data with values for the inputs that the derived program has besides."""
    own = {step.node.name for step in body.steps}
    fresh = [
        s.node.name for s in derived.steps if s.node.op is ops.INPUT and s.node.name not in own
    ]
    return replace(data, inputs={**data.inputs, **dict(zip(fresh, more, strict=True))})


def pulled(body: Body, wanted: Sequence[Node], data: Given, cotangents: Any) -> list[NamedArray]:
    """The cotangents of the wanted nodes by the oracle."""
    derived = pullback(body, [node.name for node in wanted])
    graph = Graph.from_body(derived)
    note(show(graph))
    verify(graph, "pullback")
    return evaluate(derived, **given_also(data, derived, body, cotangents).keywords())


def drawn(graph: Graph, seed: int, length: int, parts: int = FINE) -> tuple[Body, Given, Any]:
    """The program, data for it, and a random array for each of its float results."""
    body, data = graph.to_body(), data_for(graph, seed, length, parts=parts)
    note(show(graph))
    try:
        values = evaluate_nodes(body, **data.keywords())
    except (IndexError, ZeroDivisionError):
        assume(False)
    numbers = np.random.default_rng(seed)
    found = [values[node.name] for node in results_of(body)]
    assume(all(np.isfinite(value.array).all() for value in found))
    cotangents = [NamedArray(v.axes, numbers.normal(size=v.array.shape)) for v in found]
    assume(bool(floats(body)))
    return body, data, cotangents


@given(graphs(), seeds, lengths)
def test_cotangents_are_those_of_finite_differences(graph: Graph, seed: int, length: int) -> None:
    body, data, _ = drawn(graph, seed, length)
    assume(can_differ(body))
    slopes = Slopes(body, data, len(body.results), seed)
    wanted = floats(body)
    weights = [w for w in slopes.weights if w is not None]
    assume(len(weights) == len(results_of(body)))
    found = pulled(body, wanted, data, weights)
    gradients = {}
    for node, value in zip(wanted, found, strict=True):
        order = node.attrs.order if isinstance(node.attrs, ops.InputAttrs) else names(node.axes)
        gradients[node.site or node.name] = value.arranged(order)
    slopes.compare(gradients)


@given(graphs(), seeds, lengths)
def test_forwards_is_backwards_transposed(graph: Graph, seed: int, length: int) -> None:
    body, data, cotangents = drawn(graph, seed, length)
    wanted = floats(body)
    numbers = np.random.default_rng(seed + 1)
    back = pulled(body, wanted, data, cotangents)
    tangents = [NamedArray(v.axes, numbers.normal(size=v.array.shape)) for v in back]
    derived = pushforward(body, [node.name for node in wanted])
    note(show(Graph.from_body(derived)))
    verify(Graph.from_body(derived), "pushforward")
    along = evaluate(derived, **given_also(data, derived, body, tangents).keywords())
    one, size = inner(back, tangents)
    other, _ = inner(along, cotangents)
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9 * (1 + size))


@given(graphs(most=6), seeds, lengths)
def test_a_derivative_has_a_derivative(graph: Graph, seed: int, length: int) -> None:
    """Backwards twice is forwards of backwards: <second(u), v> is how <first, u> moves along v."""
    body, data, cotangents = drawn(graph, seed, length)
    wanted = floats(body)
    once = pullback(body, [node.name for node in wanted])
    data = given_also(data, once, body, cotangents)
    numbers = np.random.default_rng(seed + 1)
    first = evaluate(once, **data.keywords())
    assume(all(np.isfinite(value.array).all() for value in first))
    left, right = (
        [NamedArray(v.axes, numbers.normal(size=v.array.shape)) for v in first] for _ in range(2)
    )
    found = pulled(once, wanted, data, left)
    derived = pushforward(once, [node.name for node in wanted])
    verify(Graph.from_body(derived), "pushforward")
    along = evaluate(derived, **given_also(data, derived, once, right).keywords())
    one, size = inner(found, right)
    other, _ = inner(along, left)
    assert one == pytest.approx(other, rel=1e-8, abs=1e-8 * (1 + size))


def inner(some: Sequence[NamedArray], others: Sequence[NamedArray]) -> tuple[float, float]:
    parts = [x.array * y.arranged(x.axes) for x, y in zip(some, others, strict=True)]
    return float(sum(p.sum() for p in parts)), float(sum(np.abs(p).sum() for p in parts))


@given(graphs(), seeds, lengths)
def test_passes_and_emission_keep_derivatives(graph: Graph, seed: int, length: int) -> None:
    body, data, cotangents = drawn(graph, seed, length)
    derived = pullback(body, [node.name for node in floats(body)])
    whole = Graph.from_body(derived)
    full = given_also(data, derived, body, cotangents)
    wanted = evaluate(whole, **full.keywords())
    compiled = compile_graph(whole, Context())
    note(show(compiled))
    assert_close(evaluate(compiled, **full.keywords()), wanted)
    assert_close(emulate(compiled, full, whole), wanted, tolerance=1e-7)


@given(graphs(), seeds, lengths)
def test_kinks_are_those_of_pytorch(graph: Graph, seed: int, length: int) -> None:
    body, data, cotangents = drawn(graph, seed, length, parts=2)
    with doubles():
        model = checked(graph)
        made = module(graph, data.params, data.seed, model)
        inputs = [
            x.requires_grad_() if x.is_floating_point() else x
            for x in inputs_of(graph, data.inputs)
        ]
        made._calls = 0
        found = made(*inputs)
    several = found if isinstance(found, tuple) else (found,)
    orders = [decl.order for decl in model.results]
    several_floats = [(v, o) for v, o in zip(several, orders, strict=True) if v.is_floating_point()]
    loss = torch.zeros((), dtype=torch.float64)
    for (value, order), cotangent in zip(several_floats, cotangents, strict=True):
        loss = loss + (value * torch.from_numpy(cotangent.arranged(order).copy())).sum()
    weights, _ = made.parameters_by_site()
    leaves = {n.site or n.name: x for n, x in zip(floats_in(graph), inputs, strict=True)}
    wanted = [n for n in floats(body) if (n.site or n.name) in {**leaves, **weights}]
    tensors = [{**leaves, **weights}[n.site or n.name] for n in wanted]
    if loss.requires_grad:
        slopes = torch.autograd.grad(loss, tensors, allow_unused=True)
    else:
        slopes = (None,) * len(tensors)
    back = pulled(body, wanted, data, cotangents)
    for node, slope, value in zip(wanted, slopes, back, strict=True):
        theirs = NamedArray(value.axes, np.zeros(value.array.shape))
        if slope is not None:
            theirs = NamedArray(names(node.axes), slope.numpy())
        assert_close([value], [theirs], tolerance=1e-7)


def floats_in(graph: Graph) -> list[Node]:
    return [graph.node(n) for n in graph.in_order() if graph.node(n).op is ops.INPUT]
