"""What comes back: gradients at sites, rules for the way back, attributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dsl.written import wrong
from tests.test_paths import DATA, MODEL, TOKENS, values

from neuraxis.runtime.program import Program
from neuraxis.testing.interventions import under


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(MODEL)


def slopes(program: Program, body: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The result under an intervention, and the gradients of a sum over it."""
    model = program.model()
    if body:
        lines = "".join(f"    {line}\n" for line in body.split("\n"))
        model = under(model, f"intervention i on tiny:\n{lines}")
    model = model.double()
    found = model(TOKENS)
    named = dict(model.named_parameters())
    back = torch.autograd.grad(found.tanh().sum(), list(named.values()))
    return found.detach(), dict(zip(named, back, strict=True))


@settings(max_examples=10, deadline=None)
@given(
    sites=st.sets(
        st.sampled_from(
            [
                "layer[*].attn.pattern", "layer[0].ffn.act.ratio", "layer[1].x", "final.scale",
                "layer[2].attn.z[h = 1]", "layer[*].mid[t >= 2]", "wte", "layer[1].attn.q.w",
            ]
        ),
        min_size=1, max_size=4,
    ),
    factor=st.sampled_from(["1", "0.5", "0", "-2"]),
)  # fmt: skip
def test_a_gain_leaves_the_values(program: Program, sites: set[str], factor: str) -> None:
    plain, before = slopes(program, "")
    found, back = slopes(program, "\n".join(f"gain {site} = {factor}" for site in sorted(sites)))
    assert torch.allclose(found, plain, rtol=1e-12, atol=1e-12)
    same = all(torch.allclose(back[n], before[n], rtol=1e-9, atol=1e-9) for n in before)
    assert same == (factor == "1")


def test_a_gain_at_the_end_scales_all(program: Program) -> None:
    _, before = slopes(program, "")
    _, back = slopes(program, "gain logits = 0.25")
    for name in before:
        assert torch.allclose(back[name], 0.25 * before[name])


def test_what_is_frozen_gets_nothing(program: Program) -> None:
    _, before = slopes(program, "")
    _, back = slopes(program, "freeze layer[1].attn.q.w\nfreeze layer[0].ffn")
    assert not back["layer.1.attn.q.w"].any()
    assert not back["layer.0.ffn.out.w"].any()
    assert torch.allclose(back["layer.2.attn.q.w"], before["layer.2.attn.q.w"])
    assert not torch.allclose(back["layer.0.attn.q.w"], before["layer.0.attn.q.w"])


def test_a_rule_of_a_parameter_is_of_all_that_comes_back(program: Program) -> None:
    """The embedding is read twice: its rule sees the sum."""
    _, before = slopes(program, "")
    _, back = slopes(program, "backward wte = clip(grad, -0.1, 0.1) + it")
    weights = program.model().double().state_dict()["wte"]
    assert torch.allclose(back["wte"], before["wte"].clip(-0.1, 0.1) + weights)


def test_a_rule_along_a_path_is_of_one_consumer(program: Program) -> None:
    found, back = slopes(program, "gain layer[0].x along {layer[1].attn} = 0")
    plain, before = slopes(program, "")
    _, cut = slopes(program, "freeze layer[1].attn.x")
    assert torch.allclose(found, plain)
    assert torch.allclose(back["layer.0.attn.q.w"], cut["layer.0.attn.q.w"])
    assert not torch.allclose(back["layer.0.attn.q.w"], before["layer.0.attn.q.w"])
    assert torch.allclose(back["layer.1.attn.q.w"], before["layer.1.attn.q.w"])


def test_rules_follow_each_other(program: Program) -> None:
    _, back = slopes(program, "gain logits = 0.5\nbackward logits = grad ^ 2")
    _, other = slopes(program, "backward logits = 0.5 * grad ^ 2")
    for name in back:
        assert torch.allclose(back[name], other[name])


BLOCK = """
block rounded(x[d]) -> [d]:
    y = x + stop(round(2 * x) / 2 - x)
    backward y = grad * (abs(it) < 1)
    return y

model m[d = 5](x[b, d]) -> [b, d]:
    return 3 * rounded(x)

model cell[d = 3](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry s[d] = 0
        drive = 0.9 * s + x
        backward drive = clip(grad, -0.5, 0.5)
        s = tanh(drive)
    return s
"""


def test_a_block_says_what_comes_back() -> None:
    model = Program.from_text(BLOCK).model("m")
    x = torch.tensor([[-1.6, -0.6, 0.1, 0.7, 1.6]], requires_grad=True)
    model(x).sum().backward()
    assert torch.equal(x.grad, torch.tensor([[0.0, 3, 3, 3, 0]]))


def test_a_rule_in_a_recurrence_is_of_each_step() -> None:
    model = Program.from_text(BLOCK).model("cell")
    x = torch.randn(2, 6, 3, requires_grad=True)
    model(x).mul(3).sum().backward()
    wanted, back = [], torch.zeros(2, 3)
    states = model(x).detach()
    for t in reversed(range(6)):
        back = ((3 + back) * (1 - states[:, t] ** 2)).clip(-0.5, 0.5)
        wanted.insert(0, back)
        back = 0.9 * back
    assert torch.allclose(x.grad, torch.stack(wanted, 1), atol=1e-5)


