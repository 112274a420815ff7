from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import fold, narrow, prune, share
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, DType

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

T = Axis("t", 4)


def narrowed(text: str, *keep: str) -> Graph:
    """The graph of a model as `narrow` meets it, and what `narrow` makes of it."""
    ctx = Context(keep=frozenset(keep))
    graph = narrow(share(prune(fold(graph_of(text), ctx), ctx), ctx), ctx)
    verify(graph, "narrow")
    return prune(graph, ctx)


def lines(graph: Graph) -> list[str]:
    return shown(graph).splitlines()


def test_only_the_position_that_is_read_is_computed() -> None:
    graph = narrowed("""
        model m[d = 2, e = 3](x[b, t, d], w[d, e]) -> [b, e]:
            y = dot[d](tanh(x), w)
            return y[t = -1]
    """)
    assert lines(graph) == [
        "%2[b, d=2] = index(%0) {how=select(axis=t, at=-1)}",
        "%3[b, d=2] = map(%2) {fn=tanh}",
        "%4[b, e=3] = contract(%3, %1) {axes=(d)}  # out",
        "return %4",
    ]


def test_a_table_is_read_before_it_is_used() -> None:
    graph = narrowed("""
        model m[d = 2, vocab = 9](x[b, t, d], w[vocab, d], word[b]: int) -> [b]:
            logits = dot[d](x, w)
            return logits[t = 0, vocab = word]
    """)
    assert lines(graph) == [
        "%3[b, d=2] = index(%0) {how=select(axis=t, at=0)}",
        "%4[b, d=2] = index(%1, %2) {how=gather(axis=vocab, fill=None)}",
        "%5[b] = contract(%3, %4) {axes=(d)}  # out",
        "return %5",
    ]


def test_a_selection_goes_through_renames() -> None:
    graph = narrowed("""
        model m(x[b, t]) -> [b]:
            y = exp(x[t -> s])
            return y[s = 2]
    """)
    assert lines(graph) == [
        "%1[b] = index(%0) {how=select(axis=t, at=2)}",
        "%2[b] = map(%1) {fn=exp}  # out",
        "return %2",
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("y = softmax[t](x)\n            return y[t = 0]", "positions are mixed"),
        ("y = exp(x)\n            return y[t = 0] + sum[t](y)", "the whole is read too"),
        ("y = exp(shift[t](x, 1))\n            return y[t = 0]", "it is a window"),
    ],
)
def test_where_it_stops(body: str, why: str) -> None:
    graph = narrowed(f"""
        model m(x[b, t]) -> [b]:
            {body}
    """)
    index = next(n for n in map(graph.node, graph.in_order()) if n.op is ops.INDEX)
    above = graph.node(graph.operands(index.name)[0])
    assert above.op is not ops.INPUT or why == "it is a window"


def test_what_stands_outside_of_an_axis_is_no_function_of_anything() -> None:
    draft = Draft()
    x, at = draft.input("x", T), draft.input("at", Axis("n", 2), dtype=DType.INT)
    y = draft.map("exp", x)
    graph = draft.give(draft.index(ops.Gather("t", fill=-1.0), y, at))
    after = narrow(graph, Context())
    assert after.node(after.results[0]).op is ops.INDEX


def test_parts_of_one_kind_are_one() -> None:
    draft = Draft()
    y = draft.map("exp", draft.input("x", T))
    first, second = (draft.index(ops.Select("t", 0), y) for _ in range(2))
    graph = narrow(draft.give(draft.map("add", first, second)), Context())
    assert sum(graph.node(n).op is ops.MAP for n in graph.in_order()) == 2


@pytest.mark.parametrize("keep", [{"one"}, {"two"}, {"one", "two"}])
def test_a_kept_address_stays(keep: set[str]) -> None:
    draft = Draft()
    index = draft.iota(T)
    parts = [
        draft.add(ops.INDEX, ops.IndexAttrs(ops.Select("t", 2)), index, site=site)
        for site in ("one", "two")
    ]
    graph = draft.give(*parts)
    after = narrow(graph, Context(keep=frozenset(keep)))
    verify(after, "narrow")
    assert keep <= set(after.sites())


def test_a_kept_value_is_computed_whole() -> None:
    text = """
        model m(x[b, t]) -> [b]:
            y = exp(x)
            return y[t = 0]
    """
    assert "y" not in narrowed(text).sites()
    graph = narrowed(text, "y")
    assert graph.node(graph.sites()["y"]).axis_names == {"b", "t"}


def test_most_of_an_axis_is_computed_whole() -> None:
    graph = narrowed("""
        model m[t = 8](x[b, t]) -> [b, t], [b, t]:
            y = exp(x)
            z = tanh(x)
            return y[t = 1..], z[t = 0..2]
    """)
    kinds = [
        (n.op.name, n.size("t")) for n in map(graph.node, graph.in_order()) if n.op is not ops.CONST
    ]
    assert ("map", 8) in kinds
    assert ("map", 2) in kinds


@pytest.mark.parametrize("kept", [False, True])
def test_a_number_that_is_asked_for_stays(kept: bool) -> None:
    draft = Draft()
    number = draft.add(ops.CONST, ops.ConstAttrs(3), site="three")
    both = draft.add(ops.CONCAT, ops.ConcatAttrs("t", new=True), 8, number)
    first = draft.index(ops.Select("t", 0), both)
    graph = draft.give(first) if kept else draft.give(first, number)
    ctx = Context(keep=frozenset({"three"} if kept else ()))
    assert number in narrow(graph, ctx)
