from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.passes import fold, prune
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, DType
from neuraxis.dsl.sizes import symbol

if TYPE_CHECKING:
    from collections.abc import Callable

A, D, S, T = Axis("a", 2), Axis("d", 4), Axis("s", symbol("t")), Axis("t", symbol("t"))
U, V = Axis("u", 2), Axis("v", 2)


def folded(make: Callable[[Draft], str]) -> str:
    draft = Draft()
    graph = draft.give(make(draft))
    return shown(prune(fold(graph, Context()), Context()))


def x(draft: Draft) -> str:
    return draft.input("x", T, D)


def stacked(draft: Draft, *parts: str) -> str:
    return draft.add(ops.CONCAT, ops.ConcatAttrs("g", True), *parts)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.map("add", x(d), 0),
        lambda d: d.map("sub", x(d), 0.0),
        lambda d: d.map("mul", 1, x(d)),
        lambda d: d.map("mul", True, x(d)),
        lambda d: d.map("div", x(d), 1.0),
        lambda d: d.map("pow", x(d), 1),
        lambda d: d.map("float", x(d)),
        lambda d: d.map("neg", d.map("neg", x(d))),
        lambda d: d.map("where", True, x(d), 2),
        lambda d: d.map("where", d.map("lt", 2, 1), 2, x(d)),
        lambda d: d.map("add", x(d), d.map("sub", 3, 3)),
        lambda d: d.rename(d.rename(x(d), ("t", (S,))), ("s", (T,))),
        lambda d: d.rename(d.rename(x(d), ("d", (U, V))), ("u v", (D,))),
        lambda d: d.rename(d.rename(d.rename(x(d)), ("t", (T,)))),
        lambda d: d.add(ops.REDUCE, ops.ReduceAttrs("sum", ()), x(d)),
        lambda d: d.add(ops.CONTRACT, ops.ContractAttrs(()), x(d)),
        lambda d: d.add(ops.CONCAT, ops.ConcatAttrs("d"), x(d)),
        lambda d: d.index(ops.Slice("d", 0, 4), x(d)),
        lambda d: d.index(ops.Select("g", -1), stacked(d, d.input("y", T), x(d))),
    ],
)
def test_what_changes_nothing_is_gone(make: Callable[[Draft], str]) -> None:
    text = folded(lambda d: d.map("exp", make(d)))
    assert text == "%1[t, d=4] = map(%0) {fn=exp}\nreturn %1"


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d.map("add", d.input("n", T, dtype=DType.INT), 0.0),
        lambda d: d.map("mul", d.input("n", T, dtype=DType.BOOL), 1),
        lambda d: d.map("where", True, d.input("y", D), d.input("z", T)),
        lambda d: d.map("sub", 0, d.input("y", T)),
        lambda d: d.map("div", 1, d.input("y", T)),
        lambda d: d.map("max", d.input("y", T), d.input("z", T)),
        lambda d: d.map("floordiv", 1, 0),
        lambda d: d.map("floor", d.input("y", T)),
        lambda d: d.rename(d.rename(d.input("y", A, D), ("d a", (Axis("m", 8),))), ("m", (D, A))),
        lambda d: d.rename(d.rename(d.input("y", D), ("d", (U, V))), ("v u", (D,))),
    ],
)
def test_what_changes_the_type_or_the_value_stays(make: Callable[[Draft], str]) -> None:
    draft = Draft()
    graph = draft.give(make(draft))
    assert shown(fold(graph, Context())) == shown(graph)


def test_constants_are_computed() -> None:
    assert folded(lambda d: d.map("div", d.map("exp", 0), d.map("add", True, True))) == (
        "%0[] = const() {value=0.5}\nreturn %0"
    )
    assert folded(lambda d: d.map("lt", 1, 2)) == "%0[]: bool = const() {value=True}\nreturn %0"
    assert folded(lambda d: d.index(ops.Select("d", -1), d.iota(D))) == (
        "%0[]: int = const() {value=3}\nreturn %0"
    )
    assert folded(lambda d: d.rename(d.iota(T), ("t", (S,)))) == (
        "%0[s=t]: int = iota() {axis=s=t}\nreturn %0"
    )
    assert folded(lambda d: d.add(ops.STOP, ops.StopAttrs(), d.rename(d.const(2.0)))) == (
        "%0[] = const() {value=2.0}\nreturn %0"
    )


def test_positions_are_read_at_once() -> None:
    part = ops.Slice("d", 1, 4)
    assert folded(lambda d: d.index(ops.Slice("d", 1, 3), d.index(part, x(d)))) == (
        "%1[t, d=2] = index(%0) {how=slice(axis=d, start=2, stop=4)}\nreturn %1"
    )
    assert folded(lambda d: d.index(ops.Select("d", -1), d.index(part, x(d)))) == (
        "%1[t] = index(%0) {how=select(axis=d, at=3)}\nreturn %1"
    )


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([("t", (S,))], [("d", (U, V))], "((d), (u=2, v=2)), ((t), (s=t))"),
        ([("t", (S,))], [("s d", (Axis("m", 1),))], "((t, d), (m=1))"),
        ([("d", (U, V))], [("u", (A,))], "((d), (a=2, v=2))"),
        ([("d", (U, V))], [("u", (V,)), ("v", (U,))], "((d), (v=2, u=2))"),
        ([("t d", (Axis("m", 1),))], [("m", (Axis("n", 1),))], "((t, d), (n=1))"),
    ],
)
def test_renamings_are_composed(
    first: list[tuple[str, tuple[Axis, ...]]],
    second: list[tuple[str, tuple[Axis, ...]]],
    wanted: str,
) -> None:
    text = folded(lambda d: d.rename(d.rename(x(d), *first), *second))
    (line, _) = text.splitlines()
    pairs = line.partition("pairs=(")[2].removesuffix(")}")
    assert sorted(pairs.split("), (")) == sorted(wanted.split("), (")) or pairs == wanted


def test_the_last_step_of_a_carry_is_the_last_carry() -> None:
    for way, at in (("", -1), (" reversed", 0)):
        graph = graph_of(f"""
            model m(x[t, d]) -> [d]:
                scan t{way}:
                    carry h[d] = 0
                    h = tanh(h + x)
                return h[t = {at}]
        """)
        last = prune(fold(graph, Context()), Context())
        assert [n for n in last.in_order() if last.node(n).op is ops.INDEX] == []
        assert "item(%" in shown(last)
        assert "index=0" in shown(last)


def test_a_kept_address_stays() -> None:
    draft = Draft()
    y = draft.map("add", draft.input("x", T), 0, site="y")
    graph = fold(draft.give(draft.map("exp", y)), Context(keep=frozenset({"y"})))
    assert shown(graph) == (
        "%1[]: int = const() {value=0}\n%2[t] = rename(%0)  # y\n"
        "%3[t] = map(%2) {fn=exp}\nreturn %3"
    )
