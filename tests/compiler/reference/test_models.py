"""Whole models against NumPy written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.draws import initial
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.reference import NamedArray, evaluate, finite_gradient
from neuraxis.dsl import ops
from neuraxis.dsl.check import check_text
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

Arrays = dict[str, np.ndarray[Any, Any]]
RNG = np.random.default_rng(0)


def load(text: str) -> tuple[Graph, Arrays]:
    """The one model of a spec, and its initial parameters."""
    checked = check_text("test.nax", text)
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    (model,) = checked.models.values()
    graph = build(model)
    params = {
        node.site: RNG.normal(size=initial(node, 0).shape)
        for node in map(graph.node, graph.in_order())
        if node.op is ops.PARAM and node.site is not None
    }
    return graph, params


def run(graph: Graph, params: Arrays, order: str, **inputs: tuple[str, Any]) -> Any:
    arguments = {name: NamedArray(tuple(axes), np.asarray(a)) for name, (axes, a) in inputs.items()}
    (found,) = evaluate(graph, arguments, params)
    assert_close(evaluate(compile_graph(graph, Context()), arguments, params), [found])
    return found.arranged(order)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_attention() -> None:
    graph, params = load(
        "model m[d = 6, h = 2, k = 3](x[t, d]) -> [t, d]:\n"
        "    param wq[d, h, k] ~ normal(0, 1)\n"
        "    param wk[d, h, k] ~ normal(0, 1)\n"
        "    param wv[d, h, k] ~ normal(0, 1)\n"
        "    param wo[h, k, d] ~ normal(0, 1)\n"
        "    q = dot[d](x, wq)\n"
        "    key = dot[d](x, wk)\n"
        "    v = dot[d](x, wv)\n"
        "    scores = dot[k](q, key[t -> s]) / sqrt(|k|)\n"
        "    pattern = softmax[s](where(s <= t, scores, -inf))\n"
        "    z = dot[s](pattern, v[t -> s])\n"
        "    return dot[h, k](z, wo)\n"
    )
    x = RNG.normal(size=(2, 5, 6))
    found = run(graph, params, "btd", x=("btd", x))
    wanted = np.zeros((2, 5, 6))
    for b in range(2):
        for h in range(2):
            q, key, v = (x[b] @ params[name][:, h] for name in ("wq", "wk", "wv"))
            scores = q @ key.T / np.sqrt(3)
            scores[np.triu_indices(5, 1)] = -np.inf
            wanted[b] += softmax(scores) @ v @ params["wo"][h]
    np.testing.assert_allclose(found, wanted, 1e-10)


def test_a_gated_recurrence_both_ways() -> None:
    for way in ("", " reversed"):
        graph, params = load(
            "model m[d = 3, e = 3](x[t, d]) -> [t, d]:\n"
            "    param w[d, e] ~ normal(0, 1)\n"
            f"    scan t{way}:\n"
            "        carry h[d] = 0\n"
            "        g = sigmoid(dot[d](h, w)[e -> d])\n"
            "        h = g * h + (1 - g) * tanh(x)\n"
            "    return h\n"
        )
        x = RNG.normal(size=(2, 5, 3))
        found = run(graph, params, "btd", x=("btd", x))
        for b in range(2):
            h = np.zeros(3)
            for t in reversed(range(5)) if way else range(5):
                g = 1 / (1 + np.exp(-h @ params["w"]))
                h = g * h + (1 - g) * np.tanh(x[b, t])
                np.testing.assert_allclose(found[b, t], h, 1e-10)


def test_a_delta_rule_memory_and_its_last_state() -> None:
    graph, params = load(
        "model m[k = 3, v = 2](key[t, k], val[t, v], beta[t]) -> [k, v]:\n"
        "    scan t:\n"
        "        carry S[k, v] = 0\n"
        "        S = S + beta * key * (val - dot[k](key, S))\n"
        "    return S[t = -1]\n"
    )
    key, val, beta = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2)), RNG.uniform(size=5)
    found = run(graph, params, "kv", key=("tk", key), val=("tv", val), beta=("t", beta))
    state = np.zeros((3, 2))
    for t in range(5):
        state = state + beta[t] * np.outer(key[t], val[t] - key[t] @ state)
    np.testing.assert_allclose(found, state, 1e-10)


def test_a_strided_convolution_and_a_pooling() -> None:
    graph, params = load(
        "model m[c = 2, o = 3, r = 3, s = 3](x[i, j, c]) -> [i, j, o]:\n"
        "    param w[c, r, s, o] ~ normal(0, 1)\n"
        "    return dot[c, r, s](w, x[i = 2 * i + r - 1, j = 2 * j + s - 1])\n"
    )
    x = RNG.normal(size=(5, 4, 2))
    found = run(graph, params, "ijo", x=("ijc", x))
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    assert found.shape == (3, 2, 3)
    for i in range(3):
        for j in range(2):
            patch = padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            wanted = np.einsum("rsc,crso->o", patch, params["w"])
            np.testing.assert_allclose(found[i, j], wanted, 1e-10)


def test_layer_normalisation_lifts() -> None:
    graph, params = load(
        "model m[d = 6](x[d]) -> [d]:\n"
        "    param g[d] ~ normal(0, 1)\n"
        "    return g * (x - mean[d](x)) / sqrt(var[d](x) + 0.00001)\n"
    )
    x = RNG.normal(size=(2, 3, 6))
    found = run(graph, params, "abd", x=("abd", x))
    centred = x - x.mean(-1, keepdims=True)
    wanted = params["g"] * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, wanted, 1e-10)


def test_finite_differences() -> None:
    a = RNG.normal(size=(3, 3))
    found = finite_gradient(lambda x: float(np.sum(np.sin(a @ x))), np.ones((3, 2)))
    np.testing.assert_allclose(found, a.T @ np.cos(a @ np.ones((3, 2))), atol=1e-8)


def test_a_scan_of_no_steps_gives_nothing() -> None:
    graph, params = load(
        "model m(x[t, d], first[d]) -> [t, d]:\n"
        "    scan t:\n"
        "        carry h[d] = first\n"
        "        h = h + x\n"
        "    return h\n"
    )
    x, first = np.zeros((0, 2)), np.ones(2)
    assert run(graph, params, "td", x=("td", x), first=("d", first)).shape == (0, 2)
    with pytest.raises(ValueError, match=r"should have \{'d': 2\}"):
        run(graph, params, "td", x=("td", x), first=("d", np.ones(3)))
