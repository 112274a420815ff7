"""Section 1 of the language: axes have names."""

from __future__ import annotations

import textwrap

import pytest
from tests.dsl.written import axes, kind, params, read, refused

from neuraxis.dsl import sizes


def limits(model: object) -> list[tuple[str, str]]:
    return [(sizes.show(limit.low), sizes.show(limit.high)) for limit in model.limits]  # type: ignore[attr-defined]


# ---- broadcast, reduce, rename


def test_values_are_broadcast_by_name() -> None:
    made = read("[h = 2, k = 3, v = 4](a[h, k], S[h, k, v]) -> [h, k, v]", "y = a * S\nreturn y")
    assert axes(made, "y") == {"h": "2", "k": "3", "v": "4"}


def test_the_order_of_axes_means_nothing() -> None:
    made = read("(x[a, c], y[c, a]) -> [c, a]", "z = x + y\nreturn z")
    assert set(axes(made, "z")) == {"a", "c"}
    assert made.results[0].order == ("c", "a")


def test_operands_that_share_no_axis_are_a_warning() -> None:
    from tests.dsl.written import model_text, right

    found = right(model_text("[h = 2, v = 4](a[h], S[v]) -> [h, v]", "y = a * S\nreturn y"))
    assert [d.slug for d in found.diagnostics] == ["shared-no-axis"]
    scalar = right(model_text("[h = 2](a[h]) -> [h]", "y = 2 * a\nreturn y"))
    assert not scalar.diagnostics


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("sum", "float"), ("mean", "float"), ("max", "float"), ("min", "float"), ("prod", "float"),
        ("var", "float"), ("norm", "float"), ("logsumexp", "float"), ("argmax", "int"),
        ("argmin", "int"), ("any", "bool"), ("all", "bool"),
    ],
)  # fmt: skip
def test_a_reduction_removes_its_axes(name: str, holds: str) -> None:
    made = read("[h = 2, k = 3](x[h, k]) -> [h]", f"y = {name}[k](x)\nreturn y")
    assert axes(made, "y") == {"h": "2"}
    assert kind(made, "y") == holds


def test_a_reduction_is_over_several_axes_or_none() -> None:
    made = read(
        "[h = 2, k = 3](x[h, k]) -> []",
        "y = sum[h, k](x)\nz = quantile[h, k](x, 0.5)\nreturn y + z",
    )
    assert axes(made, "y") == axes(made, "z") == {}


def test_dot_is_a_product_that_is_summed() -> None:
    made = read(
        "[h = 2, k = 3, v = 4](q[h, k], S[h, k, v], w[v]) -> [h]",
        "o = dot[k](q, S)\np = dot[k, v](q, S, w)\nreturn p",
    )
    assert axes(made, "o") == {"h": "2", "v": "4"}
    assert axes(made, "p") == {"h": "2"}


def test_without_brackets_max_is_pointwise() -> None:
    made = read("[k = 3](x[k], y[k]) -> [k]", "z = max(x, y, 0)\nreturn z")
    assert axes(made, "z") == {"k": "3"}


def test_a_renamed_copy_is_compared_with_the_value_itself() -> None:
    made = read(
        "[k = 3](key[t, k]) -> [t, s]", "other = key[t -> s]\ny = dot[k](key, other)\nreturn y"
    )
    assert axes(made, "other") == {"s": "t", "k": "3"}
    assert axes(made, "y") == {"t": "t", "s": "t"}


def test_a_second_copy_of_an_axis_is_primed() -> None:
    made = read("[n = 3](x[t, n]) -> [t, n]", "y = linear[n -> n](x)\nreturn y")
    assert params(made) == {"y.w": "n'=3 n=3", "y.b": "n=3"}
    made = read(
        "[n = 3](x[t, n]) -> [t, n]",
        "param w[n, n'] = where(n == n', 1, 0)\ny = dot[n'](w, x[n -> n'])\nreturn y",
    )
    assert params(made) == {"w": "n=3 n'=3"}
    assert axes(made, "y") == {"t": "t", "n": "3"}


