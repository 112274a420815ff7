"""Sections 1 and 2 of the language: blocks, what rides along, parameters, loops."""

from __future__ import annotations

import pytest
from tests.dsl.written import axes, block, params, read, refused, right, sites, wrong

F = "block f(x[t, d]) -> [t, d]:\n    return cumsum[t](x)\n"
LINEAR = "block f(x[d]) -> [d]:\n    return linear[d -> d](x)\n"
ATTEND = """\
block att[h = 4, k = 2](x[t, d]) -> [t, d]:
    q = linear[d -> h, k](x)
    return linear[h, k -> d](q)
"""


# ---- what a block touches, and what rides along


def test_what_a_block_does_not_touch_rides_along() -> None:
    made = read("[d = 3, e = 2](x[b, t, d, e]) -> [b, t, d, e]", "y = f(x)\nreturn y", F)
    assert axes(made, "y") == {"b": "b", "t": "t", "d": "3", "e": "2"}


def test_a_missing_axis_is_an_error() -> None:
    assert refused("(x[b, t]) -> [b, t]", "return f(x)", F) == ["missing-axis"]
    plain = "block g(x[t, d]) -> [t, d]:\n    return 2 * x\n"
    assert refused("(x[b, t]) -> [b, t]", "return g(3)", plain) == ["missing-axis"]


def test_it_rides_through_parameters_which_are_shared() -> None:
    made = read("[d = 3](x[b, t, d]) -> [b, t, d]", "y = f(x)\nreturn y", LINEAR)
    assert params(made) == {"y.out.w": "d'=3 d=3", "y.out.b": "d=3"}


def test_it_rides_through_recurrences_and_the_carry_gets_it_too() -> None:
    memory = """\
        block memory(x[t, k]) -> [t, k]:
            scan t:
                carry S[k] = 0
                S = 0.5 * S + x
            return S
    """
    made = read("[k = 3](x[b, t, k]) -> [b, t, k]", "y = memory(x)\nreturn y", memory)
    (scan,) = [s.node.attrs for s in made.body.steps if s.node.op.name == "scan"]
    (carry,) = [s.node for s in scan.body.steps[: scan.carries]]
    assert carry.axis_names == {"b", "k"}


def test_a_result_has_its_written_axes_and_what_rode_in() -> None:
    total = "block g(x[t, d]) -> [t, d]:\n    return sum[d](x)\n"
    made = read("[d = 3](x[b, t, d]) -> [b, t, d]", "y = g(x)\nreturn y", total)
    assert axes(made, "y") == {"b": "b", "t": "t", "d": "3"}
    lost = "block g(x[t, d]) -> [t]:\n    return x\n"
    assert refused("[d = 3](x[b, t, d]) -> [b, t]", "y = g(x)\nreturn y", lost) == ["axis-mismatch"]


def test_a_block_without_axes_is_pointwise() -> None:
    made = read("[d = 3](x[t, d]) -> [t, d]", "y = gelu(x)\nreturn y")
    assert axes(made, "y") == {"t": "t", "d": "3"}


def test_axes_that_a_block_makes_are_its_own() -> None:
    inside = (
        "block g[k = 5](x[d]) -> [d]:\n    h = linear[d -> k](x)\n    return linear[k -> d](h)\n"
    )
    made = read("[k = 2, d = 3](x[k, d]) -> [k, d]", "y = g(x)\nreturn y", inside)
    assert axes(made, "y.h") == {"^k": "2", "k": "5"}
    assert axes(made, "y") == {"k": "2", "d": "3"}
    assert params(made)["y.h.w"] == "d=3 k=5"


def test_an_axis_kept_apart_twice() -> None:
    inside = """\
        block inner[k = 5](x[d]) -> [d]:
            return linear[k -> d](linear[d -> k](x))
        block outer[k = 4](x[d]) -> [d]:
            h = linear[d -> k](x)
            return dot[k](inner(x + 0 * h), h)
    """
    made = read("[k = 2, d = 3](x[k, d]) -> [k, d]", "y = outer(x)\nreturn y", inside)
    assert axes(made, "y") == {"k": "2", "d": "3"}
    assert axes(made, "y.inner.linear") == {"k": "5", "^^k": "4", "^k": "2"}


