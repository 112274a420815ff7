from __future__ import annotations

from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import contract
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis

MODEL = """
    model m(x[t, d], w[d, e]) -> [t, e]:
        y = x * w
        return sum[d](3 * y * 2)
"""


def test_a_sum_of_a_product_is_a_contraction_times_its_constants() -> None:
    assert shown(contract(graph_of(MODEL), Context())).splitlines() == [
        "%2[]: int = const() {value=3}",
        "%3[]: int = const() {value=2}",
        "%4[t, e] = contract(%0, %1) {axes=(d)}",
        "%5[t, e] = map(%4, %3) {fn=mul}",
        "%6[t, e] = map(%5, %2) {fn=mul}  # out",
        "return %6",
    ]


def test_a_product_with_another_reader_or_a_kept_address_stays() -> None:
    kept = contract(graph_of(MODEL), Context(keep=frozenset({"y"})))
    assert "contract" not in shown(kept)
    both = graph_of(MODEL.replace("3 * y * 2)", "y) + max[d](y)"))
    assert "contract" not in shown(contract(both, Context()))


def test_a_product_is_merged_where_it_would_grow() -> None:
    t, d, e = Axis("t", 2), Axis("d", 3), Axis("e", 4)
    draft = Draft()
    x, g = draft.input("x", t, d), draft.input("g", d)
    w, v = draft.input("w", d, e), draft.input("v", e)
    scaled = draft.add(ops.CONTRACT, ops.ContractAttrs(("d",)), draft.map("mul", x, g), w)
    spread = draft.add(ops.CONTRACT, ops.ContractAttrs(("d", "e")), draft.map("mul", g, v), w)
    assert shown(contract(draft.give(scaled, spread), Context())).splitlines() == [
        "%4[t=2, d=3] = map(%0, %1) {fn=mul}",
        "%5[t=2, e=4] = contract(%4, %2) {axes=(d)}",
        "%6[] = contract(%1, %3, %2) {axes=(d, e)}",
        "return %5, %6",
    ]