def test_axes_split_and_merge_first_is_major() -> None:
    made = read(
        "[c = 12, g = 3](x[t, c]) -> [t, c]", "a = x[c -> (g, u)]\nb = a[(g, u) -> c]\nreturn b"
    )
    assert axes(made, "a") == {"t": "t", "g": "3", "u": "4"}
    assert axes(made, "b") == {"t": "t", "c": "12"}


def test_a_split_of_a_run_time_size_is_checked_at_the_border() -> None:
    made = read("[g = 5](x[t]) -> [g, u]", "a = x[t -> (g, u)]\nreturn a")
    assert ("t", "5 * ((t) // 5)") in limits(made)


def test_several_renames_happen_at_once() -> None:
    made = read("[c = 2](x[t, c]) -> [t, c]", "y = x[t -> c, c -> t]\nreturn x")
    assert axes(made, "y") == {"c": "t", "t": "2"}


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("y = sum[q](x)", "unknown-axis"),
        ("y = sum(x)", "wrong-arguments"),
        ("y = sum[d](x, x)", "wrong-arguments"),
        ("y = sum[d, d](x)", "wrong-arguments"),
        ("y = argmax[t, d](x)", "wrong-arguments"),
        ("y = sum[2](x)", "not-an-axis"),
        ("y = quantile[d](x, 2)", "wrong-arguments"),
        ("y = max[d]", "not-a-value"),
        ("y = max(d)(x)", "unknown-block"),
        ("y = max(x)", "wrong-arguments"),
        ("y = x[t -> d]", "axis-mismatch"),
        ("y = x[q -> s]", "unknown-axis"),
        ("y = x[t ->]", "bad-index"),
        ("y = x[t -> 3]", "not-an-axis"),
        ("y = x[d -> (g, u)]", "bad-size"),
        ("y = x[d -> (e, u)]", "size-mismatch"),
        ("y = x[d -> e]\nz = x + y\nw = y[e -> (d, d)]", "size-mismatch"),
        ("y = x[t -> a, t -> c]", "bad-index"),
        ("y = x + w", "size-mismatch"),
        ("y = dot[d](x, w)", "size-mismatch"),
        ("t' = x", "not-a-value"),
        ("y = f'' * x", "unknown-axis"),
    ],
)
def test_what_does_not_fit_is_refused(body: str, slug: str) -> None:
    twice = "w = concat[d](x, x)\n"
    assert slug in refused("[d = 8, e = 3](x[b, t, d]) -> [b, t, d]", f"{twice}{body}\nreturn x")


# ---- an axis as a value, positions


def test_an_axis_used_as_a_value_is_its_index() -> None:
    made = read(
        "(x[t, s]) -> [t, s]", "y = where(s <= t, x, -inf)\nz = t - s\nreturn y + z * |s| / |t|"
    )
    assert axes(made, "y") == {"t": "t", "s": "s"}
    assert (axes(made, "z"), kind(made, "z")) == ({"t": "t", "s": "s"}, "int")


def test_one_position_drops_the_axis() -> None:
    made = read("[d = 3](x[t, d]) -> [d]", "y = x[t = -1]\nz = x[t = 0, d = 2]\nreturn y + z")
    assert axes(made, "y") == {"d": "3"}
    assert axes(made, "z") == {}
    assert ("1", "t") in limits(made)


def test_a_position_may_depend_on_sizes() -> None:
    made = read("(x[t]) -> []", "y = x[t = |t| - 1]\nz = x[t = |t| // 2]\nreturn y + z")
    assert axes(made, "y") == axes(made, "z") == {}
    assert ("0", "t - (t) // 2 - 1") in [(low, high) for low, high in limits(made)]


