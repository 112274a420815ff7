"""Runs of several inputs, put together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import assume, event, given, note
from hypothesis import strategies as st
from tests.compiler.drawn import lengths, seeds
from tests.compiler.programs import graph_of

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.passes import batch, contract, prune
from neuraxis.compiler.passes.batch import ROWS
from neuraxis.compiler.reference import evaluate
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Body, Step
from neuraxis.testing import assert_close, check_graph, recurrences, specs
from neuraxis.testing.data import data_for

if TYPE_CHECKING:
    from neuraxis.dsl.core import Node

LINEAR = ("linear", "linear", "attention", "norm", "let", "scan", "layer", "shared")
SHARED = (ops.PARAM, ops.STATE, ops.RANDOM)
FEW = Context(sizes={"t": 8})
TWO = """
model m[d = 64, e = 96](x[t, d], y[t, d]) -> [t, d]:
    param w[d, e] ~ normal(0, 1 / |d|)
    param bias[e] = 0.1
    param u[e, d] ~ normal(0, 1 / |e|)
    hidden_x = tanh(dot[d](x, w) + bias)
    hidden_y = tanh(dot[d](y, w) + bias)
    return {}
"""


def products(graph: Graph) -> list[Node]:
    nodes = map(graph.node, graph.in_order())
    return [node for node in nodes if node.op is ops.CONTRACT]


def batched(text: str, ctx: Context = FEW) -> Graph:
    """The graph with all passes, which has the values that it has with none."""
    before = graph_of(text)
    after = compile_graph(before, ctx)
    given_ = data_for(before, 3, 8)
    assert_close(evaluate(after, **given_.keywords()), evaluate(before, **given_.keywords()))
    return after


def test_two_runs_are_one_product_of_both() -> None:
    made = batched(TWO.format("dot[e](hidden_x, u) - dot[e](hidden_y, u)"))
    assert [node.axis_names for node in products(made)] == [{"run", "t", "e"}, {"run", "t", "d"}]
    assert sum(node.attrs == ops.MapAttrs("tanh") for node in map(made.node, made.in_order())) == 1


def test_each_run_has_what_is_needed_of_it_alone() -> None:
    made = batched(TWO.format("dot[e](hidden_x * mean[t, e](hidden_y), u)"))
    assert [node.axis_names for node in products(made)] == [{"run", "t", "e"}, {"t", "d"}]


def test_a_bias_is_added_to_both_and_what_is_behind_it_is_apart() -> None:
    made = batched(TWO.format("dot[e](hidden_x, u) * mean[t, e](hidden_y)"))
    sums = [n for n in map(made.node, made.in_order()) if n.attrs == ops.MapAttrs("add")]
    curves = [n for n in map(made.node, made.in_order()) if n.attrs == ops.MapAttrs("tanh")]
    assert [node.axis_names for node in sums] == [{"run", "t", "e"}]
    assert [node.axis_names for node in curves] == [{"t", "e"}] * 2


@pytest.mark.parametrize("sizes", [None, {}, {"t": ROWS + 1}])
def test_many_rows_and_unknown_ones_are_left(sizes: dict[str, int] | None) -> None:
    made = batched(TWO.format("dot[e](hidden_x, u) - dot[e](hidden_y, u)"), Context(sizes=sizes))
    assert len(products(made)) == 4


def test_values_at_kept_addresses_stay() -> None:
    ctx = replace(FEW, keep=frozenset({"hidden_y"}))
    before = graph_of(TWO.format("dot[e](hidden_x, u) - dot[e](hidden_y, u)"))
    made = compile_graph(before, ctx)
    assert made.node(made.sites()["hidden_y"]).axis_names == {"t", "e"}


def test_runs_of_a_recurrence_are_one_scan() -> None:
    made = batched("""
        model m[d = 64, e = 64, k = 64](x[t, d], y[t, d]) -> [t, k]:
            param w[d, e] ~ normal(0, 1 / |d|)
            param u[e, k] ~ normal(0, 1 / |e|)
            in_x = dot[d](x, w)
            scan t:
                carry h[e] = 0
                h = tanh(in_x + 0.5 * h)
            in_y = dot[d](y, w)
            scan t:
                carry g[e] = 0
                g = tanh(in_y + 0.5 * g)
            return dot[e](h, u) - dot[e](g, u)
    """)
    assert len([name for name in made.in_order() if made.node(name).op is ops.SCAN]) == 1
    assert all("run" in node.axis_names for node in products(made))


def test_a_carry_that_both_runs_read_elsewhere_is_one_value_of_the_scan() -> None:
    text = """
        model m[d = 64, e = 64](x[t, d], y[t, d]) -> [t, e], [t, d]:
            param w[d, e] ~ normal(0, 1 / |d|)
            scan t:
                carry h[d] = 0
                carry g[d] = 0
                h = tanh(x + 0.5 * h)
                g = 0.5 * g + x
            scan t:
                carry k[d] = 0
                carry l[d] = 0
                k = tanh(y + 0.5 * k)
                l = 0.5 * l + y
            return dot[d](h, w) - dot[d](k, w), g + 2 * l
    """
    made = batched(text)
    items = [node for node in map(made.node, made.in_order()) if node.op is ops.ITEM]
    assert len(items) == len({node.attrs.index for node in items}) == 2  # type: ignore[union-attr]
    check_graph(graph_of(text), 0, 8)


def test_an_axis_of_the_name_is_no_other() -> None:
    text = TWO.format("dot[e](hidden_x, u) - dot[e](hidden_y, u)").replace("[t, d]", "[t, run, d]")
    text = text.replace("m[d = 64,", "m[run = 3, d = 64,")
    made = batched(text)
    assert products(made)[0].axis_names == {"run", "run'", "t", "e"}


def doubled(graph: Graph, alike: frozenset[str]) -> Graph:
    """A program and the same on other inputs but for some, with the same parameters and draws."""
    body = graph.to_body()
    alike |= {step.node.name for step in body.steps if step.node.op in SHARED}

    def other(name: str) -> str:
        return name if name in alike else f"{name}_other"

    more = [
        Step(
            replace(
                step.node,
                name=other(step.node.name),
                site=f"{step.node.site}_other" if step.node.site else None,
            ),
            tuple(map(other, step.operands)),
        )
        for step in body.steps
        if step.node.name not in alike
    ]
    return Graph.from_body(Body((*body.steps, *more), (*body.results, *map(other, body.results))))


@given(st.data(), st.one_of(specs(kinds=LINEAR), recurrences()), seeds, lengths)
def test_a_program_on_two_inputs_is_the_program_twice(
    data: st.DataObject, text: str, seed: int, length: int
) -> None:
    graph = contract(prune(graph_of(text), Context()), Context())
    inputs = [name for name in graph.in_order() if graph.node(name).op is ops.INPUT]
    assume(inputs)
    both = doubled(graph, data.draw(st.frozensets(st.sampled_from(inputs))))
    given_ = data_for(both, seed, length)
    with patch.multiple("neuraxis.compiler.passes.batch", ROWS=1 << 40, WEIGHT=0):
        after = batch(both, Context(sizes=given_.sizes))
    note(show(after))
    verify(after, "batch")
    event(f"put together: {any(n.made_by == 'batch' for n in map(after.node, after.in_order()))}")
    assert_close(evaluate(after, **given_.keywords()), evaluate(both, **given_.keywords()))


@given(st.one_of(specs(kinds=LINEAR), recurrences()), seeds, lengths)
def test_what_is_emitted_for_two_inputs_is_the_oracle(text: str, seed: int, length: int) -> None:
    graph = graph_of(text)
    inputs = [name for name in graph.in_order() if graph.node(name).op is ops.INPUT]
    assume(inputs)
    both = doubled(graph, frozenset())
    with patch.multiple("neuraxis.compiler.passes.batch", ROWS=1 << 40, WEIGHT=0):
        check_graph(both, seed, length)
