from __future__ import annotations

import pytest
from tests.compiler.programs import graph_of

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.graph import Graph, InternalError
from neuraxis.compiler.passes import PASSES
from neuraxis.compiler.show import show
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, Body, DType, Node, Step
from neuraxis.testing.drawing import SPAN

MODEL = """
    model m(x[t, d], w[d, e]) -> [t, e]:
        return sum[d](x * w) + 0
"""


def test_each_stage_can_be_seen() -> None:
    seen: list[str] = []
    graph = compile_graph(graph_of(MODEL), Context(), observer=lambda name, _: seen.append(name))
    assert seen == ["build", *(row.name for row in PASSES)]
    assert len(set(seen)) == len(seen)
    assert "contract" in show(graph)


def test_it_stops_where_it_is_told() -> None:
    seen: list[str] = []
    graph = compile_graph(
        graph_of(MODEL), Context(), after="fold", observer=lambda name, _: seen.append(name)
    )
    assert seen == ["build", "fold"]
    assert "contract" not in show(graph)
    with pytest.raises(ValueError, match="no pass hosit; there are build, fold"):
        compile_graph(graph, Context(), after="hosit")


def test_passes_can_be_left_out() -> None:
    assert "contract" not in show(
        compile_graph(graph_of(MODEL), Context(without=frozenset({"contract"})))
    )


def test_what_is_built_is_verified() -> None:
    axes = (Axis("t", 2),)
    wrong = Node("x", ops.INPUT, ops.InputAttrs(("t",), axes, DType.INT), axes, DType.FLOAT, SPAN)
    graph = Graph.from_body(Body((Step(wrong, ()),), ("x",)))
    with pytest.raises(InternalError, match="after build: %x has type"):
        compile_graph(graph, Context())
    assert compile_graph(graph, Context(verify=False)).results == ("x",)
