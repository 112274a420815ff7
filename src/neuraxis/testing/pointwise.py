"""Hypothesis strategies for specs of pointwise functions and reductions over rows."""

from __future__ import annotations

from hypothesis import strategies as st

UNARY = [
    "tanh({})", "sigmoid({})", "exp(-abs({}))", "log1p({} ^ 2)", "sqrt({} ^ 2 + 0.5)", "-{}",
    "softplus({})", "erf({})", "{} ^ 3", "1 / (2 + {} ^ 2)", "sin({})", "0.3 * {}", "{} ^ 4 / 8",
    "gelu({})", "silu({})",
]  # fmt: skip
BINARY = [
    "{} + {}", "{} * tanh({})", "{} - 0.5 * {}", "max({}, {})", "where({} > 0, {}, 1)",
    "{} / (1 + {} ^ 2)",
]  # fmt: skip
ALONG = [
    "softmax[d]({})", "layernorm[d]({})", "rmsnorm[d]({})", "{0} - mean[d]({0})",
    "{0} / sqrt(var[d]({0}) + 0.1)", "{0} + sum[d]({0})", "{0} * logsumexp[d]({0})",
    "log_softmax[d]({})", "{0} - max[d]({0})",
]  # fmt: skip


@st.composite
def chains(draw: st.DrawFn, count: int = 4) -> str:
    """A model `drawn` of several chains over rows along `d`, each a result of its own.

    They read a value of all axes, one for each row, one for each position of a row, and a number.
    """
    size = draw(st.sampled_from([1, 2, 15, 16, 19, 33]))
    lines = []
    for at in range(count):
        values = ["x", "y", "row", "gain", "w"]
        for step in range(draw(st.integers(2, 5))):
            name = f"v{at}_{step}"
            forms = draw(st.sampled_from([UNARY, UNARY, BINARY, ALONG]))
            first = draw(st.sampled_from([values[-1]] if step else ["x", "y"]))
            other = draw(st.sampled_from(values))
            text = draw(st.sampled_from(forms))
            holes = text.count("{}")
            lines.append(f"    {name} = {text.format(*[first, other, first][: max(holes, 1)])}")
            values.append(name)
        lines.append(f"    r{at} = {values[-1]} + 0 * x")
    results = ", ".join(f"r{at}" for at in range(count))
    types = ", ".join(["[b, t, d]"] * count)
    head = f"model drawn[d = {size}](x[b, t, d], y[b, t, d], row[b, t], gain[d]) -> {types}:"
    return "\n".join([head, "    param w[] = 0.7", *lines, f"    return {results}"]) + "\n"
