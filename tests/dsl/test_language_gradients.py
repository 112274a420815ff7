"""`grad`, `vjp`, `jvp` and `jacobian`: what they are worth, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tests.compiler.programs import graph_of
from tests.compiler.studies import Sweep
from tests.dsl.written import axes, model_text, read, refused, right

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.reference import NamedArray, evaluate, finite_gradient
from neuraxis.dsl import ops
from neuraxis.dsl.check import check_text
from neuraxis.runtime.program import Program
from neuraxis.testing import check_lowering

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.dsl.core import Body
    from neuraxis.dsl.program import CheckedModel

HEAD = "[d = 3](x[b, t, d]) -> [b, t, d]"
X = np.random.default_rng(0).normal(size=(2, 4, 3))
MEMORY = """
    model m[h = 2, k = 3, v = 3](key[b, t, h, k], val[b, t, h, v], eta[b, t, h]) -> [b, t, h, k, v]:
        scan t:
            carry S[h, k, v] = 0
            {}
        return S
"""
STATED = """loss = 0.5 * sum[v]((dot[k](key, S) - val) ^ 2)
            S = S - eta * grad(loss, S)"""
WRITTEN = """S = S - eta * key * (dot[k](key, S) - val)"""


def value(made: CheckedModel, *arrays: Any, **params: Any) -> Any:
    """The model's one result, its axes as it writes them."""
    inputs = {
        decl.name: NamedArray(decl.order, np.asarray(array))
        for decl, array in zip(made.inputs, arrays, strict=True)
    }
    (found,) = evaluate(made.body, inputs, params)
    return found.arranged(made.results[0].order)


def slope(made: CheckedModel, at: Any, **params: Any) -> Any:
    """How the sum of the model's result changes with its one input, by finite differences."""
    return finite_gradient(lambda x: float(value(made, x, **params).sum()), at)


# ---- what a derivative is


@pytest.mark.parametrize(
    "body",
    [
        "y = tanh(x) * x ^ 2",
        "y = sum[d](softmax[t](x) * x)",
        "y = dot[s](x, x[t -> s]) / (1 + norm[d](x))",
        "y = max[t](x) + var[d](x) * x[t = 0]",
        "scan t:\n    carry c[d] = 0\n    c = tanh(c + x)\ny = c * x",
        "y = where(x > 0, x, 0.1 * x[t = t - 1])",
    ],
)
def test_a_gradient_is_that_of_finite_differences(body: str) -> None:
    whole = read("(x[b, t, d]) -> []", f"{body}\nreturn sum[b, t, d](y + 0 * x)")
    head = "(x[b, t, d]) -> [b, t, d]"
    spread = read(head, f"{body}\nz = sum[b, t, d](y + 0 * x)\nreturn grad(z, x)")
    assert_allclose(value(spread, X), slope(whole, X), rtol=1e-6, atol=1e-7)


def test_the_sum_over_what_rides_along_is_meant() -> None:
    made = read("[d = 3](x[b, t, d], w[d]) -> [d]", "y = w * x ^ 2\nreturn grad(y, w)")
    assert_allclose(value(made, X, np.ones(3)), (X**2).sum((0, 1)))
    assert axes(made, "out") == {"d": "3"}


def test_of_a_gradient_there_is_a_gradient() -> None:
    made = read(HEAD, "y = x ^ 4\ng = grad(y, x)\nh = grad(g, x)\nreturn grad(h, x)")
    assert_allclose(value(made, X), 24 * X)


def test_turns_and_blocks_have_their_own() -> None:
    made = read(
        HEAD,
        "repeat layer * 2:\n    x = down(x)\nreturn x",
        "block down(x[d]) -> [d]:\n    e = sum[d](x ^ 2)\n    return x - 0.25 * grad(e, x)",
    )
    assert_allclose(value(made, X), X / 4)


def test_a_parameter_has_one_inside_the_model() -> None:
    made = read(HEAD, "param w[d] = 2\ny = w * x\nreturn x * grad(y, w)")
    assert_allclose(value(made, X, w=np.ones(3)), X * X.sum((0, 1)))


def test_a_shared_part_has_one_by_its_parameter() -> None:
    head = "[d = 3](x[b, t, d]) -> [d, e]"
    made = read(head, "share f = linear[d -> e = 2](bias = false)\ny = f(x)\nreturn grad(y, f.w)")
    found = value(made, X, **{"f.w": np.ones((3, 2))})
    assert_allclose(found, np.repeat(X.sum((0, 1))[:, None], 2, 1))


