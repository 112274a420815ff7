"""Learned maps and sparse dictionaries, against torch and NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.specs.test_std_layers import TX, X, close, tensors

RNG = np.random.default_rng(4)


def model(body: str, results: str = "[b, t, d]") -> str:
    lines = "".join(f"    {line}\n" for line in body.split("; "))
    return f"model probe[d = 6](x[b, t, d]) -> {results}:\n{lines}"


# ---- maps


def test_probes(probe: Any) -> None:
    body = "y = linear_probe[d -> c = 3](x); z = mlp_probe[m = 5, d -> c](x); return y, z"
    run = probe(model(body, "[b, t, c], [b, t, c]"))
    w = tensors(run)
    first, second = run(X)
    close(first, TX @ w["y.out.w"] + w["y.out.b"])
    hidden = F.relu(TX @ w["z.act.w"] + w["z.act.b"])
    close(second, hidden @ w["z.out.w"] + w["z.out.b"])


@pytest.mark.parametrize("sized", ["", " = 4"])
def test_rotation_is_orthogonal_whatever_is_learned(probe: Any, sized: str) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, f]:\n"
        f"    y = rotation[d -> f{sized}](x)\n"
        "    return y\n"
    )
    w = np.eye(6)
    for v in run.params["y.v"]:
        w = w - 2 * np.outer(v, v @ w) / (v @ v)
    w = w[:, : 4 if sized else 6]
    close(w.T @ w, np.eye(w.shape[1]))
    close(run.site("y.w", X).arranged("df"), w)
    close(run(X), X @ w)


def test_a_shared_rotation_there_and_back(probe: Any) -> None:
    run = probe(
        "model probe[d = 6](x[b, t, d]) -> [b, t, d]:\n"
        "    share r = rotation[d -> f = 4]\n"
        "    y = r(x)\n"
        "    z = r(2 * x)\n"
        "    return dot[f](r.w, z - y)\n"
    )
    w = run.site("y.w", X).arranged("df")
    close(run(X), X @ w @ w.T)


def test_an_invertible_map_goes_back(probe: Any) -> None:
    run = probe(
        model(
            "share f = invertible[d]; y = f(x); z = f(y, inverse = true); return y, z",
            "[b, t, d], [b, t, d]",
        )
    )
    there, back = run(X)
    close(back, X)
    up, down = run.params["f.up"], run.params["f.down"]
    first, second = X[..., :3], X[..., 3:]
    for turn in range(2):
        first = first + np.tanh(second @ up[turn, 0]) @ down[turn, 0]
        second = second + np.tanh(first @ up[turn, 1]) @ down[turn, 1]
    close(there, np.concatenate([first, second], -1))
    for down in run.params:
        if down.endswith("down"):
            run.params[down] = run.params[down] * 0  # as it starts
    assert (run(X)[0] == X).all()


def test_affine_steering(probe: Any) -> None:
    run = probe(
        model(
            "y = affine[d](x); z = sparse_affine[d](x, threshold = 0.5); return y, z",
            "[b, t, d], [b, t, d]",
        )
    )
    w = run.params
    whole, sparse = run(X)
    close(whole, X + X * w["y.scale"] + w["y.shift"])
    scale, shift = (
        np.sign(w[f"z.raw_{n}"]) * np.maximum(np.abs(w[f"z.raw_{n}"]) - 0.5, 0)
        for n in ("scale", "shift")
    )
    close(sparse, X + X * scale + shift)
    assert (sparse[..., (scale == 0) & (shift == 0)] == X[..., (scale == 0) & (shift == 0)]).all()


def test_masks(probe: Any) -> None:
    run = probe(
        model(
            "y = mask[d](x); z = binary_mask[d](x); u = concrete_mask[d](x); return y, z, u",
            "[b, t, d], [b, t, d], [b, t, d]",
        )
    )
    w = tensors(run)
    soft, hard, concrete = run(X)
    close(soft, TX * torch.sigmoid(w["y.strength"]))
    close(hard, TX * (w["z.strength"] > 0))
    close(concrete, TX * (torch.sigmoid(w["u.strength"]) * 1.2 - 0.1).clamp(0, 1))


def test_a_concrete_mask_is_drawn_while_it_is_trained(probe: Any) -> None:
    run = probe(model("y = concrete_mask[d](x); return y"), training=True)
    strength = run.params["y.strength"]
    u = run.site("y.u", X).array
    soft = 1 / (1 + np.exp(-(np.log(u) - np.log(1 - u) + strength) / 0.67))
    close(run(X), X * np.clip(soft * 1.2 - 0.1, 0, 1))
    close(run.site("y.chance", X).array, 1 / (1 + np.exp(-(strength - 0.67 * np.log(0.1 / 1.1)))))


# ---- dictionaries


def coded(run: Any) -> dict[str, Any]:
    w = tensors(run)
    pre = (TX - w["y.center"]) @ w["y.pre.w"] + w["y.pre.b"]
    return {"w": w, "pre": pre}


def check(run: Any, code: torch.Tensor, dictionary: torch.Tensor) -> None:
    """The sites of a dictionary, and that nothing is changed, to the bit."""
    w = tensors(run)
    assert (run(X) == X).all()
    close(run.site("y.code", X).arranged("btf"), code)
    decoded = code @ dictionary
    close(run.site("y.decoded", X).arranged("btd"), decoded)
    close(run.site("y.error", X).arranged("btd"), TX - decoded - w["y.center"])


def test_sae(probe: Any) -> None:
    run = probe(model("y = sae[d -> f = 9](x); return y"))
    own = coded(run)
    check(run, F.relu(own["pre"]), own["w"]["y.decode.w"])


def test_topk_sae(probe: Any) -> None:
    run = probe(model("y = topk_sae[d -> f = 9](x, pick = 3); return y"))
    own = coded(run)
    low = own["pre"].topk(3).values[..., -1:]
    check(run, F.relu(own["pre"].masked_fill(own["pre"] < low, 0)), own["w"]["y.decode.w"])


def test_batch_topk_sae(probe: Any) -> None:
    run = probe(model("y = batch_topk_sae[b, t, d -> f = 9](x, pick = 2); return y"))
    own = coded(run)
    low = own["pre"].flatten().topk(2 * 10).values[-1]
    check(run, F.relu(own["pre"].masked_fill(own["pre"] < low, 0)), own["w"]["y.decode.w"])


def test_gated_sae(probe: Any) -> None:
    run = probe(model("y = gated_sae[d -> f = 9](x); return y"))
    w = tensors(run)
    y = (TX - w["y.center"]) @ w["y.y.w"]
    pre = y + w["y.bias"]
    size = F.relu(y * w["y.stretch"].exp() + w["y.offset"])
    check(run, (pre > 0) * size, w["y.dictionary"])
    aside = TX - F.relu(pre) @ w["y.dictionary"] - w["y.center"]
    close(run.site("y.gate_error", X).arranged("btd"), aside)


def test_jumprelu_sae(probe: Any) -> None:
    run = probe(model("y = jumprelu_sae[d -> f = 9](x); return y"))
    own = coded(run)
    code = torch.where(own["pre"] > own["w"]["y.log_threshold"].exp(), F.relu(own["pre"]), 0)
    check(run, code, own["w"]["y.decode.w"])


def test_a_transcoder_is_beside_what_it_stands_for(probe: Any) -> None:
    body = "z = linear[d -> e = 5](x); y = transcoder[d -> f = 9, e](x, z); return y, z"
    run = probe(model(body, "[b, t, e], [b, t, e]"))
    w = tensors(run)
    found, z = run(X)
    assert (found == z).all()
    code = F.relu(TX @ w["y.pre.w"] + w["y.pre.b"])
    close(
        run.site("y.error", X).arranged("bte"),
        z - np.asarray(code @ w["y.decode.w"] + w["y.center"]),
    )


def test_a_transcoder_may_have_one_axis_on_both_sides(probe: Any) -> None:
    """What an argument has along the axis right of the arrow is not that on the left."""
    run = probe(model("z = tanh(x); y = transcoder[d -> f = 9, d](x, z); return y"))
    w = tensors(run)
    assert (run(X) == np.tanh(X)).all()
    code = F.relu(TX @ w["y.pre.w"] + w["y.pre.b"])
    close(
        run.site("y.error", X).arranged("btd"),
        np.tanh(X) - np.asarray(code @ w["y.decode.w"] + w["y.center"]),
    )


@pytest.mark.parametrize("kind", ["sae", "topk_sae", "gated_sae", "jumprelu_sae"])
def test_a_changed_code_changes_by_its_difference(probe: Any, kind: str) -> None:
    body = f"y = {kind}[d -> f = 9](x, change = clamped[f](at = 2, to = 1.5)); return y"
    run = probe(model(body))
    w = tensors(run)
    rows = w["y.dictionary"] if kind == "gated_sae" else w["y.decode.w"]
    code = run.site("y.code", X).arranged("btf")[..., 2]
    close(run(X), TX + (1.5 - torch.tensor(code))[..., None] * rows[2])
