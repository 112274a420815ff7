"""`pack` and `unpack`: what is computed of packed positions is computed of those alone."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.emitted import doubles, module
from tests.compiler.passes.test_pad import ROWS
from tests.compiler.studies import parameters

from neuraxis.compiler.build import build, graph_of
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.passes.pad import pad
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.reference.evaluate import finite_gradient
from neuraxis.compiler.verify import verify
from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import SpecError

if TYPE_CHECKING:
    from neuraxis.dsl.program import CheckedModel

UNKNOWN = {  # they need so many positions: how many are packed is not known before the model runs
    "all but the last",
    "from the second",
    "the last two",
    "a split, the axis first",
    "a split, the axis last",
    "something in front",
    "something behind",
}
OWN = {row for row in ROWS if row not in UNKNOWN and row != "mean over examples"}
masks = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=3)

BLOCKS = """
block real(x[t]) -> [t]:
    re, im = fft[t -> f](x)
    return sum[f](f * (re + im)) * (x + re[f -> t] - 2 * im[f -> t])

block row[d = 2, g = 2](x[t, d], n[t]: int) -> {kind}:
    return {row}

"""
PACKED = """
model m[d = 2](x[b, t of b, d], n[b, t]: int, on[b, t]: bool) -> {kind}:
    return row[t = s](pack[t -> s](x, on), pack[t -> s](n, on))
"""
PLAIN = """
model m[d = 2](x[b, t, d], n[b, t]: int) -> {kind}:
    return row(x, n)