# ---- directions


def test_a_cotangent_and_a_tangent_may_have_more_axes() -> None:
    head = "[d = 3](x[b, t, d], c[r, t, d]) -> [r, b, t, d]"
    back = read(head, "y = x ^ 3\nreturn vjp(y, x, c)")
    along = read(head, "y = x ^ 3\nreturn jvp(y, x, c)")
    c = np.random.default_rng(1).normal(size=(5, 4, 3))
    wanted = 3 * X**2 * c[:, None]
    assert_allclose(value(back, X, c), wanted)
    assert_allclose(value(along, X, c), wanted)


def test_an_axis_of_a_direction_does_not_meet_one_inside() -> None:
    head = "[d = 3, r = 5](x[t, d], c[r, t]) -> [r, t, d]"
    body = "y = sum[r](x * where(r > 0, 1, 0.5))\nz = sum[d](y ^ 2)\nreturn vjp(z, x, c)"
    c = np.random.default_rng(1).normal(size=(5, 4))
    found = value(read(head, body), X[0], c)
    assert_allclose(found, 2 * 4.5**2 * X[0] * c[..., None])


@pytest.mark.parametrize(
    ("call", "order"),
    [("jacobian[d -> d'](y, x)", "t, d, d'"), ("jacobian[d -> e](z, x)", "t, d, e")],
)
def test_a_jacobian_has_both_axes(call: str, order: str) -> None:
    head = f"[d = 3, e = 2](x[t, d], w[d, e]) -> [{order}]"
    made = read(head, f"y = softmax[d](x)\nz = tanh(dot[d](x, w))\nreturn {call}")
    w = np.random.default_rng(2).normal(size=(3, 2))
    x = X[0]
    if "z" in call:
        wanted = w * (1 - np.tanh(x @ w) ** 2)[:, None]
    else:
        y = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        wanted = y[:, :, None] * np.eye(3) - y[:, :, None] * y[:, None]
    assert_allclose(value(made, x, w), wanted, atol=1e-12)


# ---- in a recurrence


def structure(body: Body) -> Any:
    """A program whatever its nodes are called, and in whatever order axes are listed."""
    places: dict[str, int] = {}
    found = []
    for step in body.steps:
        node, attrs = step.node, step.node.attrs
        said: Any = repr(attrs)
        match attrs:
            case ops.ScanAttrs():
                said = structure(attrs.body), attrs.axis, attrs.carries, attrs.steps
            case ops.InputAttrs() | ops.ItemAttrs():
                said = getattr(attrs, "index", None)
        read = [places[name] for name in step.operands]
        found.append((node.op.name, said, read, frozenset(node.axes), node.dtype, node.site))
        places[node.name] = len(places)
    return found, [places[name] for name in body.results]


def test_a_memory_may_be_stated_by_its_objective() -> None:
    stated, written = (
        compile_graph(graph_of(MEMORY.format(text)), Context()) for text in (STATED, WRITTEN)
    )
    assert structure(stated.to_body()) == structure(written.to_body())


def test_a_carry_that_gains_an_axis_later_has_a_gradient_for_each() -> None:
    made = read(
        HEAD,
        """
        scan t:
            carry S = 0
            gap = S - x
            S = S - 0.1 * grad(gap ^ 2, S)
        return S
        """,
    )
    wanted, S = np.zeros_like(X), np.zeros((2, 3))
    for t in range(4):
        S = S - 0.2 * (S - X[:, t])
        wanted[:, t] = S
    assert_allclose(value(made, X), wanted)


def test_what_is_made_of_a_carry_has_what_rides_along() -> None:
    made = read(
        HEAD,
        """
        scan t:
            carry S = 0.5
            kept = 0.9 * S
            e = (kept - x) ^ 2
            S = kept - 0.1 * grad(e, kept)
        return S
        """,
    )
    wanted, S = np.zeros_like(X), np.full((2, 3), 0.5)
    for t in range(4):
        S = 0.9 * S - 0.2 * (0.9 * S - X[:, t])
        wanted[:, t] = S
    assert_allclose(value(made, X), wanted)


