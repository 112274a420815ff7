"""The law of every pass: what comes out is well formed and computes what came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from tests.compiler.drawn import lengths, seeds

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.passes import PASSES, Pass
from neuraxis.compiler.reference import evaluate, evaluate_nodes
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.testing import assert_close, graphs
from neuraxis.testing.data import data_for
from neuraxis.testing.drawing import ALL_OPS

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph


def keeping(graph: Graph, data: st.DataObject) -> Context:
    items = sorted(
        site for site, name in graph.sites().items() if graph.node(name).op.name != "scan"
    )
    keep = frozenset(data.draw(st.sets(st.sampled_from(items), max_size=2)))
    recurrences = data.draw(st.sampled_from(["steps", "parallel"]))
    return Context(keep, recurrences=recurrences, chunk=data.draw(st.integers(1, 3)))


KINDS = {  # what a pass meets more often than others do
    "fold": "const map rename select slice reduce contract concat stop",
    "prune": "scan map rename",
    "share": "const iota map select",
    "contract": "product contract map const",
    "sink": "placed placed contract product map smooth reduce",
    "narrow": "select slice gather select rename map concat iota",
    "regroup": "product product map smooth",
    "hoist": "scan scan map smooth product contract",
    "parallelise": "scan scan map smooth product contract",
}


@pytest.mark.parametrize("row", PASSES, ids=lambda row: row.name)
@given(data=st.data(), seed=seeds, length=lengths)
def test_a_pass_keeps_what_is_computed(
    row: Pass, data: st.DataObject, seed: int, length: int
) -> None:
    often = (*ALL_OPS, *KINDS.get(row.name, "").split() * 3)
    graph = data.draw(graphs(kinds=often))
    ctx = keeping(graph, data)
    note(f"{ctx}\n{show(graph)}")
    after = row.function(graph, ctx)
    note(show(after))
    verify(after, row.name)
    given_ = data_for(graph, seed, length)
    assert_close(evaluate(after, **given_.keywords()), evaluate(graph, **given_.keywords()))
    check_kept(graph, after, ctx, given_.keywords())


@given(graphs(), st.data(), seeds, lengths)
def test_all_passes_keep_what_is_computed(
    graph: Graph, data: st.DataObject, seed: int, length: int
) -> None:
    ctx = keeping(graph, data)
    note(f"{ctx}\n{show(graph)}")
    after = compile_graph(graph, ctx, observer=lambda name, made: note(f"{name}\n{show(made)}"))
    given_ = data_for(graph, seed, length)
    assert_close(evaluate(after, **given_.keywords()), evaluate(graph, **given_.keywords()))
    check_kept(graph, after, ctx, given_.keywords())
    assert show(compile_graph(graph, ctx)) == show(after)


def check_kept(before: Graph, after: Graph, ctx: Context, keywords: dict[str, object]) -> None:
    old = evaluate_nodes(before, **keywords)  # type: ignore[arg-type]  # of `evaluate`
    new = evaluate_nodes(after, **keywords)  # type: ignore[arg-type]  # of `evaluate`
    for site in sorted(ctx.keep):
        assert_close([new[after.sites()[site]]], [old[before.sites()[site]]])