ATTRIBUTED = """
    run clean = tiny
    run other = tiny(tokens = (words.tokens + 3) % 16)
    measure gap(r) = sum[b](r.logits[t = -1, vocab = 3] - r.logits[t = -1, vocab = 5])
    attribute heads over l in layer, n in h:
        moved = clean.layer[l].attn.z[h = n] - other.layer[l].attn.z[h = n]
        sum[b, t, k](moved * grad(gap(other), layer[l].attn.z[h = n]))
    whole = grad(gap(other), other.layer[*].attn.z)
    one = grad(gap(other), other.layer[1].x)
    late = grad(gap(other), other.layer[*].x[t = -1])
    moves = clean.layer[*].attn.z - other.layer[*].attn.z
    weight = grad(gap(other), other.layer[2].ffn.out.w)
    tokens = words.tokens
    run z = other with layer[0].attn.z[h = 1] += 0.004
    run q = other with layer[2].attn.z += 0.004
    run x = other with layer[1].x += 0.004
    up_z = (gap(z) - gap(other)) / 0.004
    up_q = (gap(q) - gap(other)) / 0.004
    up_x = (gap(x) - gap(other)) / 0.004
"""


def test_gradients_at_sites_are_those_of_the_run() -> None:
    text = f"{MODEL}{DATA}experiment e of tiny on words:\n{ATTRIBUTED}"
    program = Program.from_text(text)
    found = program.run("e").values
    model = program.model()
    logits = model((torch.as_tensor(found["tokens"].values) + 3) % 16)
    gap = (logits[:, -1, 3] - logits[:, -1, 5]).sum()
    (wanted,) = torch.autograd.grad(gap, dict(model.named_parameters())["layer.2.ffn.out.w"])
    weight = found["weight"].transpose("m", "d").values
    assert np.allclose(weight, wanted.numpy(), atol=1e-5)
    for name, slope in (
        ("up_z", found["whole"].isel(layer=0, h=1)),
        ("up_q", found["whole"].isel(layer=2)),
        ("up_x", found["one"]),
    ):
        assert np.isclose(found[name], slope.sum(), rtol=0.02, atol=3e-3)
    late = found["late"].isel(layer=1)
    assert np.allclose(late, found["one"].isel(t=-1).transpose(*late.dims), atol=1e-6)
    heads = (found["moves"] * found["whole"]).sum(["b", "t", "k"])
    assert np.allclose(found["heads"], heads.transpose("layer", "h"), atol=1e-5)


def test_frozen_decisions_make_a_model_linear() -> None:
    """With all decisions held, what comes back to the input, times it, is the output: relevance is
    conserved. Without the rule of attention it is not."""
    found = values(
        """
    run plain = bare
    measure out(r) = sum[b](r.logits[t = -1, vocab = 3])
    run rules = plain with held
    run fewer = plain with partly
    a = out(plain)
    c = sum[b, t, d](rules.start * grad(out(rules), rules.start))
    e = sum[b, t, d](fewer.start * grad(out(fewer), fewer.start))
    """,
        """
model bare[d = 8, vocab = 16](tokens[b, t]: int, L = 2) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    start = wte[vocab = tokens]
    x = start
    repeat layer * L:
        attn = causal_attention[h = 2, k = 4](rmsnorm[d](x), bias = false)
        mid = x + attn
        ffn = mlp(rmsnorm[d](mid), bias = false)
        x = mid + ffn
    final = rmsnorm[d](x)
    logits = linear[d -> vocab](final, bias = false)
    return logits

intervention partly on bare:
    gain layer[*].rmsnorm.scale = 0
    gain layer[*].rmsnorm.2.scale = 0
    gain final.scale = 0
    gain layer[*].ffn.act.ratio = 0

intervention held on bare with partly:
    gain layer[*].attn.pattern = 0
""",
        of="bare",
    )
    assert np.isclose(found["a"], found["c"], rtol=1e-4)
    assert abs(found["a"] - found["e"]) > 0.05 * abs(found["a"])


@pytest.mark.parametrize(
    ("step", "slug"),
    [
        ("gain layer[0].nothing = 0", "unknown-site"),
        ("gain tokens = 0", "wrong-dtype"),
        ("backward layer[0].x = nothing", "unknown-name"),
        ("backward layer[0].x = grad[t = 0]", None),
        ("gain layer[0].x[q = 1] = 0", "unknown-axis"),
        ("backward layer[0].x = layer[0].attn.z", "axis-mismatch"),
    ],
)
def test_what_is_wrong_with_a_rule(step: str, slug: str | None) -> None:
    text = f"{MODEL}\nintervention i on tiny:\n    {step}\n"
    if slug is None:
        Program.from_text(text)
    else:
        assert slug in wrong(text)


@pytest.mark.parametrize(
    ("lines", "slug"),
    [
        (
            "run a = tiny\n    attribute s over l in layer:\n        run r = tiny\n        1.0",
            "misplaced",
        ),
        ("run a = tiny\n    x = grad(sum[b, t, vocab](a.logits), a.nothing)", "unknown-site"),
        (
            "run a = tiny\n    run c = tiny\n"
            "    x = grad(sum[b, t, vocab](a.logits * c.logits), layer[0].x)",
            "unknown-site",
        ),
    ],
)
def test_what_is_wrong_with_an_attribution(lines: str, slug: str) -> None:
    assert slug in wrong(f"{MODEL}\n{DATA}experiment e of tiny on words:\n    {lines}\n")
