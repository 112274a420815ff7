"""Positions, attention and recurrences, against torch and transformers in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(3)
B, T, D, H, K = 2, 7, 6, 4, 8
X = RNG.normal(size=(B, T, D))
TX = torch.tensor(X)


def close(found: Any, wanted: torch.Tensor | np.ndarray[Any, Any]) -> None:
    assert_allclose(found, np.asarray(wanted), rtol=1e-9, atol=1e-11)


def tensors(run: Any) -> dict[str, torch.Tensor]:
    return {address: torch.tensor(array) for address, array in run.params.items()}


def heads(w: dict[str, torch.Tensor], name: str, x: torch.Tensor = TX) -> torch.Tensor:
    """A projection [b, h, t, k] by the parameters at an address."""
    made = torch.einsum("btd,dhk->bhtk", x, w[f"{name}.w"])
    return made + w[f"{name}.b"][:, None] if f"{name}.b" in w else made


def joined(w: dict[str, torch.Tensor], name: str, z: torch.Tensor) -> torch.Tensor:
    made = torch.einsum("bhtk,hkd->btd", z, w[f"{name}.w"])
    return made + w[f"{name}.b"] if f"{name}.b" in w else made


def layer(probe: Callable[..., Any], call: str, lines: str = "") -> Any:
    return probe(
        f"model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n{lines}    attn = {call}\n    return attn\n"
    )


# ---- positions


def rotated(x: torch.Tensor, base: float = 10000.0) -> torch.Tensor:
    """Half-split rotation of [..., t, k], by complex numbers."""
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half).double() / half)
    angle = torch.arange(x.shape[-2]).double()[:, None] * rates
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.exp(1j * angle)
    return torch.cat([turned.real, turned.imag], -1)


def test_rope(probe: Any) -> None:
    run = probe("model probe(x[b, t, d]) -> [b, t, d]:\n    return rope[k = d](x, t, base = 50)\n")
    close(run(X), rotated(TX, 50))
    run = probe(
        "model probe(x[b, t, d]) -> [b, t, d]:\n"
        "    return rope[k = d](x, t, base = 50, interleaved = true)\n"
    )
    order = [0, 2, 4, 1, 3, 5]  # neighbours become halves
    close(run(X)[..., order], rotated(TX[..., order], 50))


def test_rope_scores_depend_on_distance_only(probe: Any) -> None:
    run = probe(
        "model probe(x[t, k], y[t, k]) -> [t, s]:\n"
        "    return dot[k](rope[k](x, t), rope[k](y, t)[t -> s])\n"
    )
    same = np.ones((T, 1)) * RNG.normal(size=(1, D))
    found = run(same, np.ones((T, 1)) * RNG.normal(size=(1, D)))
    for offset in range(1 - T, T):
        assert np.ptp(np.diagonal(found, offset)) < 1e-12


def test_sinusoidal(probe: Any) -> None:
    run = probe("model probe(x[t, d]) -> [t, d]:\n    return x + sinusoidal[d](t)\n")
    wanted = np.zeros((T, D))
    for t in range(T):
        for i in range(D // 2):
            wanted[t, 2 * i] = math.sin(t / 10000 ** (2 * i / D))
            wanted[t, 2 * i + 1] = math.cos(t / 10000 ** (2 * i / D))
    close(run(np.zeros((T, D))), wanted)


@pytest.mark.parametrize("count", [4, 6, 8, 12])
def test_alibi(probe: Any, count: int) -> None:
    def slopes(n: int) -> list[float]:
        power = 2 ** math.floor(math.log2(n))
        own = [2 ** (-8 * (i + 1) / power) for i in range(power)]
        return own if power == n else own + slopes(2 * power)[::2][: n - power]

    run = probe(
        f"model probe[h = {count}](x[h, t, s]) -> [h, t, s]:\n    return alibi[h, t, s](x)\n"
    )
    distance = np.abs(np.arange(5)[:, None] - np.arange(5))
    wanted = -np.array(slopes(count))[:, None, None] * distance
    close(run(np.zeros((count, 5, 5))), wanted)


@pytest.mark.parametrize("causal", [True, False])
def test_bucketed_bias_is_that_of_t5(probe: Any, causal: bool) -> None:
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    run = probe(
        "model probe[h = 2](x[h, t, s]) -> [h, t, s]:\n"
        f"    y = bucketed_bias[h, t, s](x, causal = {str(causal).lower()})\n"
        "    return y\n"
    )
    n = 150
    gap = torch.arange(n)[None] - torch.arange(n)[:, None]
    bucket = t5.T5Attention._relative_position_bucket(gap, not causal)
    wanted = run.params["y.w"][bucket].transpose(2, 0, 1)
    close(run(np.zeros((2, n, n))), wanted)


# ---- attention


def test_attention(probe: Any) -> None:
    run = layer(probe, "attention[h = 4, k = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    close(run(X), joined(w, "attn.out", F.scaled_dot_product_attention(q, key, v)))
    assert {*run.sites()["attn.z"]} == {"b", "t", "h", "k"}


def test_attention_with_a_mask(probe: Any) -> None:
    lines = "    seen = t[t -> s] != t or t == 0\n"
    run = layer(probe, "attention[h = 4, k = 8](x, mask = seen)", lines)
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    seen = ~torch.eye(T, dtype=torch.bool)
    seen[0] = True
    close(run(X), joined(w, "attn.out", F.scaled_dot_product_attention(q, key, v, seen)))


@pytest.mark.parametrize("window", [None, 3])
def test_causal_attention(probe: Any, window: int | None) -> None:
    call = f"window_attention[h = 4, k = 8](x, window = {window}, "
    run = layer(probe, f"{call if window else 'causal_attention[h = 4, k = 8](x, '}bias = false)")
    w = tensors(run)
    assert "attn.q.b" not in w
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    seen = torch.ones(T, T, dtype=torch.bool).tril().triu(1 - (window or T))
    close(run(X), joined(w, "attn.out", F.scaled_dot_product_attention(q, key, v, seen)))
    close(run.site("attn.pattern", X).arranged("bhts").sum(-1), np.ones((B, H, T)))


def test_attention_with_positions_in_the_scores(probe: Any) -> None:
    run = layer(probe, "scored_attention[h = 4, k = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    distance = (torch.arange(T)[:, None] - torch.arange(T)).double()
    bias = -(0.25 ** torch.arange(1, H + 1))[:, None, None] * distance
    bias = bias.masked_fill(distance < 0, -math.inf)
    close(run(X), joined(w, "attn.out", F.scaled_dot_product_attention(q, key, v, bias)))


def test_attention_with_capped_scores(probe: Any) -> None:
    run = layer(probe, "scored_attention[h = 4, k = 8](x, score = softcap(cap = 5))")
    scores = run.site("attn.scores", X).arranged("bhts")
    w = tensors(run)
    raw = torch.einsum("bhtk,bhsk->bhts", heads(w, "attn.q"), heads(w, "attn.key")) / math.sqrt(K)
    close(scores, 5 * torch.tanh(raw / 5))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_attention_with_rope(probe: Any, groups: int) -> None:
    run = layer(probe, f"grouped_attention[h = 4, g = {groups}, k = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    assert key.shape[1] == groups
    z = F.scaled_dot_product_attention(rotated(q), rotated(key), v, is_causal=True, enable_gqa=True)
    close(run(X), joined(w, "attn.out", z))
    assert {*run.sites()["attn.pattern"]} == {"b", "h", "t", "s"}
    close(run.site("attn.z", X).arranged("bhtk"), z)


def test_an_attention_sink(probe: Any) -> None:
    run = layer(probe, "sink_attention[h = 4, k = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    scores = (q @ key.mT / 8**0.5).masked_fill(torch.ones(T, T).triu(1) > 0, -torch.inf)
    sink = w["attn.sink"][:, None, None].expand(B, 4, T, 1)
    pattern = torch.cat([scores, sink], -1).softmax(-1)[..., :-1]
    close(run(X), joined(w, "attn.out", pattern @ v))


def test_sigmoid_attention(probe: Any) -> None:
    run = layer(probe, "sigmoid_attention[h = 4, k = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "v"))
    pattern = (q @ key.mT / 8**0.5 - np.log(T)).sigmoid().tril()
    close(run(X), joined(w, "attn.out", pattern @ v))


def test_cross_attention(probe: Any) -> None:
    run = probe(
        "model probe[d = 6, e = 5](x[b, t, d], y[b, s, e]) -> [b, t, d]:\n"
        "    attn = cross_attention[h = 4, k = 8](x, y)\n"
        "    return attn\n"
    )
    y = RNG.normal(size=(B, 4, 5))
    w = tensors(run)
    q, ty = heads(w, "attn.q"), torch.tensor(y)
    key, v = heads(w, "attn.key", ty), heads(w, "attn.v", ty)
    close(run(X, y), joined(w, "attn.out", F.scaled_dot_product_attention(q, key, v)))


# ---- recurrences


def torch_layer(module: torch.nn.RNNBase, w: dict[str, torch.Tensor]) -> torch.Tensor:
    module.double()
    flat = {
        "weight_ih_l0": w["y.seen.w"].flatten(1).T,
        "weight_hh_l0": w["y.kept.w"].flatten(1).T,
        "bias_ih_l0": w["y.seen.b"].flatten(),
        "bias_hh_l0": w["y.kept.b"].flatten(),
    }
    module.load_state_dict(flat)
    found: torch.Tensor = module(TX)[0].detach()
    return found


@pytest.mark.parametrize(
    ("name", "kind"), [("rnn", torch.nn.RNN), ("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)]
)
def test_recurrent_layers(probe: Any, name: str, kind: Any) -> None:
    run = probe(
        f"model probe[d = 6](x[b, t, d]) -> [b, t, n]:\n    y = {name}[n = 5](x)\n    return y\n"
    )
    close(run(X), torch_layer(kind(D, 5, batch_first=True), tensors(run)))


def test_a_cell_alone(probe: Any) -> None:
    run = probe(
        "model probe[d = 6, n = 5](x[b, d], y[b, n], c[b, n]) -> [b, n], [b, n]:\n"
        "    new, cell = lstm_cell(x, y, c)\n"
        "    return new, cell\n"
    )
    w = tensors(run)
    y, c = RNG.normal(size=(B, 5)), RNG.normal(size=(B, 5))
    wanted = torch.lstm_cell(
        TX[:, 0],
        (torch.tensor(y), torch.tensor(c)),
        w["lstm_cell.seen.w"].flatten(1).T,
        w["lstm_cell.kept.w"].flatten(1).T,
        w["lstm_cell.seen.b"].flatten(),
        w["lstm_cell.kept.b"].flatten(),
    )
    for found, expected in zip(run(X[:, 0], y, c), wanted, strict=True):
        close(found, expected)


def test_linear_attention_is_the_masked_product(probe: Any) -> None:
    run = layer(probe, "linear_attention[h = 4, k = 8, v = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "val"))
    weight = ((F.elu(q) + 1) @ (F.elu(key) + 1).mT).tril()
    close(run(X), joined(w, "attn.out", weight / weight.sum(-1, keepdim=True) @ v))


def test_retention_is_the_decayed_product(probe: Any) -> None:
    run = layer(probe, "retention[h = 4, k = 8, v = 8](x)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "val"))
    decay = 1 - 2.0 ** (-5 - torch.arange(H).double())
    gap = (torch.arange(T)[:, None] - torch.arange(T)).double()
    weight = (rotated(q) @ rotated(key).mT / math.sqrt(K)) * decay[:, None, None] ** gap
    z = weight.tril() @ v
    close(run(X), joined(w, "attn.out", opened(w, z)))


def opened(w: dict[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    """What `norm`, `open` and `gate` of a layer make of its memory's answers."""
    norm = F.rms_norm(z, z.shape[-1:], eps=1e-5) * w["attn.norm.w"]
    return norm * F.silu(heads(w, "attn.open"))