"""


def read(text: str) -> CheckedModel:
    checked = check_text("packed.nax", textwrap.dedent(text))
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    return checked.models["m"]


def inputs_of(on: Any, seed: int = 0) -> dict[str, NamedArray]:
    stream = np.random.default_rng(seed)
    mask = np.array(on, bool)
    return {
        "x": NamedArray(("b", "t", "d"), stream.normal(size=(*mask.shape, 2))),
        "n": NamedArray(("b", "t"), stream.integers(0, 5, mask.shape)),
        "on": NamedArray(("b", "t"), mask),
    }


def values(model: CheckedModel, inputs: dict[str, NamedArray]) -> list[NamedArray]:
    """The results, before and after the passes."""
    graph = build(model)
    verify(graph, "build")
    params = parameters(graph.to_body())
    found = evaluate(graph, inputs, params)
    tidy = evaluate(compile_graph(graph, Context(verify=False)), inputs, params)
    for one, other in zip(found, tidy, strict=True):
        np.testing.assert_allclose(other.arranged(one.axes), one.array, atol=1e-12)
    return found


@pytest.mark.parametrize("row", sorted(OWN))
@settings(max_examples=5)
@given(on=masks)
def test_packed_positions_are_a_sequence_of_their_own(row: str, on: list[list[bool]]) -> None:
    for mask in on:
        mask[:2] = [True, True]  # some rows need two
    expression, kind = ROWS[row]
    own = kind.replace("b, ", "").replace("[b]", "[]").replace("[b", "[")
    blocks = BLOCKS.format(kind=own, row=expression)
    packed = read(blocks + PACKED.format(kind=kind.replace("t", "s")))
    plain = read(blocks + PLAIN.format(kind=kind))
    inputs = inputs_of(on)
    (several,) = values(packed, inputs)
    graph = build(plain)
    params = parameters(build(packed).to_body())
    for place, mask in enumerate(on):
        alone = {
            name: NamedArray(inputs[name].axes, inputs[name].array[place : place + 1, mask])
            for name in ("x", "n")
        }
        (want,) = evaluate(graph, alone, params)
        axes = tuple("s" if axis == "t" else axis for axis in want.axes)
        size = dict(zip(axes, want.array.shape, strict=True))
        cut = tuple(slice(place, place + 1) if axis == "b" else slice(size[axis]) for axis in axes)
        np.testing.assert_allclose(several.arranged(axes)[cut], want.array, atol=1e-12)


def mean(x: Any) -> Any:
    return x.sum(0) / max(len(x), 1)


def scattered(rows: Any, places: Any, count: int) -> Any:
    found = np.zeros((count, *rows.shape[1:]))
    found[places] = rows
    return found


def carried(x: Any) -> Any:
    """All states of a leaky sum; one of zeros if there is nothing."""
    states = [np.zeros(2)]
    for step in x:
        states.append(0.5 * states[-1] + step)
    return states[1:] or states


def steps(x: Any, n: Any, on: Any) -> Any:
    """At each position, those not larger are packed."""
    rows = [x[on & (n <= top)] for top in n]
    return carried([(y * (np.arange(len(y)) + 1)[:, None]).sum(0) for y in rows])[-1]


HEAD = "model m[d = 2](x[b, t of b, d], n[b, t]: int, on[b, t]: bool) -> "
WHOLE = {  # what is returned, and what that is for one example
    "back again": (
        "[b, t, d]",
        "return unpack[s -> t](pack[t -> s](x, on), on)",
        lambda x, n, on: np.where(on[:, None], x, 0),
    ),
    "centred": (
        "[b, t, d]",
        """
        y = pack[t -> s](x, on)
        return unpack[s -> t](y - mean[s](y), on)
        """,
        lambda x, n, on: np.where(on[:, None], x - mean(x[on]), 0),
    ),
    "their number": (
        "[b]",
        "y = pack[t -> s](x, on)\nreturn |s| + 0 * sum[s, d](y)",
        lambda x, n, on: on.sum(),
    ),
    "the first two": (
        "[b, t, d]",
        """
        y = pack[t -> s = 2](x, on)
        return unpack[s -> t](cumsum[s](y) + 0 * sum[s](y), on)
        """,
        lambda x, n, on: scattered(np.cumsum(x[on][:2], 0), np.flatnonzero(on)[:2], 5),
    ),
    "half of them": (
        "[b, d]",
        "return sum[s](pack[t -> s = |t| // 2](x, on)) ",
        lambda x, n, on: x[on][:2].sum(0),
    ),
    "truths": (
        "[b]",
        "return any[s](pack[t -> s](n > 3, on)) + any[t](unpack[s -> t](pack[t -> s](on, on), on))",
        lambda x, n, on: int((n[on] > 3).any()) + on.any(),
    ),
    "the last, if there is one": (
        "[b, d]",
        "return pack[t -> s](x, on)[s = -1]",
        lambda x, n, on: x[on][-1] if on.any() else np.zeros(2),
    ),
    "the second, or else": (
        "[b, d]",
        "return pack[t -> s](x, on)[s = 1 else 7]",
        lambda x, n, on: x[on][1] if on.sum() > 1 else np.full(2, 7),
    ),
    "two masks": (
        "[b]",
        """
        y = pack[t -> s](x, on)
        z = pack[t -> r](x, not on)
        return sum[s, r](dot[d](y, z)) + max[s](s * pack[t -> s](n, on) + 1.0)
        """,
        lambda x, n, on: (
            (x[on] @ x[~on].T).sum() + max([-np.inf, *(n[on] * np.arange(on.sum()) + 1.0)])
        ),
    ),
    "distances": (
        "[b, t]",
        """
        y = pack[t -> s](x, on)
        near = sum[r](where(r <= s, dot[d](y, y[s -> r]), 0) / |s|)
        return unpack[s -> t](near, on)
        """,
        lambda x, n, on: scattered(
            np.tril(x[on] @ x[on].T).sum(1) / max(on.sum(), 1), np.flatnonzero(on), 5
        ),
    ),
    "in a scan": (
        "[b, d]",
        """
        y = pack[t -> s](x, on)
        scan t:
            carry z[d] = 0
            z = 0.5 * z + sum[s](y * (s + 1)) * x
        return z[t = -1]
        """,
        lambda x, n, on: carried(x * (x[on] * (np.arange(on.sum()) + 1)[:, None]).sum(0))[-1],
    ),
    "along a scan": (
        "[b, d]",
        """
        y = pack[t -> s](x, on)
        scan s:
            carry z[d] = 0
            z = 0.5 * z + y
        return z[s = -1] + sum[s](z)
        """,
        lambda x, n, on: sum(carried(x[on]), carried(x[on])[-1]),
    ),
    "one for each step": (
        "[b, d]",
        """
        v = x[t -> r]
        seen = on[t -> r]
        size = n[t -> r]
        scan t:
            carry z[d] = 0
            y = pack[r -> s](v, seen and size <= n)
            z = 0.5 * z + sum[s](y * (s + 1))
        return z[t = -1]
        """,
        lambda x, n, on: steps(x, n, on),
    ),
    "packed before, for each step": (
        "[b, d]",
        """
        v = x[t -> r]
        y = pack[r -> s](v, on[t -> r] and n[t -> r] <= n)
        scan t:
            carry z[d] = 0
            z = 0.5 * z + sum[s](y * (s + 1))
        return z[t = -1]
        """,
        lambda x, n, on: steps(x, n, on),
    ),
}


@pytest.mark.parametrize("row", WHOLE)
@settings(max_examples=10)
@given(on=masks)
def test_what_is_packed_is_what_the_mask_holds_for(row: str, on: list[list[bool]]) -> None:
    kind, body, function = WHOLE[row]
    model = read(f"{HEAD}{kind}:\n{textwrap.indent(textwrap.dedent(body), '    ')}\n")
    inputs = inputs_of(on)
    (found,) = values(model, inputs)
    for place in range(len(on)):
        x, n, mask = (inputs[name].array[place] for name in ("x", "n", "on"))
        value = found.arranged(tuple(kind.strip("[]").split(", ")))[place]
        np.testing.assert_allclose(value, function(x, n, mask), atol=1e-12)


@pytest.mark.parametrize("row", WHOLE)
@settings(max_examples=5)
@given(on=masks, data=st.data())
def test_examples_of_several_lengths_are_packed_alone(
    row: str, on: list[list[bool]], data: st.DataObject
) -> None:
    kind, body, _ = WHOLE[row]
    model = read(f"{HEAD}{kind}:\n{textwrap.indent(textwrap.dedent(body), '    ')}\n")
    graph, inputs = build(model), inputs_of(on)
    lengths = [data.draw(st.integers(2, 5)) for _ in on]
    given_ = inputs | {"lengths.t": NamedArray(("b",), np.array(lengths))}
    padded = pad(graph, model.ragged)
    verify(padded, "pad")
    (several,) = evaluate(padded, given_)
    for place, length in enumerate(lengths):
        one = {
            name: NamedArray(v.axes, v.array[place : place + 1, :length])
            for name, v in inputs.items()
        }
        (want,) = evaluate(graph, one)
        cut = tuple(
            slice(place, place + 1) if axis == "b" else slice(want.sizes[axis])
            for axis in want.axes
        )
        np.testing.assert_allclose(several.arranged(want.axes)[cut], want.array, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in WHOLE if row not in ("truths", "their number")])
def test_gradients_go_to_what_is_packed(row: str) -> None:
    kind, body, _ = WHOLE[row]
    model = read(f"{HEAD}{kind}:\n{textwrap.indent(textwrap.dedent(body), '    ')}\n")
    graph = compile_graph(build(model), Context())
    inputs = inputs_of([[True, False, True, True, False], [False, True, False, False, True]])

    def total(x: Any) -> float:
        (value,) = evaluate(build(model), inputs | {"x": NamedArray(("b", "t", "d"), x)})
        return float(np.cos(value.array).sum())

    with doubles():
        made = module(graph, {}, model=model)
        given_ = [torch.tensor(inputs[name].array) for name in ("x", "n", "on")]
        given_[0].requires_grad_()
        value = made(*given_)
        (want,) = evaluate(build(model), inputs)
        order = model.results[0].order
        np.testing.assert_allclose(value.detach().numpy(), want.arranged(order), atol=1e-12)
        value.cos().sum().backward()
    found = given_[0].grad
    slope = finite_gradient(total, inputs["x"].array)
    np.testing.assert_allclose(0 if found is None else found.numpy(), slope, atol=1e-6)


def test_turns_and_heads_have_masks_of_their_own() -> None:
    model = read("""
        model m[d = 2](x[b, t, d]) -> [b, t, d]:
            repeat layer * 3:
                router = linear[d ->](x)
                on = router > layer / 10
                y = pack[t -> s](x, on)
                z = tanh(y - mean[s](y))
                x = x + unpack[s -> t](z, on)
            return x
    """)
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    params = parameters(build(model).to_body())
    (found,) = evaluate(build(model), {"x": NamedArray(("b", "t", "d"), x)}, params)
    for layer in range(3):
        name = f"layer[{layer}].router"
        on = x @ params[f"{name}.w"] + params[f"{name}.b"] > layer / 10
        for row, mask in zip(x, on, strict=True):
            row[mask] += np.tanh(row[mask] - mean(row[mask]))
    np.testing.assert_allclose(found.arranged(("b", "t", "d")), x, atol=1e-12)


def test_what_is_packed_in_a_scan_is_not_counted_outside() -> None:
    model = read("""
        model m[d = 2](x[b, t, d]) -> [b, d]:
            v = x[t -> r]
            scan t:
                carry z[d] = 0
                y = pack[r -> s](v, v[d = 0] > z[d = 0])
                z = z + sum[s](y)
            return sum[t, s](y)
    """)
    with pytest.raises(SpecError, match="packed inside a scan, and read outside of it"):
        build(model)


def test_each_run_counts_for_itself() -> None:
    text = """
        model m[d = 2](x[b, t, d]) -> [b, t, d]:
            router = sum[d](x)
            y = pack[t -> s](x, router > 0)
            deep = y - mean[s](y)
            scan s:
                carry z[d] = 0
                z = 0.5 * z + deep
            out = unpack[s -> t](z, router > 0)
            return out

        data seq = npy("x.npy"): x[t, d]: float

        experiment e of m on seq:
            run clean = m
            run other = clean with router += 1, deep[s >= 1] *= 2
            a = sum[b, t, d](clean.out)
            c = sum[b, t, d](other.out)
            sweep effect over p in t:
                run patched = clean with router[t = p] = 5
                mean[b, t, d](patched.out)
    """
    found = check_text("packed.nax", textwrap.dedent(text))
    assert found.ok, "\n".join(map(str, found.diagnostics))
    study = found.experiments["e"]
    graph = graph_of(study.body)
    verify(graph, "build")
    x = np.random.default_rng(0).normal(size=(2, 4, 2))

    def run(add: Any, factor: float) -> Any:
        out = np.zeros_like(x)
        for row, kept, more in zip(x, out, add, strict=True):
            on = row.sum(1) + more > 0
            deep = row[on] - mean(row[on])
            deep[1:] *= factor
            if on.any():
                kept[on] = carried(deep)
        return out

    swept = np.arange(4)
    inputs = {}
    for name in graph.in_order():
        node = graph.node(name)
        if node.op.name == "input":
            array = x if len(node.axes) == 3 else swept
            inputs[name] = NamedArray(tuple(axis.name for axis in node.axes), array)
    effect, a, c = [v.array for v in evaluate(graph, inputs, sizes={"effect_p": 4})][:3]
    still, add = np.zeros((2, 4)), np.ones((2, 4))
    np.testing.assert_allclose(a, run(still, 1).sum())
    np.testing.assert_allclose(c, run(add, 2).sum())
    wanted = []
    for p in range(4):
        more = np.zeros((2, 4))
        more[:, p] = 100
        wanted.append(run(more, 1).mean())
    np.testing.assert_allclose(effect, wanted)