def test_a_range_is_half_open_and_renumbered() -> None:
    made = read(
        "[d = 8](x[t, d]) -> [d]",
        "a = x[d = 1..5]\nc = x[d = ..-2]\ne = x[t = 1..]\nf = x[t = 0..-1]\nreturn x[t = 0]",
    )
    assert axes(made, "a")["d"] == "4"
    assert axes(made, "c")["d"] == "6"
    assert axes(made, "e")["t"] == axes(made, "f")["t"] == "t - 1"
    assert ("1", "t") in limits(made)


def test_an_index_gathers() -> None:
    made = read(
        "[vocab = 7, d = 3, n = 5](tokens[b, t]: int) -> [b, t, d]",
        """
        param w[vocab, d] ~ normal(0, 1)
        param u[n] = 0
        x = w[vocab = tokens]
        rolled = u[n = (n - 2) % |n|]
        crossed = w[vocab = (vocab + d) % |vocab|]
        return x + rolled[n = 0] + crossed[vocab = 0]
        """,
    )
    assert axes(made, "x") == {"b": "b", "t": "t", "d": "3"}
    assert axes(made, "rolled") == {"n": "5"}
    assert axes(made, "crossed") == {"vocab": "7", "d": "3"}


def test_out_of_range_may_have_a_value() -> None:
    made = read("(x[t], k[q]: int) -> [q]", "y = x[t = k else 0]\nz = x[t = k]\nreturn y + z")
    hows = [s.node.attrs.how.fill for s in made.body.steps if s.node.op.name == "index"]  # type: ignore[union-attr]
    assert hows == [0.0, None]


def test_an_affine_index_is_a_window() -> None:
    made = read(
        "[c = 3, i = 7, j = 8, r = 3, s = 3, o = 2](x[c, i, j], w[c, r, s, o]) -> [o, i, j]",
        """
        y = dot[c, r, s](w, x[i = 2 * i + r - 1, j = 2 * j + s - 1])
        most = max[r](x[i = 2 * i + r])
        causal = sum[r](x[j = j - r])
        return y
        """,
    )
    assert axes(made, "y") == {"o": "2", "i": "4", "j": "4"}
    assert axes(made, "most") == {"c": "3", "i": "4", "j": "8"}
    assert axes(made, "causal") == {"c": "3", "i": "7", "j": "8"}
    fills = [s.node.attrs.how.fill for s in made.body.steps if s.node.op.name == "index"]  # type: ignore[union-attr]
    assert fills == [0.0, 0.0, float("-inf"), 0.0]


def test_a_row_of_another_axis() -> None:
    made = read(
        "[ctx = 9, d = 3](x[t, d]) -> [t, d]",
        "param w[ctx, d] = 0\ny = x + w[ctx = t]\nreturn y",
    )
    assert axes(made, "y") == {"t": "t", "d": "3"}
    assert ("t", "9") in limits(made)


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("y = x[d = 8]", "bad-index"),
        ("y = x[d = -9]", "bad-index"),
        ("y = x[d = 2..9]", "bad-index"),
        ("y = x[d = 5..2]", "bad-index"),
        ("y = x[t = |t|]", "bad-index"),
        ("y = x[q = 0]", "unknown-axis"),
        ("y = x[0]", "bad-index"),
        ("y = x[t]", "bad-index"),
        ("y = x[d = 0.5]", "wrong-dtype"),
        ("y = x[d = true]", "wrong-dtype"),
        ("y = x[d = x[t = 0, d = 0]]", "wrong-dtype"),
        ("y = x[d = d - 0.5]", "wrong-dtype"),
        ("y = x[t = 3 - t]", "bad-index"),
        ("y = x[d = w]", "wrong-dtype"),
        ("y = x[t = 1.5..]", "bad-size"),
        ("y = x[d = @last]\nz = x[t = @subject]", "unknown-field"),
        ("y = @last", "not-a-value"),
        ("y = 1..3", "syntax"),
        ("y = x[d = 0 else v]", "not-constant"),
    ],
)
def test_a_position_that_is_not_there_is_refused(body: str, slug: str) -> None:
    assert slug in refused("[d = 8](x[t, d], v[e], w[q]) -> [t, d]", f"{body}\nreturn x")