def test_gla_step_by_step(probe: Any) -> None:
    run = layer(probe, "gla[h = 4, k = 8, v = 5, r = 3](x, tau = 4)")
    w = tensors(run)
    q, key, v = (heads(w, f"attn.{name}") for name in ("q", "key", "val"))
    a = torch.sigmoid(heads(w, "attn.stay", TX @ w["attn.low.w"])) ** 0.25
    memory, z = torch.zeros(B, H, K, 5).double(), []
    for t in range(T):
        memory = a[:, :, t, :, None] * memory + key[:, :, t, :, None] * v[:, :, t, None]
        z.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], memory) / math.sqrt(K))
    close(run(X), joined(w, "attn.out", opened(w, torch.stack(z, 2))))


def test_gated_delta_step_by_step(probe: Any) -> None:
    run = layer(probe, "gated_delta[h = 4, k = 8, v = 5](x, width = 3)")
    run.params["attn.A"] = np.abs(run.params["attn.A"])
    w = tensors(run)

    def mixed(name: str) -> torch.Tensor:
        x = F.pad(heads(w, f"attn.{name}_in").movedim(2, -1), (2, 0))
        return F.silu((x.unfold(-1, 3, 1) * w[f"attn.{name}.w"][None, :, :, None]).sum(-1).mT)

    q, key, v = mixed("q"), mixed("key"), mixed("val")
    q, key = (y * torch.rsqrt((y**2).sum(-1, keepdim=True) + 1e-6) for y in (q, key))
    beta = torch.sigmoid(TX @ w["attn.beta.w"]).mT
    a = torch.exp(-w["attn.A"] * F.softplus(TX @ w["attn.step.w"] + w["attn.step.b"])).mT
    memory, z = torch.zeros(B, H, K, 5).double(), []
    for t in range(T):
        memory = a[:, :, t, None, None] * memory
        old = torch.einsum("bhk,bhkv->bhv", key[:, :, t], memory)
        new = beta[:, :, t, None] * (v[:, :, t] - old)
        memory = memory + key[:, :, t, :, None] * new[:, :, None]
        z.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], memory) / math.sqrt(K))
    close(run(X), joined(w, "attn.out", opened(w, torch.stack(z, 2))))