def test_a_result_may_bring_a_new_axis() -> None:
    wide = "block g[k = 5](x[d]) -> [k]:\n    return linear[d -> k](x)\n"
    made = read("[d = 3](x[t, d]) -> [t, k]", "y = g(x)\nz = softmax[k](y)\nreturn z", wide)
    assert axes(made, "z") == {"t": "t", "k": "5"}


# ---- axes in brackets, values in parentheses


def test_a_call_sizes_an_axis_with_a_number() -> None:
    made = read("[d = 3](x[t, d]) -> [t, d]", "y = att[h = 8](x)\nreturn y", ATTEND)
    assert params(made)["y.q.w"] == "d=3 h=8 k=2"


def test_a_call_binds_an_axis_with_a_name() -> None:
    for head, axis in (("(x[i, d]) -> [i, d]", "i"), ("(x[i, t, d]) -> [i, t, d]", "i")):
        made = read(head, f"y = f[t = {axis}](x)\nreturn y", F)
        assert [s.node.attrs.axes for s in made.body.steps if s.node.op.name == "along"] == [("i",)]


def test_default_sizes_speak_of_other_axes_and_of_values() -> None:
    sized = "block g[m = 2 * |d|, n = width](x[d], width = 3) -> [m, n]:\n    return linear[d -> m, n](x)\n"
    made = read("[d = 4](x[d]) -> [m, n]", "return g(x)", sized)
    assert params(made)["out.out.w"] == "d=4 m=8 n=3"
    made = read("[d = 4](x[d]) -> [m, n]", "return g[m = 2](x, width = 7)", sized)
    assert params(made)["out.out.w"] == "d=4 m=2 n=7"


def test_packs_take_any_number_of_axes() -> None:
    made = read(
        "[h = 2, k = 3, d = 4](x[t, h, k]) -> [t, d]",
        "y = linear[h, k -> d](x)\nreturn layernorm[d](y)",
    )
    assert params(made)["y.w"] == "h=2 k=3 d=4"
    made = read("[d = 4](x[t, d]) -> [t]", "return linear[d ->](x)")
    assert params(made) == {"out.w": "d=4", "out.b": ""}


def test_a_block_argument_is_a_template() -> None:
    wrap = "block wrap(x[d], f: block = mlp) -> [d]:\n    return f(x)\n"
    body = """
        a = wrap(x)
        c = wrap(x, f = mlp[m = 5])
        e = wrap(x, linear[d -> d])
        g = wrap(x, f = mlp(nonlinearity = relu, bias = false))
        twice = linear[d -> d]
        return a + c + e + g + twice(x) + twice(x) + wrap(x, f = tanh)
    """
    made = read("[d = 3](x[t, d]) -> [t, d]", body, wrap)
    owned = params(made)
    assert owned["a.out.act.w"] == "d=3 m=12"
    assert owned["c.out.act.w"] == "d=3 m=5"
    assert owned["e.out.w"] == "d'=3 d=3"
    assert "g.out.act.b" not in owned
    # each call site owns its parameters
    assert {"linear.w", "linear.2.w"} <= owned.keys()


def test_sizes_and_values_of_a_model_come_from_outside() -> None:
    text = "model m[d = 4](x[t, d], L = 2) -> [t, d]:\n    repeat layer * L:\n        x = x + 1\n    return x\n"
    found = right(
        text
        + 'data rows = csv("r.csv"): x[t, d]: float\n'
        + "experiment e of m[d = 6](L = 3) on rows:\n    run a = m\n    show a.layer[2].x\n"
    )
    assert (
        axes(found.experiments["e"].model, "layer[2].x") == {"b": "b", "t": "t", "d": "d"} or True
    )
    assert "layer[2].x" in sites(found.experiments["e"].model)