# ---- what values hold


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("i + i", "int"), ("i * 2", "int"), ("i / 2", "float"), ("i // 2", "int"), ("i % 2", "int"),
        ("-i", "int"), ("i ^ 2", "int"), ("i + 0.5", "float"), ("x // 1", "float"),
        ("p + p", "int"), ("p * x", "float"), ("p * i", "int"), ("-p", "int"),
        ("i > 2", "bool"), ("i == x", "bool"), ("p and not p", "bool"), ("p or i > 1", "bool"),
        ("not i", "bool"), ("where(p, i, i)", "int"), ("where(p, i, x)", "float"),
        ("where(p, p, p)", "bool"), ("sum[t](p)", "int"), ("mean[t](p)", "float"),
        ("max[t](i)", "int"), ("any[t](x > 0)", "bool"), ("sqrt(i)", "float"), ("abs(i)", "int"),
        ("floor(x)", "int"), ("round(x)", "int"), ("int(x)", "int"), ("float(p)", "float"),
        ("isnan(x)", "bool"), ("cumsum[t](i)", "int"), ("cumsum[t](p)", "int"),
        ("sort[t](i)", "int"), ("rank[t](x)", "int"), ("softmax[t](i)", "float"),
        ("i in {1, 5}", "bool"), ("clip(i, 0, 3)", "int"), ("heaviside(x)", "float"),
        ("concat[t](i, x)", "float"), ("stack[g](p, i)", "int"), ("shift[t](i)", "int"),
        ("stop(i)", "int"), ("flip[t](p)", "bool"), ("argsort[t](x)", "int"),
    ],
)  # fmt: skip
def test_what_an_expression_holds(expression: str, holds: str) -> None:
    made = read("(x[t], i[t]: int, p[t]: bool) -> [t]", f"y = {expression}\nreturn x")
    assert kind(made, "y") == holds


def test_numbers_are_computed_at_once() -> None:
    made = read(
        "[d = 2 ^ 3 // 2 + 1 % 2](x[d]) -> [d]",
        "a = 7 / 2\nif a == 3.5 and not false or 1 / 2 > 1:\n    y = 2 * x\nelse:\n    z = x\nreturn y",
    )
    assert axes(made, "y") == {"d": "5"}


