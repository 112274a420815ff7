"""The linear recurrences of the library: step by step by hand, their kinds, and in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences import Kind, classify
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.ops import ScanAttrs

if TYPE_CHECKING:
    from collections.abc import Callable

E, L, S, N = Kind.ELEMENTWISE, Kind.LOW_RANK, Kind.SEPARATE, Kind.NONLINEAR
BLOCKS: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "retention": ("retention[h = 2, k = 4, v = 3](x)", (E,)),
    "gla": ("gla[h = 2, k = 4, v = 3](x)", (E,)),
    "linear_attention": ("linear_attention[h = 2, k = 4, v = 3](x)", (E, E)),
    "mingru": ("mingru[n = 6](x)[n -> d]", (E,)),
    "hgrn": ("hgrn[n = 5](x, low = 0.2)", (E,)),
    "hgrn2": ("hgrn2[h = 2, k = 4, v = 3](x, low = 0.2)", (E,)),
    "selective": ("selective[m = 5, n = 4](x)", (E,)),
    "ssd": ("ssd[h = 2, p = 3, n = 4](x)", (E,)),
    "delta": ("delta[h = 2, k = 4, v = 3](x)", (L,)),
    "descent": ("descent[h = 2, k = 4, v = 3](x)", (L,)),
    "gated_delta": ("gated_delta[h = 2, k = 4, v = 3](x)", (L,)),
    "generalised_delta": ("generalised_delta[h = 2, k = 4, v = 3](x)", (L,)),
    "mlstm": ("mlstm[h = 2, k = 4, v = 3](x)", (S, E, E)),
    "piecewise_rnn": ("piecewise_rnn[n = 6](x)[n -> d]", (N,)),
    "rnn": ("rnn[n = 6](x)[n -> d]", (N,)),
    "gru": ("gru[n = 6](x)[n -> d]", (N,)),
    "lstm": ("lstm[n = 6](x)[n -> d]", (N,)),
}
BLOCKS_AGREE = ("descent", "delta")
X = np.random.default_rng(7).normal(size=(2, 9, 6))


def layer(probe: Callable[..., Any], call: str) -> Any:
    run = probe(
        f"model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    cell = {call}\n    return cell\n"
    )
    for address in ("cell.rate", "cell.A"):
        if address in run.params:
            run.params[address] = np.abs(run.params[address])
    return run


@pytest.mark.parametrize("name", BLOCKS)
def test_a_recurrence_is_of_its_kind(probe: Any, name: str) -> None:
    call, kinds = BLOCKS[name]
    run = layer(probe, call)
    assert run(X).shape == X.shape  # the oracle and the emitted module agree
    graph = compile_graph(build(run.model), Context())
    attrs = [graph.node(n).attrs for n in graph.in_order()]
    (scan,) = [own for own in attrs if isinstance(own, ScanAttrs)]
    assert tuple(group.kind for group in classify(scan).groups) == kinds


def test_a_memory_stated_by_its_objective_is_the_rule_written_out(probe: Any) -> None:
    stated, written = (layer(probe, f"{name}[h = 2, k = 4, v = 3](x)") for name in BLOCKS_AGREE)
    assert stated.params.keys() == written.params.keys()
    stated.params = written.params
    np.testing.assert_allclose(stated(X), written(X), rtol=1e-12)


def test_a_memory_may_have_another_objective(probe: Any) -> None:
    """The length instead of its square: each step has the size of its rate."""
    norm = "block far(gap[v]) -> []:\n    return norm[v](gap)\n\n"
    run = probe(
        f"{norm}model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n"
        "    cell = descent[h = 2, k = 4, v = 3](x, objective = far)\n    return cell\n"
    )
    assert run(X).shape == X.shape


@pytest.mark.parametrize("name", BLOCKS)
def test_in_parallel_it_gives_the_same(probe: Any, name: str) -> None:
    run = layer(probe, BLOCKS[name][0])
    graph = compile_graph(build(run.model), Context(recurrences="parallel", chunk=4))
    (found,) = evaluate(graph, {"x": NamedArray(("b", "t", "d"), X)}, run.params)
    np.testing.assert_allclose(found.arranged(("b", "t", "d")), run(X), rtol=1e-8, atol=1e-10)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


class Values:
    """Values of a cell by name, one step at a time, with the batch in front."""

    def __init__(self, run: Any, orders: dict[str, str]) -> None:
        self._arrays = {}
        for name, order in orders.items():
            value = run.site(f"cell.{name}", X)
            axes = ("b", "t", *order) if "t" in value.axes else tuple(order)
            self._arrays[name] = value.arranged(axes)
            if "t" not in value.axes:
                held = self._arrays[name]
                self._arrays[name] = np.broadcast_to(held, (*X.shape[:2], *held.shape))

    def __call__(self, t: int) -> list[Any]:
        return [array[:, t] for array in self._arrays.values()]


def stepped(
    run: Any, orders: dict[str, str], start: Any, step: Any, result: str, order: str
) -> None:
    """The value of a site, and what a loop over steps gives."""
    values = Values(run, orders)
    state, found = start, []
    for t in range(X.shape[1]):
        state, out = step(state, *values(t))
        found.append(out)
    wanted = run.site(f"cell.{result}", X).arranged(("b", "t", *order))
    np.testing.assert_allclose(np.stack(found, 1), wanted, rtol=1e-9, atol=1e-12)


def test_mingru(probe: Any) -> None:
    def step(h: Any, new: Any, gate: Any) -> Any:
        h = h + gate * (new - h)
        return h, h

    run = layer(probe, "mingru[n = d](x)")
    stepped(run, {"new": "d", "gate": "d"}, np.zeros((2, 6)), step, "y", "d")


def test_hgrn(probe: Any) -> None:
    def step(h: Any, new: Any, stay: Any) -> Any:
        f = 0.2 + 0.8 * sigmoid(stay)
        h = f * h + (1 - f) * new
        return h, h

    run = layer(probe, BLOCKS["hgrn"][0])
    stepped(run, {"new": "n", "stay": "n"}, np.zeros((2, 5)), step, "y", "n")


def test_hgrn2(probe: Any) -> None:
    def step(S: Any, q: Any, stay: Any, val: Any) -> Any:
        f = 0.2 + 0.8 * sigmoid(stay)
        S = f[..., None] * S + (1 - f)[..., None] * val[..., None, :]
        return S, (q[..., None, :] @ S)[..., 0, :]

    run = layer(probe, BLOCKS["hgrn2"][0])
    orders = {"q": "hk", "stay": "hk", "val": "hv"}
    stepped(run, orders, np.zeros((2, 2, 4, 3)), step, "z", "hv")


def test_selective(probe: Any) -> None:
    def step(S: Any, u: Any, step_: Any, B: Any, C: Any, rate: Any) -> Any:
        S = np.exp(-np.exp(rate) * step_[..., None]) * S + (step_ * u)[..., None] * B[:, None]
        return S, (S * C[:, None]).sum(-1)

    run = layer(probe, BLOCKS["selective"][0])
    orders = {"u": "m", "step": "m", "B": "n", "C": "n", "rate": "mn"}
    stepped(run, orders, np.zeros((2, 5, 4)), step, "z", "m")


def test_ssd(probe: Any) -> None:
    def step(S: Any, u: Any, B: Any, C: Any, step_: Any, rate: Any) -> Any:
        a = np.exp(-rate * step_)[..., None, None]
        S = a * S + step_[..., None, None] * B[:, None, :, None] * u[..., None, :]
        return S, np.einsum("bn,bhnp->bhp", C, S)

    run = layer(probe, BLOCKS["ssd"][0])
    orders = {"u": "hp", "B": "n", "C": "n", "step": "h", "rate": "h"}
    stepped(run, orders, np.zeros((2, 2, 4, 3)), step, "z", "hp")


def test_delta(probe: Any) -> None:
    def step(S: Any, q: Any, key: Any, val: Any, beta: Any) -> Any:
        eye = np.eye(4) - beta[..., None, None] * key[..., None] * key[..., None, :]
        S = eye @ S + (beta[..., None] * key)[..., None] * val[..., None, :]
        return S, (q[..., None, :] @ S)[..., 0, :] / 2

    run = layer(probe, BLOCKS["delta"][0])
    orders = {"q": "hk", "key": "hk", "val": "hv", "beta": "h"}
    stepped(run, orders, np.zeros((2, 2, 4, 3)), step, "z", "hv")


def test_generalised_delta(probe: Any) -> None:
    def step(S: Any, q: Any, key: Any, val: Any, old: Any, rate: Any, a: Any) -> Any:
        move = a[..., None] * np.eye(4) - (rate * old)[..., None] * old[..., None, :]
        S = move @ S + (rate * key)[..., None] * val[..., None, :]
        return S, (q[..., None, :] @ S)[..., 0, :]

    run = layer(probe, BLOCKS["generalised_delta"][0])
    orders = dict.fromkeys(("q", "key", "val", "old", "rate", "a"), "hk") | {"val": "hv"}
    stepped(run, orders, np.zeros((2, 2, 4, 3)), step, "z", "hv")


def test_mlstm_without_its_stabiliser(probe: Any) -> None:
    def step(state: Any, q: Any, key: Any, val: Any, write: Any, stay: Any) -> Any:
        C, n = state
        f, i = np.exp(stay)[..., None], np.exp(write)[..., None]
        n = f * n + i * key
        C = f[..., None] * C + (i * key)[..., None] * val[..., None, :]
        low = np.maximum(np.abs((q * n).sum(-1)), 1)[..., None]
        return (C, n), (q[..., None, :] @ C)[..., 0, :] / low

    run = layer(probe, BLOCKS["mlstm"][0])
    orders = {"q": "hk", "key": "hk", "val": "hv", "write": "h", "stay": "h"}
    start = np.zeros((2, 2, 4, 3)), np.zeros((2, 2, 4))
    stepped(run, orders, start, step, "z", "hv")


def test_piecewise_rnn(probe: Any) -> None:
    run = layer(probe, "piecewise_rnn[n = d](x)")
    w = run.params
    (weight,) = [array for at, array in w.items() if "seen" not in at and array.ndim == 2]
    y, found = np.zeros((2, 6)), []
    for t in range(X.shape[1]):
        shown = np.concatenate([y[:, :4], np.maximum(y[:, 4:], 0)], 1)
        seen = X[:, t] @ w["cell.seen.w"] + w["cell.seen.b"]
        y = w["cell.a"] * y + shown @ weight + seen
        found.append(y)
    np.testing.assert_allclose(np.stack(found, 1), run(X), rtol=1e-9)
