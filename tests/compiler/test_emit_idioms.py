"""What is written as one call of PyTorch's: that it is, that it computes the same, and when not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests.compiler.emitted import (
    compiled,
    doubles,
    inputs_of,
    measured_slope,
    model_of,
    module,
    results_of,
    slope,
)

from neuraxis.compiler.build import build
from neuraxis.compiler.draws import drawn
from neuraxis.compiler.emit import emit
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl import sizes
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT, ParamAttrs, StateAttrs
from neuraxis.testing import assert_close

ATTENTION = """
    q = linear[d -> h, k](x)
    key = linear[d -> h, k](x)
    v = linear[d -> h, k](x)
"""
HEAD = "model m[d = 6, h = 2, k = 3](x[b, t, d]) -> [b, t, h, k]:" + ATTENTION
ROWS = {
    "layer norm": (
        "model m[d = 6](x[b, d]) -> [b, d]:\n    return layernorm[d](x)",
        "F.layer_norm",
    ),
    "layer norm of two axes": (
        "model m[d = 6, e = 2](x[b, d, e]) -> [b, d, e]:\n    return layernorm[d, e](x)",
        "F.layer_norm(x, (6, 2)",
    ),
    "layer norm by hand": (
        "model m[d = 6](x[b, d]) -> [b, d]:\n"
        "    c = x - mean[d](x)\n"
        "    return c / sqrt(mean[d](c ^ 2) + 0.001)",
        "F.layer_norm(x, (6,), eps=0.001)",
    ),
    "rms norm": ("model m[d = 6](x[b, d]) -> [b, d]:\n    return rmsnorm[d](x)", "F.rms_norm"),
    "gelu": ("model m(x[b]) -> [b]:\n    return gelu(x)", "F.gelu(x)"),
    "gelu, tanh": ("model m(x[b]) -> [b]:\n    return gelu_tanh(x)", 'approximate="tanh"'),
    "gelu, grouped otherwise": (
        "model m(x[b]) -> [b]:\n    return 0.5 * x * (1 + erf(x * 0.70710678))",
        "F.gelu(x)",
    ),
    "silu": ("model m(x[b]) -> [b]:\n    return silu(x)", "F.silu(x)"),
    "relu": ("model m(x[b]) -> [b]:\n    return relu(x)", "F.relu(x)"),
    "relu as a maximum": ("model m(x[b]) -> [b]:\n    return max(x, 0)", "F.relu(x)"),
    "inverse root": ("model m(x[b]) -> [b]:\n    return 1 / sqrt(abs(x) + 1)", "torch.rsqrt("),
    "linear": (
        "model m[d = 6, h = 2, k = 3](x[b, d]) -> [b, h, k]:\n    return linear[d -> h, k](x)",
        "F.linear(x, self.out.w.flatten(1).t(), self.out.b.flatten())",
    ),
    "linear to a number": (
        "model m[d = 6](x[b, d]) -> [b]:\n    return linear[d -> ](x, bias = false)",
        "x @ self.out.w",
    ),
    "linear from two axes": (
        "model m[d = 6, h = 2, k = 3](x[b, h, k]) -> [b, d]:\n    return linear[h, k -> d](x)",
        "F.linear(x.flatten(1), self.out.w.flatten(0, 1).t(), self.out.b)",
    ),
    "embedding": (
        "model m[n = 5, d = 3](at[b, t]: int) -> [b, t, d]:\n"
        "    param w[n, d] ~ normal(0, 1)\n    return w[n = at]",
        "F.embedding(at, self.w)",
    ),
    "tied embedding": (
        "model m[n = 5, d = 3](at[b]: int) -> [b, n]:\n"
        "    param w[n, d] ~ normal(0, 1)\n    return dot[d](w[n = at], w)",
        "F.linear(F.embedding(at, self.w), self.w)",
    ),
    "positions": (
        "model m[n = 5, d = 3](x[b, t, d]) -> [b, t, d]:\n"
        "    param w[n, d] ~ normal(0, 1)\n    return x + w[n = t]",
        "x + self.w[:t]",
    ),
    "attention": (
        HEAD
        + "    scores = dot[k](q, key[t -> s]) / sqrt(|k|)\n"
        + "    pattern = softmax[s](scores)\n    return dot[s](pattern, v[t -> s])",
        "scaled_dot_product_attention(q.transpose(1, 2), key.transpose(1, 2), v.transpose(1, 2))",
    ),
    "causal attention": (
        HEAD
        + "    scores = where(s <= t, dot[k](q, key[t -> s]) / sqrt(|k|), -inf)\n"
        + "    return dot[s](softmax[s](scores), v[t -> s])",
        "is_causal=True",
    ),
    "attention with another scale": (
        HEAD
        + "    scores = where(s <= t, 0.3 * dot[k](q, key[t -> s]), -inf)\n"
        + "    return dot[s](softmax[s](scores), v[t -> s])",
        "scale=0.3",
    ),
    "attention in a window": (
        HEAD
        + "    scores = where(s <= t and t - s < 2, dot[k](q, key[t -> s]), -inf)\n"
        + "    return dot[s](softmax[s](scores), v[t -> s])",
        "attn_mask=",
    ),
    "attention with a bias": (
        HEAD
        + "    param slope[h] = 0.5\n"
        + "    scores = dot[k](q, key[t -> s]) - slope * abs(t - s)\n"
        + "    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])",
        "attn_mask=torch.where(",
    ),
    "attention with a mask that is given": (
        "model m[d = 6, h = 2, k = 3](x[b, t, d], keep[b, t]: bool) -> [b, t, h, k]:"
        + ATTENTION
        + "    scores = where(keep[t -> s], dot[k](q, key[t -> s]), -inf)\n"
        + "    return dot[s](softmax[s](scores), v[t -> s])",
        "attn_mask=keep[:, None, None, :]",
    ),
    "attention without heads": (
        "model m[d = 4](x[b, t, d], y[b, s, d]) -> [b, t, d]:\n"
        "    return dot[s](softmax[s](dot[d](x, y) / sqrt(|d|)), y)",
        "scaled_dot_product_attention(x.unsqueeze(0), y.unsqueeze(0), y.unsqueeze(0))",
    ),
    "attention with groups": (
        "model m[d = 6, h = 4, g = 2, k = 3](x[b, t, d]) -> [b, t, d]:\n"
        "    return grouped_attention[h = 4, g = 2, k = 6](x)",
        "enable_gqa=True",
    ),
    "convolution": (
        "model m[c = 2, o = 3, i = 7, j = 6](x[b, c, i, j]) -> [b, o, i, j]:\n"
        "    return conv2d[c -> o](x, stride = 2)",
        "F.conv2d(x, self.out.w, self.out.b, stride=2, padding=1)",
    ),
    "convolution without padding": (
        "model m[c = 2, o = 3, t = 7](x[b, t, c]) -> [b, t, o]:\n"
        "    return conv1d[c -> o](x, pad = 0)",
        "F.conv1d(",
    ),
    "causal convolution": (
        "model m[c = 2, o = 3](x[b, t, c]) -> [b, t, o]:\n"
        "    return causal_conv[c -> o](x, dilation = 2)",
        "dilation=2",
    ),
    "convolution backwards": (
        "model m[c = 2, r = 3](x[b, t, c]) -> [b, t, c]:\n"
        "    param w[c, r] ~ normal(0, 1)\n    return dot[r](w, x[t = t - r])",
        ".flip(-1)",
    ),
    "one filter each": (
        "model m[c = 2](x[b, t, c]) -> [b, t, c]:\n    return shortconv[t, c](x)",
        "groups=2",
    ),
    "mean of windows": (
        "model m[t = 8](x[b, t]) -> [b, u]:\n    return avgpool[t](x)[t -> u]",
        "F.avg_pool1d(x, 2, stride=2)",
    ),
    "largest of windows": (
        "model m[r = 3](x[b, c, i]) -> [b, c, i]:\n    return max[r](x[i = i + r - 1])",
        "F.max_pool1d(x, 3, stride=1, padding=1)",
    ),
    "largest of windows, by its position": (
        "model m[c = 2](x[b, c, i, j]) -> [b, c, u, v]:\n"
        "    return maxpool2d[i, j](x, width = 3, stride = 2, pad = 1)[i -> u, j -> v]",
        "F.max_pool2d(x, 3, stride=2, padding=1)",
    ),
    "largest of windows over time": (
        "model m[c = 2](x[b, t, c]) -> [b, u, c]:\n    return maxpool[t](x)[t -> u]",
        "F.max_pool1d(",
    ),
    "batch norm": (
        "model m[c = 3](x[b, c, i]) -> [b, c, i]:\n    return batchnorm[b, i -> c](x)",
        "F.batch_norm(x, self.out.center, self.out.spread, self.out.w, self.out.b",
    ),
    "cross entropy": (
        "model m[n = 5](x[b, t, n], y[b, t]: int) -> []:\n"
        "    return mean[b, t](logsumexp[n](x) - x[n = y])",
        "F.cross_entropy(x.flatten(0, 1), y.flatten())",
    ),
    "cross entropy of each": (
        "model m[n = 5](x[b, t, n], y[b, t]: int) -> [b, t]:\n"
        "    return logsumexp[n](x) - x[n = y]",
        'reduction="none"',
    ),
}


@dataclass
class Data:
    """What a model is run on."""

    inputs: dict[str, NamedArray]
    params: dict[str, Any]
    sizes: dict[str, int]

    def keywords(self) -> dict[str, Any]:
        states = dict(self.params.items())
        return {"inputs": self.inputs, "params": self.params, "states": states, "random": drawn(0)}


def data_for(graph: Any, seed: int = 0) -> Data:
    """Normal numbers; the run-time sizes are 5 for times and 3 for what else there is."""
    numbers = np.random.default_rng(seed)
    known = {name: 5 if name in "ts" else 3 for name in "abcdefghijklmnopqrstuvwxyz"}
    found = Data({}, {}, known)
    for name in graph.in_order():
        node = graph.node(name)
        shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
        if node.op is INPUT:
            array: Any = numbers.normal(size=shape)
            if node.dtype is DType.INT:
                array = numbers.integers(0, 5, shape)
            if node.dtype is DType.BOOL:
                array = numbers.integers(0, 2, shape).astype(bool)
                array[..., 0] = True
            found.inputs[name] = NamedArray(names(node.axes), array)
        elif isinstance(node.attrs, ParamAttrs | StateAttrs):
            array = numbers.normal(size=shape)
            found.params[node.site] = abs(array) if "spread" in node.site else array
    return found


@pytest.mark.parametrize("row", ROWS)
def test_an_idiom_is_one_call_and_computes_the_same(row: str) -> None:
    text, call = ROWS[row]
    model = model_of(text)
    graph, small = build(model), compiled(model)
    data = data_for(graph)
    source = emit(small, model).source
    forward = " ".join(source[source.rindex("def forward") :].split())
    assert call in forward.replace("( ", "(").replace(" )", ")")
    with doubles():
        made = module(small, data.params, 0, model)
        inputs = inputs_of(graph, data.inputs)
        found = made(*inputs)
        wanted = evaluate(graph, **data.keywords())
        assert_close(results_of(graph, model, found), wanted)
        numbers = np.random.default_rng(1)
        leaves = [*made.parameters(), *(x for x in inputs if x.is_floating_point())]
        way = [torch.from_numpy(np.asarray(numbers.normal(size=tuple(x.shape)))) for x in leaves]
        rise = slope(made, inputs, way)
        assert rise == pytest.approx(measured_slope(graph, model, made, data, way, 1e-6), rel=1e-4)


def test_several_linear_maps_of_one_value_are_one_product() -> None:
    model = model_of(HEAD + "    return q * key * v")
    source = emit(compiled(model), model).source
    assert source.count("F.linear(") == 1
    assert ".unflatten(-1, (3, 2, 3)).unbind(-3)" in source
    assert "SideBySide(self.q, self.key, self.v)" in source


def test_a_weight_that_is_read_elsewhere_too_is_not_put_beside_others() -> None:
    model = model_of(
        "model m[n = 4, d = 3](x[b, d]) -> [b, n]:\n"
        "    param w[d, n] ~ normal(0, 1)\n    param u[d, n] ~ normal(0, 1)\n"
        "    return dot[d](x, w) * dot[d](x, u) + sum[d](w)"
    )
    assert emit(compiled(model), model).source.count("F.linear(") == 2


@pytest.mark.parametrize(
    ("inner", "open_call"),
    [("scores", "torch.softmax("), ("pattern", "torch.softmax("), ("q", "scaled_dot_product")],
)
def test_attention_is_open_if_somebody_reads_its_inside(inner: str, open_call: str) -> None:
    text = HEAD.replace("-> [b, t, h, k]:", "-> [b, t, h, k], []:")
    text += "    scores = where(s <= t, dot[k](q, key[t -> s]) / sqrt(|k|), -inf)\n"
    text += "    pattern = softmax[s](scores)\n    z = dot[s](pattern, v[t -> s])\n"
    axes = {"scores": "b, t, h, s", "pattern": "b, t, h, s", "q": "b, t, h, k"}[inner]
    text += f"    return z, sum[{axes}]({inner} ^ 2)\n"
    model = model_of(text)
    source = emit(compiled(model), model).source
    assert open_call in source
    assert ("scaled_dot_product" in source) == (inner == "q")


def test_a_norm_whose_scale_is_read_is_open() -> None:
    model = model_of(
        "model m[d = 6](x[b, d]) -> [b, d], [b]:\n"
        "    scale = 1 / sqrt(var[d](x) + 0.001)\n"
        "    return (x - mean[d](x)) * scale, scale"
    )
    source = emit(compiled(model), model).source
    assert "F.layer_norm" not in source
    assert "scale = torch.rsqrt(" in source


def test_softmax_of_nothing_is_zero() -> None:
    model = model_of(
        "model m(x[b, t], keep[b, t]: bool) -> [b, t]:\n    return softmax[t](where(keep, x, -inf))"
    )
    made = module(compiled(model), {}, 0, model)
    keep = torch.tensor([[False, False], [True, False]])
    x = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    found = made(x, keep)
    assert found.tolist() == [[0, 0], [1, 0]]
    found.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_fused_attention_of_nothing_is_zero() -> None:
    text = "model m[d = 4](x[b, t, d], y[b, s, d], keep[b, s]: bool) -> [b, t, d]:\n"
    text += "    return dot[s](softmax[s](where(keep, dot[d](x, y), -inf)), y)\n"
    model = model_of(text)
    made = module(compiled(model), {}, 0, model)
    x, y = (torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found = made(x, y, torch.tensor([[False] * 3, [True] * 3]))
    assert found[0].abs().max() == 0
    found.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
