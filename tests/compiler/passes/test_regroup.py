from __future__ import annotations

from tests.compiler.programs import graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import regroup

MODEL = """
    model m(a[t], x[t, k], y[t, v]) -> [t, k, v]:
        z = x * y
        return a * z
"""


def test_small_factors_are_multiplied_first() -> None:
    assert shown(regroup(graph_of(MODEL), Context())).splitlines() == [
        "%3[t, k] = map(%0, %1) {fn=mul}",
        "%4[t, k, v] = map(%3, %2) {fn=mul}  # out",
        "return %4",
    ]


def test_a_product_that_is_read_or_kept_stays() -> None:
    graph = graph_of(MODEL.replace("a * z", "a * z + z"))
    assert shown(regroup(graph, Context())) == shown(graph)
    graph = graph_of(MODEL)
    assert shown(regroup(graph, Context(keep=frozenset({"z"})))) == shown(graph)


def test_what_gains_nothing_stays_as_it_is_written() -> None:
    graph = graph_of("""
    model m(x[b, t, d], s[b, t], w[d]) -> [b, t, d]:
        return x * s * w
    """)
    assert shown(regroup(graph, Context())) == shown(graph)
