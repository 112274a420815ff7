"""Every causal model that is shipped, and every block over positions, has a derived step."""

from __future__ import annotations

import pytest

from neuraxis import specs
from neuraxis.dsl.diagnostics import Slug, SpecError
from neuraxis.runtime.program import Program
from neuraxis.testing import check_decoding

MODEL = """
model probe[d = 4, vocab = 5](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    x_2 = x + {}
    return linear[d -> vocab](x_2)
"""
CAUSAL = (
    "causal_attention[h = 2, k = 2](x)",
    "window_attention[h = 2, k = 2](x, window = 3)",
    "window_attention[h = 2, k = 2](x, window = 1)",
    "scored_attention[h = 2, k = 2](x)",
    "scored_attention[h = 2, k = 2](x, score = bucketed_bias)",
    "grouped_attention[h = 4, g = 2, k = 2](x)",
    "linear_attention[h = 2, k = 2, v = 3](x)",
    "retention[h = 2, k = 2, v = 3](x)",
    "gla[h = 2, k = 2, v = 3, r = 2](x)",
    "hgrn2[h = 2, k = 2, v = 3](x)",
    "mlstm[h = 2, k = 2, v = 3](x)",
    "causal_conv[d -> o = 4](x, dilation = 2)[o -> d]",
    "shortconv[t, d](x)",
    "rnn[n = 4](x)[n -> d]",
    "gru[n = 4](x)[n -> d]",
    "lstm[n = 4](x)[n -> d]",
    "piecewise_rnn[n = 4](x)[n -> d]",
    "mingru[n = 4](x)[n -> d]",
    "hgrn[n = 4](x)",
    "selective[m = 4, n = 2](x)",
    "ssd[h = 2, p = 2, n = 2](x)",
    "delta[h = 2, k = 2, v = 3](x)",
    "descent[h = 2, k = 2, v = 3](x)",
    "gated_delta[h = 2, k = 2, v = 3](x)",
    "generalised_delta[h = 2, k = 2, v = 3](x)",
    "glu[m = 4](x)",
    "sinusoidal[d](t)",
    "cumsum[t](x) / (t + 1)",
    "cummax[t](x)",
    "shift[t](x, 2)",
    "x[t = 0]",
    "max[s](where(abs(t - s) <= 2 and s <= t, x[t -> s], -inf))",
    "dot[s](where(not (s > t), 1 / (1 + t - s), 0), x[t -> s])",
)
NOT_CAUSAL = {
    "attention[h = 2, k = 2](x)": "looks ahead",
    "mean[t](x)": "the mean over all positions",
    "conv1d[d -> o = 4](x)[o -> d]": "looks ahead",
    "shift[t](x, -1)": "reads up to 1 later position",
    "flip[t](x)": "is flip along all positions",
    "sort[t](x)": "is sort along all positions",
    "x[t = -1]": "counted from the end",
    "x[t = 1]": "reads position 1",
    "x * |t|": "how many positions",
    "max[s](where(s <= t + 1, x[t -> s], -inf))": "looks ahead",
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", CAUSAL)
def test_a_block_position_after_position_is_the_block(block: str, dtype: str) -> None:
    check_decoding(Program.from_text(MODEL.format(block)), parts=(3, 1, 1, 2), dtype=dtype)


@pytest.mark.parametrize("block", NOT_CAUSAL)
def test_what_looks_ahead_is_refused_where_it_does(block: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_decoding(Program.from_text(MODEL.format(block)))
    (found,) = caught.value.diagnostics
    assert found.slug is Slug.NOT_CAUSAL
    assert NOT_CAUSAL[block] in found.message


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("gpt2", {"d": 8, "vocab": 7, "h": 2, "L": 3, "ctx": 16}),
        ("gpt2", {"d": 8, "vocab": 7, "h": 2, "L": 2, "ctx": 16, "mixer": "gla"}),
        ("llama", {"d": 8, "vocab": 7, "h": 4, "g": 2, "L": 3, "m": 8}),
        ("neox", {"d": 16, "vocab": 7, "h": 2, "L": 2, "m": 8}),
        ("mistral", {"d": 8, "vocab": 7, "h": 4, "g": 2, "L": 2, "m": 8, "window": 3}),
        ("mixtral", {"d": 8, "vocab": 7, "h": 4, "g": 2, "L": 2, "m": 8, "e": 3}),
        ("gemma3", {"d": 8, "vocab": 7, "h": 2, "g": 1, "k": 4, "L": 3, "m": 8, "every": 2}),
        ("lstm_lm", {"d": 4, "vocab": 7}),
    ],
)
def test_a_shipped_model_position_after_position_is_the_model(
    name: str, given: dict[str, int | str], dtype: str
) -> None:
    program = Program.from_text(specs.read(f"models/{name}"))
    check_decoding(program, program.model(**given), parts=(4, 1, 1, 3, 1), dtype=dtype)


def test_a_shipped_model_that_sees_everything_has_no_step() -> None:
    program = Program.from_text(specs.read("models/bert"))
    with pytest.raises(SpecError) as caught:
        check_decoding(program, program.model(d=8, h=2, L=1, m=8, ctx=8, vocab=7))
    (found,) = caught.value.diagnostics
    assert found.slug is Slug.NOT_CAUSAL
    assert "`layer[0].attn.z` looks ahead" in found.message


@pytest.mark.cxx
def test_kernels_of_a_prompt_and_of_several_positions() -> None:
    text = MODEL.format("window_attention[h = 2, k = 2](x, window = 3)")
    text = text.replace(
        "    return", "    x_3 = x_2 + linear_attention[h = 2, k = 2, v = 2](x_2)\n    return"
    )
    text = text.replace("(x_2)\n\n", "(x_3)\n")
    check_decoding(Program.from_text(text), parts=(4, 2, 1, 3), dtype="float32")


def test_experts_that_a_router_picks() -> None:
    text = MODEL.format("dot[e](gate, many)").replace(
        "    x_2",
        "    bank e * 3:\n        many = mlp[m = 4](x)\n"
        "    scores = linear[d -> e](x)\n"
        "    gate = softmax[e](where(rank[e](scores) < 2, scores, -inf))\n    x_2",
    )
    check_decoding(Program.from_text(text))
