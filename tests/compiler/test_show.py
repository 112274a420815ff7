from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from tests.compiler.programs import graph_of

from neuraxis.compiler.graph import Graph
from neuraxis.compiler.show import dot, show
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, Body, DType, Node, Step
from neuraxis.dsl.sizes import floor_divide, symbol
from neuraxis.testing import graphs
from neuraxis.testing.drawing import SPAN

if TYPE_CHECKING:
    from tests.conftest import Golden

MODEL = """
    model m[d = 4](tokens[b, t]: int, x[b, t, d]) -> [b, t, d]:
        param w[d] ~ normal(0, 0.5)
        scan t:
            carry h[d] = w
            h = tanh(h + x)
        return where(tokens > 0, h, 0)
"""


def test_the_text_of_a_graph(golden: Golden) -> None:
    golden("golden/build/recurrence.txt", show(graph_of(MODEL)))


def test_the_drawing_of_a_graph(golden: Golden) -> None:
    golden("golden/build/recurrence.dot", dot(graph_of(MODEL)))


def test_initial_values_are_shown_as_programs() -> None:
    axes = (Axis("d", 3), Axis("h", floor_divide(symbol("t"), 2)))
    inside = Node("i", ops.IOTA, ops.IotaAttrs(axes[0]), axes[:1], DType.INT, SPAN)
    attrs = ops.ParamAttrs(axes, Body((Step(inside, ()),), ("i",)), trained=False)
    node = Node("w", ops.PARAM, attrs, axes, DType.FLOAT, SPAN, 'a "b"', scope="a")
    graph = Graph.from_body(Body((Step(node, ()),), ()))
    assert show(graph) == (
        '%w[d=3, h=(t) // 2] = param() {axes=(d=3, h=(t) // 2), trained=False}  # a "b"\n'
        "    %i[d=3]: int = iota() {axis=d=3}\n    return %i\nreturn\n"
    )
    assert 'label="a"' in dot(graph)
    assert r'[label="a \"b\"[d=3, h=(t) // 2]\nparam"]' in dot(graph)


@given(graphs())
def test_the_text_says_everything_once(graph: Graph) -> None:
    text = show(graph)
    assert text == show(graph.to_body())
    assert sum(not line.startswith(" ") for line in text.splitlines()) == len(graph) + 1
    assert dot(graph).count(" -> ") == sum(len(graph.operands(n)) for n in graph.in_order())
