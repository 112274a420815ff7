from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.passes import fold, prune, share, sink
from neuraxis.compiler.reference import evaluate
from neuraxis.compiler.reference.values import NamedArray
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

CTX = Context()
T, D, E = Axis("t", 4), Axis("d", 3), Axis("e", 2)


def sunk(graph: Graph) -> Graph:
    """The graph as `sink` makes it, with the same values."""
    before = share(prune(fold(graph, CTX), CTX), CTX)
    after = sink(before, CTX)
    verify(after, "sink")
    return prune(after, CTX)


def at(draft: Draft, place: int, value: str | float, axis: Axis = T) -> str:
    return draft.map("where", draft.map("eq", draft.iota(axis), place), value, 0.0)


def test_what_is_linear_is_worked_out_at_the_one_position() -> None:
    draft = Draft()
    x, w, v = draft.input("x", T, D), draft.input("w", D, E), draft.input("v", D)
    scaled = draft.map("mul", at(draft, 2, v), x)
    product = draft.add(ops.CONTRACT, ops.ContractAttrs(("d",)), scaled, w)
    made = sunk(draft.give(draft.map("neg", product)))
    after = [made.node(name) for name in made.in_order()]
    assert [n.attrs.fn for n in after if isinstance(n.attrs, ops.MapAttrs)][-1] == "where"
    assert not [n for n in after if {"t", "d"} <= n.axis_names and n.op is not ops.INPUT]


def test_a_product_with_a_one_among_zeros_is_a_row() -> None:
    draft = Draft()
    table = draft.input("table", T, D)
    both = draft.map("sub", at(draft, 3, 1.0), at(draft, 1, 1.0))
    made = sunk(draft.give(draft.add(ops.CONTRACT, ops.ContractAttrs(("t",)), both, table)))
    text = shown(compile_graph(made, CTX))
    assert "contract" not in text
    assert text.count("select(axis=t") == 2


def test_the_way_back_from_one_position_is_walked_at_that_one() -> None:
    text = """
        model m[d = 3, e = 5](x[t, d], w[d, e], u[e, d]) -> [t, d]:
            y = dot[e](tanh(dot[d](x, w)), u)
            score = sum[d](y[t = {}] ^ 2)
            return grad(score, x)
    """
    for place in ("1", "-1"):
        graph = compile_graph(graph_of(text.format(place)), CTX)
        wide = [n for n in map(graph.node, graph.in_order()) if {"t", "e"} <= n.axis_names]
        assert not wide, place


def test_other_ways_join() -> None:
    """A sum with what is not zero elsewhere stays where it is, and is right."""
    model = graph_of("""
        model m[d = 3, e = 3](x[t, d], w[d, e]) -> [t, d]:
            y = tanh(dot[d](x, w))
            score = sum[e](y[t = 1] ^ 2) + sum[t, e](y) * 0.5
            return grad(score, x)
    """)
    stream = np.random.default_rng(0)
    given = {
        "x": NamedArray(("t", "d"), stream.normal(size=(4, 3))),
        "w": NamedArray(("d", "e"), stream.normal(size=(3, 3))),
    }
    plain, made = (evaluate(graph, inputs=given) for graph in (model, compile_graph(model, CTX)))
    assert_close(made, plain)


def test_an_axis_that_may_be_empty_has_no_last_position() -> None:
    """`t == |t| - 1` says one position only where one is read."""
    text = """
        model m[d = 3](x[t, d]) -> [t, d]:
            return where(t == |t| - 1, tanh(x), 0.0) * x
    """
    assert "select" not in shown(sunk(graph_of(text)))