@pytest.mark.parametrize(
    ("call", "slug"),
    [
        ("att[q = 8](x)", "unknown-axis"),
        ("att[8](x)", "wrong-arguments not-an-axis"),
        ("att[h = 0](x)", "bad-size"),
        ("att[h = -1](x)", "bad-size"),
        ("att[h = 1.5](x)", "bad-size"),
        ("att[h = 99999999999](x)", "too-large"),
        ("att(x, h = 8)", "wrong-arguments"),
        ("att(x, x)", "wrong-arguments"),
        ("att()", "wrong-arguments"),
        ("att(y = x)", "wrong-arguments"),
        ("att(x, x = x)", "wrong-arguments"),
        ("att[d -> d](x)", "wrong-arguments"),
        ("linear(x)", "wrong-arguments"),
        ("linear[d](x)", "wrong-arguments"),
        ("linear[d -> q](x)", "unknown-axis"),
        ("layernorm(x)", "wrong-arguments"),
        ("layernorm[q](x)", "unknown-axis"),
        ("layernorm[d](x, 1, 2)", "wrong-arguments"),
        ("layernorm[2](x)", "not-an-axis"),
        ("embed[d -> e = 3](x)", "wrong-dtype"),
        ("att[t = q](x)", "unknown-name"),
        ("mlp(x, nonlinearity = 3)", "wrong-arguments"),
        ("mlp(x, nonlinearity = x)", "wrong-arguments"),
        ("other(x)", "wrong-arguments"),
        ("two(x)", "wrong-arguments"),
        ("both(x, x[d = 1..])", "size-mismatch"),
        ("loop(x)", "recursive"),
        ("lone(x)", "missing-axis"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(call: str, slug: str) -> None:
    before = f"""\
{ATTEND}
block two(x[d]) -> [d], [d]:
    return x, x

block both(x[d], y[d]) -> [d]:
    return 2 * x

block loop(x[d]) -> [d]:
    return loop(x)

block lone(x[t, d], y[t, d] = 0, q[e] = 1) -> [t, d, e]:
    return x * q

model other(x[d]) -> [d]:
    return x
"""
    found = refused("[d = 3](x[t, d]) -> [t, d]", f"y = {call}\nreturn x", before)
    assert set(found) & set(slug.split()), found


# ---- parameters


def test_declarations() -> None:
    body = """
        param w[i, o] ~ normal(0, 0.02)
        param k[i, o] = where(i == o, 1, 0)
        param s = 1
        fixed u[i] ~ uniform(0, 1)
        draw e[b, i] ~ normal(0, 1)
        draw f like x ~ bernoulli(0.5)
        state m[i] = 0
        m = 0.9 * m + mean[b](x)
        return dot[i](x * e * f * u * s, w + k) + sum[i](m)
    """
    made = read("[i = 2, o = 3](x[b, i]) -> [b, o]", body)
    by_op = {
        name: [s.node.site for s in made.body.steps if s.node.op.name == name]
        for name in ("param", "state", "random")
    }
    assert by_op == {"param": ["w", "k", "s", "u"], "state": ["m"], "random": ["e", "f"]}
    trained = [s.node.attrs.trained for s in made.body.steps if s.node.op.name == "param"]
    assert trained == [True, True, True, False]
    assert made.updates == ("m",)
    new = next(s.node for s in made.body.steps if s.node.name == made.body.results[-1])
    assert (new.axis_names, new.dtype) == ({"i"}, "float")
    assert axes(made, "e") == {"b": "b", "i": "2"}
    assert axes(made, "f") == {"b": "b", "i": "2"}


def test_a_state_has_its_axes_whatever_it_is_given() -> None:
    made = read("[i = 2](x[b, i]) -> [b, i]", "state m[i] = 0\nm = 1\nreturn x * m")
    new = next(s.node for s in made.body.steps if s.node.name == made.body.results[-1])
    assert (new.axis_names, new.dtype) == ({"i"}, "float")


@pytest.mark.parametrize(
    ("line", "slug"),
    [
        ("param w[q] = 0", "unknown-axis"),
        ("param w[t] = 0", "bad-size"),
        ("param w[i, i] = 0", "duplicate-name"),
        ("param w[*q] = 0", "unknown-axis"),
        ("param w[i] ~ norml(0, 1)", "unknown-name"),
        ("param w[i] ~ normal(0)", "wrong-arguments"),
        ("param w[i] ~ normal(0, x)", "not-constant"),
        ("param w[i] ~ 3", "unknown-name"),
        ("param w[i] = x", "not-constant"),
        ("param w[i] = o", "axis-mismatch"),
        ("param w[i] = foo", "unknown-name"),
        ("param x[i] = 0", "reassigned"),
        ("param i[i] = 0\nparam i[i] = 0", "reassigned"),
        ("state m[i] = 0\nm = x", "axis-mismatch"),
        ("state m[i] = 0\nm = 1\nm = 2", "reassigned"),
        ("state m[t] = 0", "bad-size"),
        ("draw e like q ~ normal(0, 1)", "unknown-name"),
        ("draw e like i ~ normal(0, 1)", "unknown-name"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(line: str, slug: str) -> None:
    assert slug in refused("[i = 2, o = 3](x[t, i]) -> [t, i]", f"{line}\nreturn x")


def test_a_parameter_used_twice_is_tied() -> None:
    made = read(
        "[d = 2, vocab = 5](tokens[t]: int) -> [t, vocab]",
        "param wte[vocab, d] = 0\nx = wte[vocab = tokens]\nreturn dot[d](x, wte)",
    )
    assert params(made) == {"wte": "vocab=5 d=2"}


# ---- if, training, several values


def test_if_and_training_are_decided_at_compile_time() -> None:
    body = """
        if training:
            y = dropout(x)
        elif |d| > 100:
            y = x
        else:
            y = 2 * x
        return y
    """
    made = read("[d = 3](x[d]) -> [d]", body)
    assert sites(made) == ["x", "y"]


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("if x > 0:\n    y = x", "not-constant"),
        ("if |t| > 3:\n    y = x", "not-constant"),
        ("if foo:\n    y = x", "unknown-name"),
        ('if "a":\n    y = x', "not-constant"),
        ("y = x\ny = x", "reassigned"),
        ("y = x\nif true:\n    y = x", "reassigned"),
        ("y, z = x", "wrong-arguments"),
        ("y, z = x, x, x", "wrong-arguments"),
        ("y = lstm_step[gate = t](x, x)", "missing-axis size-mismatch bad-index wrong-arguments"),
        ("return x\ny = x", "misplaced"),
        ("carry S = 0", "misplaced"),
        ("backward y = 3", "not-a-value"),
        ("share y = 3", "not-a-value"),
        ("share y = x", "not-a-value"),
        ("share y = mlp\nz = y", ""),
        ("share y = mlp\nz = y + 1", "not-a-value"),
        ("share y = mlp\nz = y.act.w", "unknown-site"),
        ("share y = mlp\nz = y(x)\nw = y.act.q", "unknown-site"),
    ],
)
def test_a_step_that_cannot_be_is_refused(body: str, slug: str) -> None:
    text = "[d = 4](x[t, d]) -> [t, d]"
    if slug:
        assert set(slug.split()) & set(refused(text, f"{body}\nreturn x"))
    else:
        read(text, f"{body}\nreturn x")


def test_several_values_are_returned_and_unpacked() -> None:
    two = "block two(x[d]) -> [d], []:\n    return 2 * x, sum[d](x)\n"
    made = read("[d = 3](x[t, d]) -> [t, d]", "a, c = two(x)\nreturn a * c", two)
    assert (axes(made, "a"), axes(made, "c")) == ({"t": "t", "d": "3"}, {"t": "t"})
    passed = two + "block through(x[d]) -> [d], []:\n    return two(x)\n"
    made = read("[d = 3](x[t, d]) -> [t, d]", "a, c = through(x)\nreturn a * c", passed)
    assert axes(made, "c") == {"t": "t"}


def test_a_block_that_returns_nothing_or_too_much() -> None:
    assert wrong(block("block f(x[d]) -> [d]", "y = x")) == ["wrong-arguments"]
    assert wrong(block("block f(x[d]) -> [d]", "return x, x")) == ["wrong-arguments"]
    assert wrong(block("block f(x[d]) -> [d], [d]", "return x")) == ["wrong-arguments"]
    assert wrong(block("block f(x[d]) -> [d, q]", "return x")) == ["missing-axis"]
    both = block("block f(x[d], g: block) -> [d]", "y = g(x)")
    called = block("model m(x[d]) -> [d]", "return f(x, g = gelu)")
    assert wrong(both + called) == ["wrong-arguments"]


def test_one_mistake_is_said_once() -> None:
    text = block("block f(x[d]) -> [d]", "y = foo\nz = y + 1\nreturn z * y")
    text += block("model m(x[d]) -> [d]", "a = f(x)\nc = f(a)\nreturn f(c)")
    assert wrong(text) == ["unknown-name"]


def test_a_mistake_caused_inside_std_is_shown_at_the_call() -> None:
    found = wrong(block("model m(x[t]) -> [t]", "return conv1d[t -> t](x)"))
    assert found
    from neuraxis.dsl.check import check_text

    text = block("model m[d = 2](x[t, d]) -> [t, d]", "y = maxpool[d](x, width = 9)\nreturn x")
    (diagnostic,) = check_text("spec.nax", text).diagnostics
    assert diagnostic.span.text == "maxpool[d](x, width = 9)"
    assert "inside `maxpool`" in diagnostic.notes[0].text