def test_a_jacobian_by_a_carry_keeps_both_axes() -> None:
    made = read(
        "[d = 3, e = 2](x[b, t, d], w[d, e]) -> [b, t, d, e]",
        """
        scan t:
            carry S[d] = 0
            y = tanh(dot[d](S + x, w))
            J = jacobian[d -> e](y, S)
            S = 0.5 * S + x
        return J
        """,
    )
    w = np.random.default_rng(2).normal(size=(3, 2))
    S, wanted = np.zeros((2, 3)), []
    for t in range(4):
        wanted.append(w * (1 - np.tanh((S + X[:, t]) @ w) ** 2)[:, None])
        S = 0.5 * S + X[:, t]
    assert_allclose(value(made, X, w), np.stack(wanted, 1))


def test_the_carry_of_before_has_a_name_too() -> None:
    head = "(x[b, t]) -> [b, t]"
    body = "scan t:\n    carry S = 0.5\n    S = S ^ 2 + x\n    g = grad(S, prev(S))\nreturn g"
    found = value(read(head, body), X[:, :2, 0])
    assert_allclose(found, np.stack([np.ones(2), 2 * (0.25 + X[:, 0, 0])], 1))


def test_what_both_come_from_outside_is_differentiated_outside() -> None:
    body = "y = x ^ 2\nscan t:\n    carry c[d] = 0\n    c = c + x * grad(y, x)\nreturn c"
    assert_allclose(value(read(HEAD, body), X), np.cumsum(2 * X * X, 1))


# ---- all the way


@pytest.mark.parametrize(
    "body",
    [
        "y = x * tanh(x)\nreturn grad(y, x) * linear[d -> d](x)",
        "scan t:\n    carry c[d] = 0\n    c = tanh(c + linear[d -> d](x))\nreturn grad(c, x)",
        "scan t:\n    carry c[d] = 0\n    e = sum[d](softplus(c * linear[d -> d](x)))\n"
        "    c = c - 0.1 * grad(e, c)\nreturn c",
        "j = jacobian[d -> d'](softmax[d](x), x)\nreturn dot[d](j, x)[d' -> d]",
    ],
)
def test_emitted_derivatives_are_those_of_the_oracle(body: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.nax"
    lines = body.replace("\n", "\n    ")
    spec.write_text(f"model m[d = 3](x[b, t, d]) -> [b, t, d]:\n    {lines}\n")
    check_lowering(Program.load(spec), "m")


SWEPT = """\
model m[d = 2](x[b, t]) -> [b, t]:
    param w[d] ~ normal(0, 1)
    y = w[d = 0] * x + w[d = 1]
    z = y ^ 2
    return z

data seq = npy("x.npy"): x[t]: float

experiment e of m on seq:
    run clean = m
    measure size(r) = sum[b, t](r.z)
"""


def test_each_member_of_a_sweep_has_a_gradient_of_its_own() -> None:
    """The law of sweeps, though `w` is the same in all members."""
    by = "grad(size(patched), {site})"
    body = f"""
    run patched = clean with y *= {{g}}
    sum[b, t]({by.format(site="patched.y")} ^ 2) + sum[d]({by.format(site="clean.w")} ^ 3)
    """
    Sweep(SWEPT, {"g": ("[0.5, 2]", [0.5, 2.0])}, body).check()


# ---- what is refused


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("y = 2 * x\nreturn x * grad(y, 2 * x)", "not-a-value"),
        ("y = 2 * x\nz = x + 1\nreturn grad(y, z)", "not-a-value"),
        ("return grad(3.0, x)", "not-a-value"),
        ("y = x > 0\nreturn x * grad(y, x)", "wrong-dtype"),
        ("return x * grad(|t|, x)", "wrong-dtype"),
        ("n = floor(x)\ny = n * 2.0\nreturn grad(y, n)", "wrong-dtype"),
        ("y = 2 * x\nreturn grad(y)", "wrong-arguments"),
        ("y = 2 * x\nreturn grad[d](y, x)", "wrong-arguments"),
        ("y = 2 * x\nreturn jacobian(y, x)", "wrong-arguments"),
        ("y = 2 * x\nreturn jacobian[e -> d'](y, x)", "unknown-axis"),
        ("y = 2 * x\nreturn jacobian[d -> e](y, x)", "unknown-axis"),
        ("y = 2 * x\nreturn jacobian[d -> d](y, x)", "wrong-arguments"),
        (
            "scan t:\n    carry n = 0\n    y = 2.0 * n * x\n    g = grad(y, n)\n    n = n + 1\n"
            "return y",
            "wrong-dtype",
        ),
    ],
)
def test_what_has_no_derivative_is_refused(body: str, slug: str) -> None:
    assert refused(HEAD, body) == [slug]


