from __future__ import annotations

from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import share
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, DType

T = Axis("t", 3)


def test_equal_values_are_computed_once() -> None:
    graph = graph_of("""
        model m(x[t, d]) -> [t, d]:
            return exp(x) / sum[d](exp(x))
    """)
    assert shown(share(graph, Context())).splitlines() == [
        "%1[t, d] = map(%0) {fn=exp}",
        "%2[t] = reduce(%1) {fn=sum, axes=(d)}",
        "%3[t, d] = map(%1, %2) {fn=div}  # out",
        "return %3",
    ]


def test_equal_numbers_of_different_kinds_are_kept_apart() -> None:
    draft = Draft()
    results = [draft.map("exp", number) for number in (0.0, 0, False, -0.0, 0.0)]
    graph = share(draft.give(*results), Context())
    assert graph.results == (*results[:4], results[0])


def test_what_is_drawn_is_drawn_each_time() -> None:
    draft = Draft()
    attrs = ops.RandomAttrs((T,), ops.Distribution("normal", ()), "key", DType.FLOAT)
    results = [draft.add(ops.RANDOM, attrs) for _ in range(2)]
    assert share(draft.give(*results), Context()).results == tuple(results)


def test_a_kept_address_stays() -> None:
    draft = Draft()
    x = draft.input("x", T)
    results = [draft.map("exp", x, site=site) for site in ("y", "z")]
    graph = share(draft.give(*results), Context(keep=frozenset({"z"})))
    assert shown(graph) == "%1[t=3] = map(%0) {fn=exp}  # y\n%2[t=3] = rename(%1)  # z\n" + (
        "return %1, %2"
    )
