"""The law of ragged batches: each example of a batch is what it is alone."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.emitted import doubles, inputs_of, module
from tests.compiler.studies import parameters

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.lengths import UnsupportedError
from neuraxis.compiler.passes.pad import pad
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.reference.evaluate import finite_gradient
from neuraxis.compiler.verify import verify
from neuraxis.dsl import sizes as size_rules
from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph
    from neuraxis.dsl.program import CheckedModel

HEAD = """
block real(x[t]) -> [t]:
    re, im = fft[t -> f](x)
    return sum[f](f * (re + im)) * (x + re[f -> t] - 2 * im[f -> t])

block counted(x[b, t]) -> [b, t]:
    scan t:
        carry y[b] = 0
        y = y + mean[b](x)
    return y

model m[d = 2, g = 2](x[b, t of b, d], n[b, t]: int) -> """

ROWS = {  # what is returned, and its type
    "sum": ("sum[t](x)", "[b, d]"),
    "prod": ("prod[t](x)", "[b, d]"),
    "norm": ("norm[t, d](x)", "[b]"),
    "mean": ("mean[t](x)", "[b, d]"),
    "mean of all": ("mean[d, t](x)", "[b]"),
    "mean over examples": ("mean[b, t, d](x)", "[]"),
    "var": ("var[t](x)", "[b, d]"),
    "max": ("max[t](x) + min[t](n)", "[b, d]"),
    "max of ints": ("max[t](n)", "[b]"),
    "max of truths": ("max[t](n > 2) + min[t](n > 2)", "[b]"),
    "argmax": ("argmax[t](x) + argmin[t](n)", "[b, d]"),
    "any": ("any[t](n > 2)", "[b]"),
    "all": ("all[t](n > 2)", "[b]"),
    "logsumexp": ("logsumexp[t](x) + logsumexp[t](n > 2)", "[b, d]"),
    "size": ("x / |t|", "[b, t, d]"),
    "index from the end": ("where(t == |t| - 1, x, 0)", "[b, t, d]"),
    "dot": ("dot[t](x, n, x[d -> e])", "[b, d, e]"),
    "softmax": ("softmax[t](x)", "[b, t, d]"),
    "softmax of both": ("softmax[t, d](x)", "[b, t, d]"),
    "log softmax": ("log_softmax[t](n)", "[b, t]"),
    "cumsum": ("cumsum[t](x) + cummax[t](x) + cumprod[t](x)", "[b, t, d]"),
    "sort": ("sort[t](x) + argsort[t](x)", "[b, t, d]"),
    "rank": ("rank[t](n)", "[b, t]"),
    "flip": ("flip[t](x)", "[b, t, d]"),
    "last": ("x[t = -1]", "[b, d]"),
    "all but the last": ("sum[t](x[t = 0..-1])", "[b, d]"),
    "from the second": ("mean[t](x[t = 1..] * x[t = 0..-1])", "[b, d]"),
    "the last two": ("x[t = -2..]", "[b, t, d]"),
    "stride": ("sum[t](x[t = 2 * t])", "[b, d]"),
    "shift": ("shift[t](x, 1) + shift[t](x, -1)", "[b, t, d]"),
    "gather": ("x[t = 2 * |t| // 2 - 1 - int(n / 9)]", "[b, t, d]"),
    "gather or else": ("x[t = t + n else 9]", "[b, t, d]"),
    "pairs": ("sum[s](where(s < t, x * x[t -> s], 0))", "[b, t, d]"),
    "other order": ("mean[t](max[s](x + 2 * x[t -> s]))", "[b, d]"),
    "attention": ("attention[h = 2, k = 2](x)", "[b, t, d]"),
    "causal attention": ("causal_attention[h = 2, k = 2](x)", "[b, t, d]"),
    "window attention": ("window_attention[h = 2, k = 2](x, window = 2)", "[b, t, d]"),
    "grouped attention": ("grouped_attention[h = 4, g = 2, k = 2](x)", "[b, t, d]"),
    "causal convolution": ("shortconv[t, d](x, width = 3)", "[b, t, d]"),
    "convolution": ("conv1d[d -> d](x)", "[b, t, d]"),
    "strided convolution": ("max[t](conv1d[d -> d](x, stride = 2))", "[b, d]"),
    "recurrence": ("lstm[n = 2](x)", "[b, t, n]"),
    "quantile": ("quantile[t](x, 0.3)", "[b, d]"),
    "quantile of both": ("quantile[d, t](x, 0.9) + quantile[t](n, 1)", "[b]"),
    "itself twice": ("concat[t](x, 2 * x, 3 * x)", "[b, t, d]"),
    "something in front": ("concat[t](x[t = 0..1], x)", "[b, t, d]"),
    "something behind": ("sum[t](cumsum[t](concat[t](x, x[t = 0..1])))", "[b, d]"),
    "a merge, the axis first": ("cumsum[m](x[(t, d) -> m])", "[b, m]"),
    "a merge, the axis last": ("cumsum[m](x[(d, t) -> m])", "[b, m]"),
    "a merge of it with itself": (
        "sum[r](rank[r]((x * n[t -> s])[(t, s) -> r]) * (x[t -> s] * n)[(t, s) -> r])",
        "[b, d]",
    ),
    "a split, the axis first": ("x[(t, d) -> m][m -> (u, g)] * (u + 1)", "[b, u, g]"),
    "a split, the axis last": ("x[(t, d) -> m][m -> (g, u)] * (u + 1)", "[b, g, u]"),
    "a transform": ("real(x)", "[b, t, d]"),
    "a window from the end": ("sum[t](n[t = t + |t| - 2 else 7])", "[b]"),
}
MOVES = "puts other examples in their places, and each has its own length"
SCANS = {
    "last carry": """
        scan t:
            carry y[d] = 0
            y = tanh(y + x)
        return y[t = -1]
    """,
    "reversed": """
        scan t reversed:
            carry y[d] = 0
            carry c = 0
            c = c + 1
            y = 0.5 * y + c * x
        return y[t = 0] + sum[t](y)
    """,
    "reads all at each step": """
        v = x[t -> s]
        scan t:
            carry y[d] = 0
            y = tanh(y + x) + dot[s](softmax[s](v), v) / |s|
        return y[t = -1]
    """,
    "one in another": """
        v = x[t -> s]
        scan t:
            carry y[d] = 0
            scan s:
                carry z[d] = 0
                z = tanh(z + v * y)
            y = x + z[s = -1]
        return y[t = -1]
    """,
}


def model(body: str, kind: str) -> CheckedModel:
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    checked = check_text("ragged.nax", f"{HEAD}{kind}:\n{lines}\n")
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    return checked.models["m"]


def arrays(graph: Graph, lengths: list[int]) -> dict[str, NamedArray]:
    """Inputs of a batch; behind the ends stand numbers that would be seen."""
    stream = np.random.default_rng(sum(lengths))
    known = {"b": len(lengths), "t": max(lengths)}
    found = {}
    for node in map(graph.node, graph.in_order()):
        if node.op is INPUT and not (node.site or "").startswith("lengths."):
            shape = [size_rules.evaluate(axis.size, known) for axis in node.axes]
            whole = node.dtype is DType.INT
            array: Any = stream.integers(0, 5, shape) if whole else stream.normal(size=shape)
            found[node.site or ""] = NamedArray(names(node.axes), array)
    return found


def check(found: CheckedModel, lengths: list[int]) -> None:
    """The law, on the padded program and on what the passes make of it."""
    graph = build(found)
    padded = pad(graph, found.ragged)
    verify(padded, "pad")
    inputs, params = arrays(graph, lengths), parameters(found.body)
    both = inputs | {"lengths.t": NamedArray(("b",), np.array(lengths))}
    batch = evaluate(padded, both, params)
    tidy = evaluate(compile_graph(padded, Context(verify=False)), both, params)
    for place, length in enumerate(lengths):
        one = {
            name: NamedArray(value.axes, value.arranged(value.axes)[place : place + 1, :length])
            for name, value in inputs.items()
        }
        alone = evaluate(graph, one, params)
        for several in (batch, tidy):
            for value, want in zip(several, alone, strict=True):
                cut = tuple(
                    slice(place, place + 1) if axis == "b" else slice(want.sizes[axis])
                    for axis in want.axes
                )
                np.testing.assert_allclose(value.arranged(want.axes)[cut], want.array, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in ROWS if row != "mean over examples"])
@settings(max_examples=5)
@given(lengths=st.lists(st.integers(2, 5), min_size=1, max_size=3))
def test_an_example_of_a_batch_is_what_it_is_alone(row: str, lengths: list[int]) -> None:
    expression, kind = ROWS[row]
    check(model(f"return {expression}", kind), lengths)


@pytest.mark.parametrize("body", SCANS.values(), ids=SCANS)
@settings(max_examples=5)
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_recurrences_stop_at_the_end_of_each_example(body: str, lengths: list[int]) -> None:
    check(model(body, "[b, d]"), lengths)


def test_a_mean_over_examples_is_over_all_that_exists() -> None:
    found = model("return mean[b, t, d](x)", "[]")
    graph = build(found)
    inputs = arrays(graph, [4, 2])
    lengths = {"lengths.t": NamedArray(("b",), np.array([4, 2]))}
    (value,) = evaluate(pad(graph, found.ragged), inputs | lengths)
    x = inputs["x"].arranged(("b", "t", "d"))
    np.testing.assert_allclose(value.array, (x[0].sum() + x[1, :2].sum()) / 12)


OVER_EXAMPLES = {  # what is returned; and what each position makes of the examples that have it
    "mean": ("mean[b](x)", lambda x: x.mean(0)),
    "sum": ("sum[b](x)", lambda x: x.sum(0)),
    "max": ("max[b](x)", lambda x: x.max(0)),
    "var": ("var[b](x)", lambda x: x.var(0)),
    "quantile": ("quantile[b](x, 0.4)", lambda x: np.quantile(x, 0.4, axis=0)),
    "dot": ("dot[b](x, x)", lambda x: (x * x).sum(0)),
    "mean of two": ("mean[b, d](x * d)", lambda x: (x * [0, 1]).mean()),
    "centred": ("mean[b]((x - mean[b](x)) ^ 2)", lambda x: x.var(0)),
    "softmax": ("dot[b](softmax[b](x), x)", lambda x: (softmax(x) * x).sum(0)),
    "running sum": ("max[b](cumsum[b](x))", lambda x: x.cumsum(0).max(0)),
}


@pytest.mark.parametrize("row", [*ROWS, *OVER_EXAMPLES])
def test_what_is_emitted_computes_the_same_and_has_its_gradients(row: str) -> None:
    expression, kind = ROWS.get(row) or (OVER_EXAMPLES[row][0], "[t, d]")
    if row == "mean of two":
        kind = "[t]"
    found = model(f"return {expression}", kind)
    padded = pad(build(found), found.ragged)
    params, lengths = parameters(found.body), [4, 2, 3]
    given_ = arrays(build(found), lengths) | {"lengths.t": NamedArray(("b",), np.array(lengths))}
    graph = compile_graph(padded, Context(verify=False))
    wanted = evaluate(padded, given_, params)
    nodes = [graph.node(n) for n in graph.in_order() if graph.node(n).op is INPUT]
    by_name = {node.name: given_[node.site or ""] for node in nodes}
    with doubles():
        made = module(graph, params)
        tensors = inputs_of(graph, by_name)
        floats = [tensor.requires_grad_() for tensor in tensors if tensor.is_floating_point()]
        value = made(*tensors)
        axes = names(graph.node(graph.results[0]).axes)
        np.testing.assert_allclose(
            value.detach().numpy(), wanted[0].arranged(axes), rtol=1e-9, atol=1e-9
        )
        if not value.requires_grad:
            return
        torch.where(value.isfinite(), value, 0).cos().sum().backward()

    def total(x: Any) -> float:
        changed = given_ | {"x": NamedArray(("b", "t", "d"), x)}
        array = evaluate(padded, changed, params)[0].array
        return float(np.cos(np.where(np.isfinite(array), array, 0)).sum())

    slope = finite_gradient(total, given_["x"].arranged(("b", "t", "d")))
    gradient = floats[0].grad
    assert gradient is not None
    np.testing.assert_allclose(gradient.numpy(), slope, atol=1e-5)


def softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(0)


@pytest.mark.parametrize("row", OVER_EXAMPLES)
@settings(max_examples=5)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_a_position_is_made_of_the_examples_that_have_it(row: str, lengths: list[int]) -> None:
    expression, function = OVER_EXAMPLES[row]
    kind = "[t]" if "d]" in expression else "[t, d]"
    value, inputs = joined(f"return {expression}", kind, lengths)
    for t in range(max(lengths)):
        having = [x[t] for x, length in zip(inputs, lengths, strict=True) if t < length]
        np.testing.assert_allclose(
            value.arranged(("t", "d")[: value.array.ndim])[t],
            function(np.array(having)),
            atol=1e-12,
        )


@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_what_was_made_of_several_examples_is_as_long_as_the_longest(lengths: list[int]) -> None:
    body = """
        y = mean[b](x)
        scan t:
            carry z[d] = 0
            z = 0.5 * z + y
        return sum[t](t * y) / |t| + 0 * mean[b](x[t = 0]) + z[t = -1]
    """
    value, inputs = joined(body, "[b, d]", lengths)
    means = [
        np.mean([x[t] for x, n in zip(inputs, lengths, strict=True) if t < n], axis=0)
        for t in range(max(lengths))
    ]
    carry = np.zeros(2)
    for mean in means:
        carry = 0.5 * carry + mean
    total = sum(t * mean for t, mean in enumerate(means))
    want = [total / length + carry for length in lengths]
    np.testing.assert_allclose(value.arranged(("b", "d")), want, atol=1e-12)


def joined(body: str, kind: str, lengths: list[int]) -> tuple[NamedArray, Any]:
    """What a model gives for a batch whose arrays are longer than the longest example; and x."""
    found = model(body, kind)
    graph = build(found)
    inputs = arrays(graph, [*lengths, max(lengths) + 1])
    inputs = {name: NamedArray(v.axes, v.array[: len(lengths)]) for name, v in inputs.items()}
    given = inputs | {"lengths.t": NamedArray(("b",), np.array(lengths))}
    padded = pad(graph, found.ragged)
    verify(padded, "pad")
    (value,) = evaluate(padded, given)
    (tidy,) = evaluate(compile_graph(padded, Context(verify=False)), given)
    np.testing.assert_allclose(tidy.arranged(value.axes), value.array, atol=1e-12)
    return value, inputs["x"].arranged(("b", "t", "d"))


def test_what_looks_back_only_needs_no_lengths() -> None:
    body = "z = causal_attention[h = 2, k = 2](x)\nreturn cumsum[t](z)"
    padded = pad(build(model(body, "[b, t, d]")), {"t": "b"})
    assert padded.at_site("lengths.t") is None
    assert len(padded) == len(build(model(body, "[b, t, d]")))


def test_attention_is_masked_once() -> None:
    body = "z = attention[h = 2, k = 2](x)\nreturn attention[h = 2, k = 2](z)"
    padded = pad(build(model(body, "[b, t, d]")), {"t": "b"})
    added = [n for n in map(padded.node, padded.in_order()) if n.made_by == "pad"]
    # lengths; along s and t an index, and where it is less; 0 and the input; -inf and a softmax
    assert len(added) == 1 + 2 * 2 + 2 + 2 * 2


@pytest.mark.parametrize(
    ("expression", "kind", "said"),
    [
        ("x[b = 0]", "[t, d]", f"index {MOVES}"),
        ("sort[b](x)", "[b, t, d]", f"sort[b] {MOVES}"),
        ("x[b -> c]", "[c, t, d]", f"rename {MOVES}"),
        ("shift[b](x, 1)", "[b, t, d]", f"index {MOVES}"),
        ("concat[b](x, x)", "[b, t, d]", f"concat {MOVES}"),
        ("x[(b, t) -> m]", "[m, d]", f"rename {MOVES}"),
        (
            "counted(x)",
            "[b, t, d]",
            "mean[b] puts examples together at a step that some of them do not have",
        ),
        ("concat[t](x, mean[b](x))", "[b, t, d]", "concat puts it beside one that all share"),
    ],
)
def test_what_has_no_meaning_for_ragged_axes_is_said(expression: str, kind: str, said: str) -> None:
    found = model(f"y = {expression}\nreturn y", kind)
    with pytest.raises(UnsupportedError) as error:
        pad(build(found), found.ragged)
    assert error.value.message == f"`t` has a length for each `b`: {said}"
    assert error.value.span.text in expression or error.value.span.text in HEAD


def test_sizes_that_are_known_are_left_alone() -> None:
    found = model("return sum[t](x)", "[b, d]")
    assert pad(build(found), {}).to_body() == found.body


@pytest.mark.parametrize("made", ["sort[t](x)", "log_softmax[t](x)"])
def test_nothing_infinite_stands_behind_the_end(made: str) -> None:
    """What is multiplied with it there would have no gradient."""
    padded = pad(build(model(f"return x * {made}", "[b, t, d]")), {"t": "b"})
    x = NamedArray(("b", "t", "d"), np.random.default_rng(0).normal(size=(2, 4, 2)))
    n = NamedArray(("b", "t"), np.zeros((2, 4), int))
    lengths = NamedArray(("b",), np.array([4, 2]))
    (found,) = evaluate(padded, {"x": x, "n": n, "lengths.t": lengths})
    assert np.isfinite(found.array).all()