def test_derivatives_of_derivatives_end() -> None:
    body = "y0 = x\n" + "".join(f"y{n + 1} = grad(y{n} * y{n} * y{n}, x)\n" for n in range(40))
    found = check_text("spec.nax", model_text(HEAD, f"{body}return y40"))
    assert [d.slug for d in found.diagnostics] == ["too-large"]


def test_those_of_a_study_end_too() -> None:
    turns = "".join(f"    y{n + 1} = grad(y{n} ^ 3, clean.x)\n" for n in range(40))
    found = check_text("spec.nax", f"{SWEPT}    y0 = clean.y\n{turns}    show mean[b, t](y40)\n")
    assert [d.slug for d in found.diagnostics] == ["too-large"]


def test_an_experiment_may_differentiate_a_run() -> None:
    right("""
model m[d = 2](x[b, t, d]) -> [b, t, d]:
    y = x ^ 2
    return y

data seq = npy("x.npy"): x[t, d]: float

experiment e of m on seq:
    run clean = m
    show mean[b, t, d](grad(clean.out, clean.x))
""")


@pytest.mark.parametrize(
    "body",
    [
        "y = mean[t](x ^ 2) * x[t = -1]",
        "y = sum[t](softmax[t](x) * x) + max[t](x) + logsumexp[t](x)",
        "y = sum[t](cumsum[t](x) * x[t = t - 1])",
        "scan t:\n    carry c = 0.5\n    c = tanh(c * x + x)\ny = c[t = -1] + sum[t](c * x)",
        "scan t reversed:\n    carry c = 0.5\n    c = tanh(c * x + x)\ny = sum[t](c ^ 2)",
        "y = sum[t](x[t = 1..] ^ 3) + norm[t](x) + var[t](x)",
        "y = dot[t](flip[t](x), x)",
    ],
)
def test_examples_of_several_lengths_have_their_own(body: str, tmp_path: Path) -> None:
    """A batch of one is a row of a batch, of derivatives too."""
    spec = tmp_path / "spec.nax"
    lines = body.replace("\n", "\n    ")
    spec.write_text(f"model m(x[b, t of b]) -> [b, t]:\n    {lines}\n    return grad(y, x)\n")
    model = Program.load(spec).model("m")
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(3, 5))).float()
    lengths = [5, 2, 3]
    found = model(x, lengths=lengths)
    for place, length in enumerate(lengths):
        alone = model(x[place : place + 1, :length])[0]
        assert_allclose(found[place, :length].detach(), alone.detach(), rtol=1e-5, atol=1e-6)


# ---- steps with a slope


@pytest.mark.parametrize(
    ("surrogate", "slope_at"),
    [
        ("atan(2.0)", lambda x: 1 / (1 + (np.pi * x) ** 2)),
        ("sigmoid(4)", lambda x: 1 / np.cosh(2 * x) ** 2),
        ("erf", lambda x: np.exp(-(x**2)) / np.sqrt(np.pi)),
    ],
)
def test_a_step_has_the_slope_of_its_surrogate(surrogate: str, slope_at: Any) -> None:
    body = f"y = heaviside(x, surrogate = {surrogate})"
    step = value(read(HEAD, f"{body}\nreturn y"), 1e3 * X)
    assert np.array_equal(step, (X > 0).astype(float))
    assert_allclose(value(read(HEAD, f"{body}\nreturn grad(y, x)"), X), slope_at(X))


def test_a_step_is_trained_by_its_surrogate(tmp_path: Path) -> None:
    spec = tmp_path / "spec.nax"
    spec.write_text(
        "model m(x[n]) -> [n]:\n    y = heaviside(x, surrogate = atan(2.0))\n    return y\n"
    )
    x = torch.tensor([-0.5, 0.25], requires_grad=True)
    found = Program.load(spec).model("m")(x)
    assert found.tolist() == [0.0, 1.0]
    found.sum().backward()
    assert x.grad is not None
    assert_allclose(x.grad, 1 / (1 + (np.pi * x.detach().numpy()) ** 2), rtol=1e-5)
