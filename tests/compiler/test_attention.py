"""Contractions shaped like attention: where they are found, and what their masks say."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.programs import graph_of

from neuraxis.compiler.attention import Contraction, Found, contraction, describe
from neuraxis.compiler.attention.masks import conditions
from neuraxis.compiler.attention.tile import tile
from neuraxis.compiler.context import Context
from neuraxis.compiler.costs import contraction_for, is_worth
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit.flow import flow
from neuraxis.compiler.emit.recognise.patterns import View

HEAD = "(q[b, h, t, k], key[b, h, s, k], v[b, h, s, e]"
SCORES = "softmax[s](where({mask}, dot[k](q, key), -inf))"


def found(text: str) -> list[Found]:
    """The contractions of a model."""
    graph = compile_graph(graph_of(text), Context())
    known = flow(graph)
    view = View(known, frozenset(known.nodes))
    made = (contraction(view, node) for node in known.nodes.values())
    return [own for own in made if own is not None]


def of(weights: str, more: str = "", result: str = "dot[s](w, v)") -> Found | None:
    """The contraction of a model with these weights."""
    text = f"model m[h = 2, k = 3, e = 4]{HEAD}{more}) -> [b, h, t, e]:\n    w = {weights}\n"
    own = found(f"{text}    return {result}\n")
    return own[0] if own else None


def masked(mask: str) -> Contraction:
    own = of(SCORES.format(mask=mask))
    assert own is not None
    return own.contraction


def test_any_function_of_the_scores() -> None:
    for weights, softmax in (
        ("softmax[s](dot[k](q, key))", True),
        ("softmax[s](3 * tanh(dot[k](q, key) + t - s))", True),
        ("sigmoid(dot[k](q, key) / 2)", False),
        ("where(s <= t, max(dot[k](q, key), 0) ^ 2, 0)", False),
        ("exp(dot[k](q, key) - abs(t - s))", False),
    ):
        own = of(weights)
        assert own is not None, weights
        assert own.contraction.softmax is softmax
        assert not isinstance(contraction_for(own.contraction), str)


def test_what_is_no_contraction() -> None:
    assert of("dot[k](q, key)") is None  # a product of three
    assert of("softmax[t](dot[k](q, key))") is None
    assert of("cumsum[s](softmax[s](dot[k](q, key)))") is None
    assert of("softmax[s](dot[k](q, key))", result="dot[s](w, v) + sum[s](w)") is None


def test_what_multiplies_the_result_is_a_gate() -> None:
    own = of("softmax[s](where(s <= t, dot[k](q, key), -inf)) * sigmoid(off)", ", off[h, t]")
    assert own is not None
    assert len(own.gates) == 1
    assert len(own.reads) == 3


def test_equal_contractions_are_equal() -> None:
    one, other = (of(f"softmax[s](dot[k](q, key) + {x})", f", {x}[h, t]") for x in ("a", "c"))
    assert one is not None
    assert other is not None
    assert one.contraction == other.contraction
    assert hash(one.contraction) == hash(other.contraction)
    third = of("softmax[s](dot[k](q, key) - a)", ", a[h, t]")
    assert third is not None
    assert third.contraction != one.contraction


PAIRS = [(t, s) for t in range(-2, 14) for s in range(-2, 14)]
MASKS = {
    "s <= t": lambda t, s: s <= t,
    "t - s < 4 and s <= t": lambda t, s: 0 <= t - s < 4,
    "abs(t - s) <= 3": lambda t, s: abs(t - s) <= 3,
    "not (s > t + 2 or t > s + 5)": lambda t, s: not (s > t + 2 or t > s + 5),
    "s // 4 <= t // 4": lambda t, s: s // 4 <= t // 4,
    "s // 4 == t // 4": lambda t, s: s // 4 == t // 4,
    "2 * s < 3 * t + 5": lambda t, s: 2 * s < 3 * t + 5,
    "max(s - t, 3) <= 5": lambda t, s: max(s - t, 3) <= 5,
    "t % 4 >= s": lambda t, s: t % 4 >= s,
    "-s >= 2 - t": lambda t, s: -s >= 2 - t,
}


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_bounds_hold_where_a_mask_does(mask: str, data: st.DataObject) -> None:
    """A bound that is above 0 says that nothing is seen; all below it, that all is seen."""
    own = _conditions(mask)
    assert all(condition.bounds for condition in own)
    t, s = data.draw(st.sampled_from([p for p in PAIRS if min(p) >= 0]))
    least, most = True, True
    for condition in own:
        for bound in condition.bounds:
            value = bound.query * t + bound.key * s + bound.constant
            least &= value + bound.low <= 0
            most &= value + bound.high <= 0
    assert least or not MASKS[mask](t, s)
    assert not most or MASKS[mask](t, s)


KNOWN: dict[str, tuple] = {}


def _conditions(mask: str) -> tuple:
    if mask not in KNOWN:
        made = masked(mask)
        KNOWN[mask] = conditions(tile(made), softmax=True)
    return KNOWN[mask]


def test_what_is_no_arithmetic_is_looked_at() -> None:
    own = of(SCORES.format(mask="s <= t and doc == seg"), ", doc[b, t]: int, seg[b, s]: int")
    assert own is not None
    causal, same = conditions(tile(own.contraction), softmax=True)
    assert causal.exact
    assert not same.exact
    assert not same.bounds
    own = of("where(dot[k](q, key) > 0, dot[k](q, key), 0)")
    assert own is not None
    assert conditions(tile(own.contraction), softmax=False) == ()  # it depends on the score


def test_a_count_in_a_bound() -> None:
    own = of(SCORES.format(mask="s - t < n"), ", n[]: int")
    assert own is not None
    ((bound,),) = (c.bounds for c in conditions(tile(own.contraction), softmax=True))
    assert [factor for _, factor in bound.terms] == [Fraction(-1)]
    assert replace(bound, terms=()).whole() == (-1, 1, 1, 1, {})


def test_what_has_no_kernel_says_why() -> None:
    own = of("softmax[s](dot[k](q, key) + float(t * s))")
    assert own is not None
    assert contraction_for(own.contraction) == "whole numbers that may be too large"
    own = of("softmax[s](dot[k](q, key) + float(t // max(s, 1)))")
    assert own is not None
    assert "no constant" in str(contraction_for(own.contraction))


def test_what_is_said_of_it() -> None:
    lines = dict(describe(masked("s <= t")))
    assert lines["class"] == "softmax over the keys; scores go through where"
    assert lines["mask"].startswith("1 condition; blocks that no query sees are skipped")
    assert "flops" in lines["cost"]


def test_little_work_is_left_to_pytorch() -> None:
    assert is_worth(64, 1 << 17)
    assert not is_worth(1, 1 << 20)
    assert not is_worth(64, 4096)
