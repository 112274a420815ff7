from __future__ import annotations

from tests.compiler.programs import graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import prune

SCAN = """
    model m(x[t, d], y[t]) -> [t, d]:
        scan t:
            carry a[d] = 0
            carry b[d] = 1
            a = a + x
            b = b * a + y
            unread = a * b
        return a
"""


def test_a_scan_has_only_what_is_read() -> None:
    assert shown(prune(graph_of(SCAN), Context())) == "\n".join(
        [
            "%1[]: int = const() {value=0}",
            "%2[] = scan(%1, %0) {axis=t, carries=1, steps=1}",
            "    %5[d] = map(%3, %4) {fn=add}  # a",
            "    return %5, %5",
            "%6[t, d] = item(%2) {index=1, axes=(t, d), dtype=float}  # a",
            "return %6",
        ]
    )


def test_a_kept_address_is_a_result() -> None:
    graph = prune(graph_of(SCAN), Context(keep=frozenset({"b"})))
    assert graph.at_site("b") is not None
    assert graph.at_site("unread") is None
    assert graph.at_site("y") is not None


def test_identities_are_bypassed_unless_kept() -> None:
    graph = graph_of("""
        model m(x[t]) -> [t]:
            y = x
            z = exp(y)
            return z
    """)
    assert shown(prune(graph, Context())) == "%1[t] = map(%0) {fn=exp}  # z\nreturn %1"
    assert "rename" in shown(prune(graph, Context(keep=frozenset({"y"}))))
