"""The decisions of the library: each is a site, and costs nothing as long as nobody asks for it."""

from __future__ import annotations

import pytest
import torch

from neuraxis.runtime.program import Program

IMAGE = "c = 3, i = 8, j = 8](x[b, c, i, j]) -> [b, c, i, j]"
TEXT = "d = 4](x[b, t, d]) -> [b, t, d]"
DECISIONS = {  # head, call, site, what is written, what the source has while it is not
    "layernorm": (TEXT, "layernorm[d](x)", "y.scale", "0.5 * it", "F.layer_norm"),
    "rmsnorm": (TEXT, "rmsnorm[d](x)", "y.scale", "0.5 * it", "F.rms_norm"),
    "l2norm": (TEXT, "l2norm[d](x)", "y.scale", "0.5 * it", "rsqrt"),
    "groupnorm": (IMAGE, "groupnorm[c, i, j, g = 3](x)", "y.scale", "0.5 * it", "F.layer_norm"),
    "batchnorm": (TEXT, "batchnorm[b, t -> d](x)", "y.scale", "0.5 * it", "F.batch_norm"),
    "relu": (TEXT, "relu(x)", "y.ratio", "x < 1", "F.relu"),
    "gelu": (TEXT, "gelu(x)", "y.ratio", "0.5 * it", "F.gelu"),
    "silu": (TEXT, "silu(x)", "y.ratio", "0.5 * it", "F.silu"),
    "attention": (
        TEXT,
        "causal_attention[h = 2, k = 2](x)",
        "y.pattern",
        "where(s == t, 1, 0)",
        "F.scaled_dot_product_attention",
    ),
    "glu": (TEXT, "glu[m = 4](x)", "y.gate.factor", "0.5 * it", "F.silu"),
    "maxpool": (IMAGE, "maxpool2d[i, j](x)", "y.index", "0", "F.max_pool2d"),
    "moe": (TEXT, "moe[e = 3](x)", "y.router.weights", "where(e == 1, 1, 0)", "softmax"),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_is_a_site_that_costs_nothing(name: str) -> None:
    head, call, site, written, fused = DECISIONS[name]
    text = f"model m[{head}:\n    y = {call}\n    return y\n"
    alone = Program.from_text(text).model()
    program = Program.from_text(f"{text}\nintervention i on m:\n    {site} = {written}\n")
    model = program.model()
    assert model._artifact.source == alone._artifact.source
    assert fused in alone._artifact.source
    assert len(model.sites(site)) == 1
    known = {"b": 2, "t": 5, "d": 4, "c": 3, "i": 8, "j": 8}
    shape = [known[axis] for axis in model.checked.inputs[0].order]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = model(x)
    torch.testing.assert_close(alone(x), before)
    changed = model.under("i")
    assert not torch.allclose(changed(x), before)
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("name", DECISIONS)
def test_reading_a_decision_changes_nothing(name: str) -> None:
    head, call, site, _, _ = DECISIONS[name]
    model = Program.from_text(f"model m[{head}:\n    y = {call}\n    return y\n").model()
    known = {"b": 2, "t": 5, "d": 4, "c": 3, "i": 8, "j": 8}
    shape = [known[axis] for axis in model.checked.inputs[0].order]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    trace = model.trace(x, sites=[site])
    assert list(trace) == [site]
    torch.testing.assert_close(trace.results[0], model(x))
