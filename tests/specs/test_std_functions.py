"""Pointwise functions, normalisers, noise, losses and measures, against torch in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(1)
X = 2 * RNG.normal(size=(2, 5, 6))
Y = RNG.normal(size=(2, 5, 6))
LABEL = RNG.integers(0, 6, size=(2, 5))
TX, TY, TLABEL = torch.tensor(X), torch.tensor(Y), torch.tensor(LABEL)


def close(found: Any, wanted: torch.Tensor | np.ndarray[Any, Any]) -> None:
    assert_allclose(found, np.asarray(wanted), rtol=1e-10, atol=1e-12)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu(x)": F.relu,
    "gelu(x)": F.gelu,
    "gelu_tanh(x)": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_quick(x)": lambda x: x * torch.sigmoid(1.702 * x),
    "silu(x)": F.silu,
    "mish(x)": F.mish,
    "leaky_relu(x, slope = 0.2)": lambda x: F.leaky_relu(x, 0.2),
    "relu_squared(x)": lambda x: F.relu(x) ** 2,
    "relu6(4 * x)": lambda x: F.relu6(4 * x),
    "hard_sigmoid(2 * x)": lambda x: F.hardsigmoid(2 * x),
    "hard_silu(2 * x)": lambda x: F.hardswish(2 * x),
    "elu(x, alpha = 0.5)": lambda x: F.elu(x, 0.5),
    "selu(x)": F.selu,
    "softsign(x)": F.softsign,
    "softcap(x, cap = 1.5)": lambda x: 1.5 * torch.tanh(x / 1.5),
    "tanh(x)": torch.tanh,
    "sigmoid(x)": torch.sigmoid,
    "softplus(x)": F.softplus,
    "log_sigmoid(x)": F.logsigmoid,
    "positive(x)": lambda x: F.elu(x) + 1,
    "as_is(x)": lambda x: x,
    "softmax[d](x)": lambda x: F.softmax(x, -1),
    "log_softmax[t](x)": lambda x: F.log_softmax(x, 1),
    "topk_softmax[d](x)": lambda x: F.softmax(
        x.masked_fill(x < x.topk(2).values[..., -1:], -math.inf), -1
    ),
    "softmax_off[d](x)": lambda x: F.softmax(F.pad(x, (0, 1)), -1)[..., :-1],
    "gumbel_softmax[d](x, temperature = 0.5)": lambda x: F.softmax(2 * x, -1),
    "dropout(x)": lambda x: x,
    "drop_path[b](x)": lambda x: x,
    "jitter(x)": lambda x: x,
}


@pytest.mark.parametrize("call", ACTIVATIONS)
def test_activations(probe: Any, call: str) -> None:
    run = probe(f"model probe(x[b, t, d]) -> [b, t, d]:\n    return {call}\n")
    close(run(X), ACTIVATIONS[call](TX))


def test_a_transform_and_back(probe: Any) -> None:
    run = probe(
        "model probe(x[b, t, d]) -> [b, t, d], [b, f, d], [b, f, d]:\n"
        "    re, im = fft[t -> f](x)\n"
        "    return inverse_fft[f -> t](re, im), re, im\n"
    )
    back, re, im = run(X)
    close(back, X)
    close(re, np.fft.fft(X, axis=1).real)
    close(im, np.fft.fft(X, axis=1).imag)


def test_a_decision_is_a_site(probe: Any) -> None:
    run = probe("model probe(x[b, t, d]) -> [b, t, d]:\n    act = relu(x)\n    return act\n")
    assert run.sites() == {
        "x": ("b", "t", "d"),
        "act.pre": ("b", "t", "d"),
        "act.ratio": ("b", "t", "d"),
        "act": ("b", "t", "d"),
    }
    assert_allclose(run.site("act.ratio", X).arranged("btd"), X > 0)


def test_prelu_has_one_slope_or_many(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n    one = prelu[d](x)\n    return one\n"
    )
    assert run.params["one.slope"].shape == (6,)
    close(run(X), F.prelu(TX.movedim(-1, 1), torch.tensor(run.params["one.slope"])).movedim(1, -1))


def test_sparsemax_is_the_nearest_point_of_the_simplex(probe: Any) -> None:
    run = probe("model probe(x[b, t, d]) -> [b, t, d]:\n    return sparsemax[d](x)\n")
    found = run(X)
    close(found.sum(-1), np.ones((2, 5)))
    assert (found >= 0).all()
    # what is positive lies one threshold below its score, what is 0 no higher
    gap = X - found
    threshold = np.max(gap, axis=-1, where=found > 0, initial=-math.inf)
    close(gap[found > 0], np.broadcast_to(threshold[..., None], X.shape)[found > 0])
    assert (threshold[..., None] + 1e-12 >= X)[found == 0].all()


def test_dropout_keeps_the_mean(probe: Any) -> None:
    text = "model probe(x[b, t, d]) -> [b, t, d]:\n    out = dropout(x, p = 0.25)\n    return out\n"
    run = probe(text, training=True)
    x = np.ones((20, 20, 20))
    found = run(x)
    assert set(np.unique(found.round(12))) == {0, round(1 / 0.75, 12)}
    assert abs(found.mean() - 1) < 0.02
    assert (run(x, call=1) != found).any()
    assert "out.keep" in run.sites()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("symmetric", ["true", "false"])
def test_quantize_rounds_each_group_by_its_own_scale(probe: Any, bits: int, symmetric: str) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n"
        f"    return quantize[d, group = 3](x, bits = {bits}, symmetric = {symmetric})\n"
    )
    x = np.concatenate([X, 0 * X[:1], 1 + 0 * X[:1]])  # 0 everywhere, and the same everywhere
    found, groups = run(x), x.reshape(*x.shape[:2], 2, 3)
    low, steps = 0 * groups[..., :1], 2 ** (bits - 1) - 1
    span = np.abs(groups).max(-1, keepdims=True) / steps
    if symmetric == "false":
        low, steps = groups.min(-1, keepdims=True), 2**bits - 1
        span = (groups.max(-1, keepdims=True) - low) / steps
    span = np.where(span > 0, span, 1)
    wanted = np.round((groups - low) / span) * span + low
    close(found, wanted.reshape(x.shape))
    assert (np.abs(found - x) <= np.repeat(span, 3, -1).reshape(x.shape) / 2 + 1e-9).all()


def test_quantize_is_trained_through() -> None:
    text = "model m[d = 6](x[b, d]) -> [b, d]:\n    return quantize[d](x, bits = 3)\n"
    model = Program.from_text(text).model("m")
    x = torch.randn(5, 6, requires_grad=True)
    weight = torch.randn(5, 6)
    found = model(x)
    (weight * found).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, weight)
    assert all(len(row.detach().unique()) <= 7 for row in found)


def test_drop_path_drops_whole_examples(probe: Any) -> None:
    text = "model probe(x[b, t, d]) -> [b, t, d]:\n    return drop_path[b](x, p = 0.5)\n"
    found = probe(text, training=True)(np.ones((30, 2, 3)))
    assert {*map(float, found.reshape(30, 6).sum(1))} == {0, 12}


def test_gumbel_softmax_is_random_in_training(probe: Any) -> None:
    text = "model probe(x[b, t, d]) -> [b, t, d]:\n    return gumbel_softmax[d](x)\n"
    run = probe(text, training=True)
    close(run(X).sum(-1), np.ones((2, 5)))
    assert not np.allclose(run(X), run(X, call=1))


LOSSES: dict[str, Callable[[], torch.Tensor]] = {
    "cross_entropy[d](x, label)": lambda: F.cross_entropy(
        TX.movedim(-1, 1), TLABEL, reduction="none"
    ),
    "cross_entropy[d](x, label, smoothing = 0.1)": lambda: F.cross_entropy(
        TX.movedim(-1, 1), TLABEL, reduction="none", label_smoothing=0.1
    ),
    "mean[d](binary_cross_entropy(x, y > 0))": lambda: F.binary_cross_entropy_with_logits(
        TX, (TY > 0).double(), reduction="none"
    ).mean(-1),
    "kl_divergence[d](x, y)": lambda: F.kl_div(
        F.log_softmax(TX, -1), F.log_softmax(TY, -1), log_target=True, reduction="none"
    ).sum(-1),
    "entropy[d](x)": lambda: -(F.softmax(TX, -1) * F.log_softmax(TX, -1)).sum(-1),
    "squared_error[d](x, y)": lambda: F.mse_loss(TX, TY, reduction="none").mean(-1),
    "absolute_error[d](x, y)": lambda: F.l1_loss(TX, TY, reduction="none").mean(-1),
    "huber[d](x, y, delta = 0.7)": lambda: F.huber_loss(TX, TY, reduction="none", delta=0.7).mean(
        -1
    ),
    "hinge[d](x, label) / |d|": lambda: torch.stack(
        [
            F.multi_margin_loss(x, i, reduction="none")
            for x, i in zip(TX.reshape(10, 6), TLABEL.reshape(10), strict=True)
        ]
    ).reshape(2, 5),
    "accuracy[d](x, label)": lambda: (TX.argmax(-1) == TLABEL).double(),
    "accuracy[d](x, label, top = 3)": lambda: (
        (TX.topk(3).indices == TLABEL[..., None]).any(-1).double()
    ),
    "std[d](x)": lambda: TX.std(-1, correction=0),
    "covariance[d](x, y)": lambda: ((TX - TX.mean(-1, True)) * TY).mean(-1),
    "correlation[d](x, y)": lambda: torch.stack(
        [
            torch.corrcoef(torch.stack(pair))[0, 1]
            for pair in zip(TX.reshape(10, 6), TY.reshape(10, 6), strict=True)
        ]
    ).reshape(2, 5),
    "cosine[d](x, y)": lambda: F.cosine_similarity(TX, TY, -1),
    "explained[d](x, y)": lambda: (
        1 - F.mse_loss(TX, TY, reduction="none").mean(-1) / TY.var(-1, correction=0)
    ),
}


@pytest.mark.parametrize("call", LOSSES)
def test_losses_and_measures(probe: Any, call: str) -> None:
    header = "model probe(x[b, t, d], y[b, t, d], label[b, t]: int) -> [b, t]:"
    run = probe(f"{header}\n    return {call}\n")
    close(run(X, Y, LABEL), LOSSES[call]())


def test_a_measure_may_be_over_several_axes(probe: Any) -> None:
    text = "model probe(x[b, t, d], y[b, t, d]) -> [b]:\n    return correlation[t, d](x, y)\n"
    wanted = [np.corrcoef(X[i].ravel(), Y[i].ravel())[0, 1] for i in range(2)]
    close(probe(text)(X, Y), np.array(wanted))