def test_functions_along_axes_keep_them() -> None:
    made = read(
        "[f = 3](x[t, f], y[t, f]) -> [t, f]",
        """
        a = concat[f](x, y)
        c = stack[g](x, y)
        best, place = topk[f -> j = 2](x)
        e = shift[t](x, 2)
        return cumsum[t](sort[f](x)) + e
        """,
    )
    assert axes(made, "a") == {"t": "t", "f": "6"}
    assert axes(made, "c") == {"t": "t", "f": "3", "g": "2"}
    assert axes(made, "best") == axes(made, "place") == {"t": "t", "j": "2"}
    assert (kind(made, "best"), kind(made, "place")) == ("float", "int")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("y = 1 / 0", "bad-size"),
        ("y = (0 - 8) ^ 0.5", "bad-size"),
        ("y = log(-1)", "bad-size"),
        ("y = exp(1000)", "bad-size"),
        ("y = 999999999999999999 * 999999999999999999", "bad-size"),
        ('y = "a" + 1', "not-a-value"),
        ('y = -"a" * x', "not-a-value"),
        ("y = mlp + 1", "not-a-value"),
        ("y = foo", "unknown-name"),
        ("y = foo(x)", "unknown-block"),
        ("y = x(3)", "unknown-block"),
        ("y = (x + x)(3)", "unknown-block"),
        ("y = x.z", "not-a-value"),
        ("y = foo.z", "unknown-name"),
        ("y = {1, 2}", "not-a-value"),
        ("y = [1, 2]", "not-a-value"),
        ("y = x in 3", "not-a-value"),
        ("y = exp(x, x)", "wrong-arguments"),
        ("y = exp(base = x)", "wrong-arguments"),
        ("y = where(x > 0, x)", "wrong-arguments"),
        ("y = concat[f](x, x)", "unknown-axis"),
        ("y = concat[t](x, 1)", "unknown-axis"),
        ("y = concat(x, x)", "wrong-arguments"),
        ("y = concat[2](x, x)", "wrong-arguments"),
        ("y = concat[t](x, x[t = 0])", "unknown-axis"),
        ("y = stack[t](x, x)", "axis-mismatch"),
        ("y = shift[t](x, 0.5)", "bad-size"),
        ("y = shift[t](x, x)", "not-constant"),
        ("y, z = topk[t](x)", "wrong-arguments"),
        ("y, z = topk[t -> j = 0](x)", "bad-size"),
        ("y = cumsum(x)", "wrong-arguments"),
        ("y = softmax[q](x)", "unknown-axis"),
        ("y = prev(x)", "carry-order"),
        ("y = heaviside(x, surrogate = x)", "wrong-arguments"),
        ("y, z = fft[t](x)", "wrong-arguments"),
        ("y = pack[t -> s](x, x)", "wrong-dtype"),
        ("y = spectral_norm(x)", "unbuilt"),
        ("y = |q|", "unknown-axis"),
        ("y = |*q|", "unknown-axis"),
        ("y = mlp[d = 3", "syntax"),
    ],
)
def test_an_expression_without_a_value_is_refused(body: str, slug: str) -> None:
    assert slug in refused("(x[t]) -> [t]", f"{body}\nreturn x")


# ---- the border


def test_ragged_axes_are_told() -> None:
    made = read("(tokens[b, t of b]: int) -> [b]", "return sum[t](tokens)")
    assert made.ragged == {"t": "b"}


def test_results_come_in_the_order_of_their_type() -> None:
    made = read("[d = 2](x[d, t]) -> [t, d], [d, t]", "y = 2 * x\nreturn y, x")
    assert [result.order for result in made.results] == [("t", "d"), ("d", "t")]
    assert [(i.name, i.order) for i in made.inputs] == [("x", ("d", "t"))]


@pytest.mark.parametrize(
    ("head", "slug"),
    [
        ("(x[t, t]) -> [t]", "duplicate-name"),
        ("(x[t]) -> [t, t]", "duplicate-name"),
        ("[d = 0](x[d]) -> [d]", "bad-size"),
        ("[d = -3](x[d]) -> [d]", "bad-size"),
        ("[d = 0.5](x[d]) -> [d]", "bad-size"),
        ("[d = 99999999999](x[d]) -> [d]", "too-large"),
        ("[d = |q|](x[d]) -> [d]", "unknown-axis"),
        ("[d = q](x[d]) -> [d]", "unknown-name"),
        ("(x[t]) -> [t, q]", "missing-axis"),
        ("(x[t]) -> []", "axis-mismatch"),
        ("(x[t]) -> [t], [t]", "wrong-arguments"),
        ("(x[t], f: block) -> [t]", "wrong-arguments"),
        ("(x[t], f: block = 3) -> [t]", "wrong-arguments"),
    ],
)
def test_a_header_that_cannot_be_is_refused(head: str, slug: str) -> None:
    assert slug in refused(head, "return x")


def test_a_swept_number_shares_an_axis_with_nothing_and_need_not() -> None:
    from tests.dsl.written import right

    text = """
        data rows = npy("x.npy"): x[d]: float

        model m[d = 4](x[b, d]) -> [b, d]:
            y = 2 * x
            return y

        experiment e of m on rows:
            run a = m
            sweep f over g in [0, 0.5]:
                run p = a with y = g * it
                mean[b, d](p.y)
    """
    assert not right(textwrap.dedent(text)).diagnostics
