"""A state that a scan assigns: carried from step to step, and kept from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.compiler.emitted import compiled, doubles, model_of, module

from neuraxis.compiler.build import build
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Collector
from neuraxis.dsl.elaborate.under import elaborate_under

MODEL = """
block cell(x[d]) -> [d]:
    state count[] = 0
    count = count + 1
    return x * count

model m[d = 2](x[b, t, d]) -> [b, t, d], [d], [b, t, d]:
    state m[d] = 1
    w = x[t -> s]
    scan t{way}:
        carry S[d] = 0
        old = m
        scan s:
            carry Z[d] = 0
            Z = 0.5 * Z + w * m
            m = 0.9 * m + mean[b](w) / 10
        S = 0.5 * S + cell(x) + m - old
    return S, m, Z[s = -1]

intervention more on m:
    Z[t = 1] += 1
"""
X = np.random.default_rng(0).normal(size=(3, 4, 2))


def by_hand(x: Any, m: Any, count: float, *, backwards: bool, more: float = 0) -> list[Any]:
    steps, length = np.zeros_like(x), x.shape[1]
    lasts, state = np.zeros_like(x), np.zeros_like(x[:, 0])
    for t in range(length)[::-1] if backwards else range(length):
        old, inner = m, np.zeros_like(x[:, 0])
        for s in range(length):
            inner = 0.5 * inner + x[:, s] * m + (more if t == 1 else 0)
            m = 0.9 * m + x[:, s].mean(0) / 10
        count += 1
        state = 0.5 * state + x[:, t] * count + m - old
        steps[:, t], lasts[:, t] = state, inner
    return [steps, m, lasts, m, count]


def arranged(values: list[NamedArray]) -> list[Any]:
    orders = (("b", "t", "d"), ("d",), ("b", "t", "d"))
    by_address = {len(v.axes): v.array for v in values[3:]}
    found = [v.arranged(order) for v, order in zip(values, orders, strict=False)]
    return [*found, by_address[1], by_address[0]]


def test_a_state_is_carried_through_scans_and_kept() -> None:
    for way in ("", " reversed"):
        model = model_of(MODEL.format(way=way).split("intervention")[0])
        assert set(model.updates) == {"m", "S.cell.count"} or len(model.updates) == 2
        count = next(site for site in model.updates if site != "m")
        states = {"m": np.array([1.0, 2.0]), count: np.array(3.0)}
        given = {"x": NamedArray(("b", "t", "d"), X)}
        wanted = by_hand(X, states["m"], 3.0, backwards=bool(way))
        for graph in (build(model), compiled(model)):
            for value, want in zip(
                arranged(evaluate(graph, given, states=states)), wanted, strict=True
            ):
                np.testing.assert_allclose(value, want, atol=1e-12)
        with doubles():
            made = module(compiled(model), states, model=model)
            m, steps = states["m"], 3.0
            for _ in range(3):
                found = made(torch.tensor(X))
                *want, m, steps = by_hand(X, m, steps, backwards=bool(way))
                for value, right in zip(found, want, strict=True):
                    np.testing.assert_allclose(value.detach().numpy(), right, atol=1e-12)


def test_a_state_in_a_scan_is_carried_under_interventions() -> None:
    checked = check_text("states.nax", MODEL.format(way="").lstrip())
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    collector = Collector()
    found = elaborate_under(checked.models["m"], checked.module, [("more", {})], collector)
    assert found is not None, "\n".join(map(str, collector.diagnostics))
    model = found[0]
    count = next(site for site in model.updates if site != "m")
    states = {"m": np.array([1.0, 2.0]), count: np.array(3.0)}
    given = {"x": NamedArray(("b", "t", "d"), X)}
    wanted = by_hand(X, states["m"], 3.0, backwards=False, more=1)
    found_values = arranged(evaluate(build(model), given, states=states))
    for value, want in zip(found_values, wanted, strict=True):
        np.testing.assert_allclose(value, want, atol=1e-12)


def test_a_state_that_a_scan_declares_is_kept_too() -> None:
    model = model_of("""
        model m(x[b, t]) -> [b, t], []:
            scan t:
                carry S = 0
                state seen[] = 0
                seen = seen + 1
                S = S + seen * x
            return S, seen
    """)
    given = {"x": NamedArray(("b", "t"), X[..., 0])}
    first, seen, kept = evaluate(build(model), given, states={"seen": np.array(2.0)})
    np.testing.assert_allclose(first.arranged(("b", "t")), np.cumsum(X[..., 0] * [3, 4, 5, 6], 1))
    assert seen.array == kept.array == 6
