"""Layers that work at one place, or on grids, against torch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 5, 6))
IMAGE = RNG.normal(size=(2, 3, 8, 11))
TX, TIMAGE = torch.tensor(X), torch.tensor(IMAGE)


def close(found: Any, wanted: torch.Tensor | np.ndarray[Any, Any]) -> None:
    assert_allclose(found, np.asarray(wanted), rtol=1e-9, atol=1e-11)


def tensors(run: Any) -> dict[str, torch.Tensor]:
    return {address: torch.tensor(array) for address, array in run.params.items()}


# ---- affine maps and tables


def test_linear_between_groups_of_axes(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, h, k]:\n"
        "    y = linear[d -> h = 2, k = 3](x)\n"
        "    return y\n"
    )
    w, b = tensors(run)["y.w"], tensors(run)["y.b"]
    assert w.shape == (6, 2, 3)
    close(run(X), F.linear(TX, w.reshape(6, 6).T, b.reshape(6)).reshape(2, 5, 2, 3))


def test_linear_to_its_own_axis_and_to_a_number(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t]:\n"
        "    y = linear[d -> d](x, bias = false)\n"
        "    z = linear[d ->](y)\n"
        "    return z\n"
    )
    w = tensors(run)
    assert run.sites()["y.w"] == ("d'", "d")
    close(run(X), TX @ w["y.w"] @ w["z.w"] + w["z.b"])


def test_embed(probe: Any) -> None:
    run = probe(
        "model probe[vocab = 9, d = 4](tokens[b, t]: int) -> [b, t, d]:\n"
        "    x = embed[vocab -> d](tokens)\n"
        "    return x\n"
    )
    tokens = RNG.integers(0, 9, size=(3, 4))
    close(run(tokens), run.params["x.w"][tokens])


# ---- normalisation


def test_layernorm(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    y = layernorm[d](x)\n    return y\n"
    )
    w = tensors(run)
    close(run(X), F.layer_norm(TX, [6], w["y.w"], w["y.b"]))
    close(run.site("y.scale", X).arranged("bt"), 1 / (TX.var(-1, correction=0) + 1e-5).sqrt())


def test_layernorm_over_two_axes(probe: Any) -> None:
    run = probe(
        "model probe[t = 5, d = 6](x[b, t, d]) -> [b, t, d]:\n"
        "    y = layernorm[t, d](x, eps = 0.1)\n"
        "    return y\n"
    )
    w = tensors(run)
    close(run(X), F.layer_norm(TX, [5, 6], w["y.w"], w["y.b"], eps=0.1))


def test_rmsnorm_and_l2norm(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    y = rmsnorm[d](x)\n    return y\n"
    )
    close(run(X), F.rms_norm(TX, [6], tensors(run)["y.w"], eps=1e-5))
    run = probe("model probe(x[b, t, d]) -> [b, t, d]:\n    return l2norm[t, d](x, eps = 0)\n")
    close(run(X), F.normalize(TX.flatten(1), dim=-1).reshape(2, 5, 6))


def test_groupnorm(probe: Any) -> None:
    run = probe(
        "model probe[c = 6](x[b, c, i, j]) -> [b, c, i, j]:\n"
        "    y = groupnorm[c, i, j, g = 3](x)\n"
        "    return y\n"
    )
    image = np.concatenate([IMAGE, 2 * IMAGE + 1], axis=1)
    w = tensors(run)
    close(run(image), F.group_norm(torch.tensor(image), 3, w["y.w"], w["y.b"]))


@pytest.mark.parametrize("training", [False, True])
def test_batchnorm(probe: Any, training: bool) -> None:
    run = probe(
        "model probe[c = 3](x[b, c, i, j]) -> [b, c, i, j]:\n"
        "    y = batchnorm[b, i, j -> c](x, momentum = 0.3)\n"
        "    return y\n",
        training=training,
    )
    w = tensors(run)
    center = torch.tensor(run.states["y.center"])
    spread = torch.tensor(run.states["y.spread"])
    wanted = F.batch_norm(TIMAGE, center, spread, w["y.w"], w["y.b"], training, momentum=0.3)
    close(run(IMAGE), wanted)
    if training:  # torch has put the new statistics in place of the old
        close(run.updated(IMAGE)["y.center"], center)
        close(run.updated(IMAGE)["y.spread"], spread)
    else:
        assert run.updated(IMAGE) == {}


# ---- convolution and pooling


@pytest.mark.parametrize(
    ("width", "stride", "pad"), [(3, 1, 1), (3, 2, 1), (5, 1, 0), (4, 2, 1), (2, 3, 0), (3, 1, 2)]
)
def test_conv2d_and_depthwise2d(probe: Any, width: int, stride: int, pad: int) -> None:
    options = f"width = {width}, stride = {stride}, pad = {pad}"
    run = probe(
        "model probe[c = 3](x[b, c, i, j]) -> [b, o, i, j]:\n"
        f"    y = conv2d[c -> o = 4](x, {options})\n"
        "    return y\n"
    )
    w = tensors(run)
    wanted = F.conv2d(TIMAGE, w["y.w"], w["y.b"], stride, pad)
    close(run(IMAGE), wanted)
    run = probe(
        "model probe[c = 3](x[b, c, i, j]) -> [b, c, i, j]:\n"
        f"    y = depthwise2d[c](x, {options})\n"
        "    return y\n"
    )
    w = tensors(run)
    wanted = F.conv2d(TIMAGE, w["y.w"][:, None], w["y.b"], stride, pad, groups=3)
    close(run(IMAGE), wanted)


def test_conv2d_again_and_again(probe: Any) -> None:
    run = probe(
        "model probe[c = 3](x[b, c, i, j]) -> [b, c, i, j]:\n"
        "    first = conv2d[c -> c = 4](x, stride = 2, bias = false)\n"
        "    second = conv2d[c -> c = 5](first, stride = 2, bias = false)\n"
        "    return second\n"
    )
    w = tensors(run)
    first = F.conv2d(TIMAGE, w["first.w"], None, 2, 1)
    close(run(IMAGE), F.conv2d(first, w["second.w"], None, 2, 1))


@pytest.mark.parametrize(("width", "stride", "pad"), [(3, 1, 1), (4, 2, 0)])
def test_conv1d(probe: Any, width: int, stride: int, pad: int) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, o]:\n"
        f"    y = conv1d[d -> o = 4](x, width = {width}, stride = {stride}, pad = {pad})\n"
        "    return y\n"
    )
    w = tensors(run)
    close(run(X), F.conv1d(TX.mT, w["y.w"], w["y.b"], stride, pad).mT)


def test_causal_conv(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, o]:\n"
        "    y = causal_conv[d -> o = 4](x, width = 3, dilation = 2)\n"
        "    return y\n"
    )
    w = tensors(run)
    close(run(X), F.conv1d(F.pad(TX.mT, (4, 0)), w["y.w"], w["y.b"], dilation=2).mT)


def test_shortconv_with_one_filter_and_with_many(probe: Any) -> None:
    text = "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    y = shortconv[{}](x)\n    return y\n"
    many = probe(text.format("t, d"))
    w = tensors(many)["y.w"]
    assert w.shape == (6, 4)
    close(many(X), F.conv1d(F.pad(TX.mT, (3, 0)), w[:, None], groups=6).mT)
    one = probe(text.format("t"))
    assert one.params["y.w"].shape == (4,)
    w = tensors(one)["y.w"].expand(6, 1, 4)
    close(one(X), F.conv1d(F.pad(TX.mT, (3, 0)), w, groups=6).mT)


@pytest.mark.parametrize(("width", "stride", "pad"), [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_pooling(probe: Any, width: int, stride: int, pad: int) -> None:
    text = (
        "model probe(x[b, c, i, j]) -> [b, c, i, j]:\n"
        f"    pool = {{}}[i, j](x, width = {width}, stride = {stride}, pad = {pad})\n"
        "    return pool\n"
    )
    run = probe(text.format("maxpool2d"))
    wanted, index = F.max_pool2d(TIMAGE - 2, width, stride, pad, return_indices=True)
    close(run(IMAGE - 2), wanted)
    close(run.site("pool.at", IMAGE - 2).arranged(["b", "c", "u", "v"]), index)
    close(probe(text.format("avgpool2d"))(IMAGE), F.avg_pool2d(TIMAGE, width, stride, pad))
    text = text.replace("[i, j](", "[t = j](")
    wanted = F.max_pool1d(TIMAGE.flatten(0, 2), width, stride, pad).reshape(2, 3, 8, -1)
    close(probe(text.format("maxpool"))(IMAGE), wanted)
    wanted = F.avg_pool1d(TIMAGE.flatten(0, 2), width, stride, pad).reshape(2, 3, 8, -1)
    close(probe(text.format("avgpool"))(IMAGE), wanted)


def test_attention_pool(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, d]:\n    y = attention_pool(x)\n    return y\n"
    )
    weight = F.softmax(TX @ tensors(run)["y.scores.w"], -1)
    close(run(X), torch.einsum("bt,btd->bd", weight, TX))


# ---- at one position


@pytest.mark.parametrize(
    ("name", "function"), [("gelu", F.gelu), ("relu", F.relu), ("tanh", torch.tanh)]
)
def test_mlp(probe: Any, name: str, function: Any) -> None:
    given = "" if name == "gelu" else f", nonlinearity = {name}"
    run = probe(
        f"model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    ffn = mlp(x{given})\n    return ffn\n"
    )
    w = tensors(run)
    assert w["ffn.act.w"].shape == (6, 24)
    hidden = function(TX @ w["ffn.act.w"] + w["ffn.act.b"])
    close(run(X), hidden @ w["ffn.out.w"] + w["ffn.out.b"])


def test_glu(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    ffn = glu[m = 5](x)\n    return ffn\n"
    )
    w = tensors(run)
    gate = F.silu(TX @ w["ffn.act.w"])
    close(run.site("ffn.gate.factor", X).arranged("btm"), gate)
    close(run(X), (gate * (TX @ w["ffn.up.w"])) @ w["ffn.out.w"])


def test_moe(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n"
        "    ffn = moe[e = 4](x, pick = 2, expert = glu[m = 5])\n"
        "    return ffn\n"
    )
    w = tensors(run)
    assert w["ffn.answer.act.w"].shape == (4, 6, 5)
    chance = F.softmax(TX @ w["ffn.router.w"], -1)
    best, which = chance.topk(2)
    best = best / best.sum(-1, keepdim=True)
    wanted = torch.zeros_like(TX)
    for b, t, n in np.ndindex(2, 5, 2):
        e = which[b, t, n]
        hidden = F.silu(TX[b, t] @ w["ffn.answer.act.w"][e]) * (TX[b, t] @ w["ffn.answer.up.w"][e])
        wanted[b, t] += best[b, t, n] * (hidden @ w["ffn.answer.out.w"][e])
    close(run(X), wanted)
    assert "ffn.router.weights" in run.sites()
    used = F.one_hot(which, 4).sum(2).double().mean(1)
    close(run.site("ffn.router.balance", X).array, 4 / 2 * (used * chance.mean(1)).sum(-1))
