from __future__ import annotations

from tests.compiler.programs import graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import hoist, prune
from neuraxis.compiler.verify import verify

MODEL = """
    model m[d = 2](x[t, d], w[d, e]) -> [t, e]:
        scan t:
            carry S[d, e] = 0
            u = dot[d](x, w)
            S = S + x * tanh(u)
            o = dot[d](x, S)
            p = exp(u)
        return o + p
"""


def test_what_no_carry_feeds_is_computed_for_all_steps() -> None:
    graph = hoist(prune(graph_of(MODEL), Context()), Context())
    verify(graph, "hoist")
    assert shown(graph).splitlines() == [
        "%2[]: int = const() {value=0}",
        "%3[t, e] = contract(%0, %1) {axes=(d)}  # u",
        "%4[t, e] = map(%3) {fn=tanh}",
        "%5[] = scan(%2, %0, %4) {axis=t, carries=1, steps=2}",
        "    %9[d=2, e] = map(%7, %8) {fn=mul}",  # larger outside than its factors
        "    %10[d=2, e] = map(%6, %9) {fn=add}  # S",
        "    %11[e] = contract(%7, %10) {axes=(d)}  # o",
        "    return %10, %11",
        "%12[t, e] = item(%5) {index=1, axes=(t, e), dtype=float}  # o",
        "%13[t, e] = map(%3) {fn=exp}  # p",
        "%14[t, e] = map(%12, %13) {fn=add}  # out",
        "return %14",
    ]


def test_what_needs_no_step_is_computed_once() -> None:
    graph = graph_of("""
        model m(x[t, d], a[d]) -> [t, d]:
            scan t:
                carry h[d] = 0
                h = exp(-a) * h + x
            return h
    """)
    text = shown(hoist(prune(graph, Context()), Context())).splitlines()
    assert text[1:4] == [
        "%3[d] = map(%1) {fn=neg}",
        "%4[d] = map(%3) {fn=exp}",
        "%5[] = scan(%2, %0, %4) {axis=t, carries=1, steps=1}",
    ]


def test_a_scan_without_carries_is_no_scan() -> None:
    graph = graph_of("""
        model m(x[t, d]) -> [t, d]:
            scan t:
                y = exp(x)
                z = y + 1
            return z
    """)
    after = shown(hoist(prune(graph, Context()), Context()))
    assert "scan" not in after
    assert "# y" in after
    assert "# z" in after


def test_a_kept_address_stays() -> None:
    graph = hoist(prune(graph_of(MODEL), Context()), Context(keep=frozenset({"p"})))
    verify(graph, "hoist")
    assert graph.at_site("p") is not None
