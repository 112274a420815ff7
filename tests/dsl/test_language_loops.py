"""Sections 2 and 3 of the language: repeat, share, bank, and scans."""

from __future__ import annotations

import pytest
from tests.dsl.written import at, axes, kind, params, read, refused, right, sites

F = "block f(x[d]) -> [d]:\n    return linear[d -> d](x)\n"
HEAD = "[d = 3](x[b, t, d]) -> [b, t, d]"


# ---- turns


def test_repeat_has_parameters_of_its_own_each_turn() -> None:
    made = read(HEAD, "repeat layer * 2:\n    x = x + f(x)\nreturn x", F)
    assert list(params(made)) == [f"layer[{i}].f.out.{name}" for i in (0, 1) for name in ("w", "b")]


def test_share_has_one_set_and_values_of_each_turn() -> None:
    made = read(HEAD, "share layer * 3:\n    y = f(x)\n    x = x + y\nreturn x", F)
    assert list(params(made)) == ["layer.y.out.w", "layer.y.out.b"]
    assert {"layer[0].y", "layer[1].y", "layer[2].y", "layer[2].x"} <= set(sites(made))


def test_share_names_one_set_to_call_many_times() -> None:
    made = read(HEAD, "share enc = mlp[m = 5]\ny = enc(enc(x))\nreturn y * sum[d, m](enc.act.w)")
    assert params(made) == {"enc.act.w": "d=3 m=5", "enc.act.b": "m=5", "enc.out.w": "m=5 d=3",
                            "enc.out.b": "d=3"}  # fmt: skip


def test_bank_stands_side_by_side() -> None:
    made = read(
        HEAD,
        """
        bank e * 4:
            y = f(x)
            param s[d] = 1
            z = s * y
        bank e * |e|:
            w = f(z)
        return sum[e](w)
        """,
        F,
    )
    assert params(made)["y.out.w"] == "e=4 d'=3 d=3"
    assert params(made)["s"] == "e=4 d=3"
    assert axes(made, "y") == axes(made, "w") == {"b": "b", "t": "t", "e": "4", "d": "3"}
    assert axes(made, "y.x") == {"b": "b", "t": "t", "d": "3"}


@pytest.mark.parametrize("first", ["outside", "inside"])
def test_members_of_a_bank_share_what_is_shared_outside(first: str) -> None:
    made = read(
        HEAD,
        f"""
        share enc = mlp[m = 5]
        y = {"enc(x)" if first == "outside" else "x"}
        bank e * 4:
            z = enc(f(y))
        return sum[e](z) + enc(x)
        """,
        F,
    )
    assert params(made) == {
        "enc.act.w": "d=3 m=5", "enc.act.b": "m=5", "enc.out.w": "m=5 d=3", "enc.out.b": "d=3",
        "f.out.w": "e=4 d'=3 d=3", "f.out.b": "e=4 d=3",
    }  # fmt: skip
    assert axes(made, "z") == {"b": "b", "t": "t", "e": "4", "d": "3"}


def test_members_have_their_own_of_what_is_shared_inside() -> None:
    made = read(
        HEAD,
        """
        share whole = linear[d -> d]
        bank e * 4:
            share own = linear[d -> d]
            y = own(own(x)) + whole(x)
        bank r * 2:
            z = own(x)
        return sum[e](y + own(x) + sum[r](z))
        """,
    )
    assert params(made) == {
        "own.w": "e=4 d'=3 d=3", "own.b": "e=4 d=3", "whole.w": "d'=3 d=3", "whole.b": "d=3"
    }  # fmt: skip
    assert axes(made, "z") == {"b": "b", "t": "t", "e": "4", "r": "2", "d": "3"}


def test_a_bank_in_what_is_shared_has_members() -> None:
    text = "block g(x[d]) -> [d]:\n    bank r * 2:\n        y = linear[d -> d](x)\n    return sum[r](y)\n"
    made = read(HEAD, "share h = g\nbank e * 4:\n    z = h(x)\nreturn sum[e](z)", text)
    assert params(made) == {"h.y.w": "r=2 d'=3 d=3", "h.y.b": "r=2 d=3"}
    assert axes(made, "z") == {"b": "b", "t": "t", "e": "4", "d": "3"}


def test_a_name_from_outside_is_carried() -> None:
    made = read(HEAD, "y = x\nrepeat layer * 2:\n    h = f(y)\n    y = y + h\nreturn y", F)
    assert {"y", "layer[0].in.y", "layer[0].y", "layer[1].in.y", "layer[1].y"} <= set(sites(made))
    assert made.aliases["out"] == "layer[1].y"


def test_the_turn_is_usable_as_a_number() -> None:
    made = read(
        HEAD,
        """
        repeat layer * 3:
            if layer == 1:
                x = 2 * x
            else:
                x = x + layer / 2
        return x
        """,
    )
    ops = [s.node.attrs.fn for s in made.body.steps if s.node.op.name == "map"]  # type: ignore[union-attr]
    assert ops == ["add", "mul", "add"]


def test_turns_that_are_alike_are_elaborated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
        y = 0
        repeat layer * 6:
            h = x
            share inner * 3:
                h = h + f(h)
            draw e like h ~ normal(0, 1)
            scan t:
                carry S[d] = 0
                S = 0.5 * S + e * dropout(f(h))
            x, y = x + rmsnorm[d](S), y + x[t = 1]
        return x + y
    """
    copied = read(HEAD, body, F)
    monkeypatch.setattr("neuraxis.dsl.elaborate.statements.can_copy", lambda *_: False)
    assert repr(copied) == repr(read(HEAD, body, F))
    assert len(sites(copied)) > 200


def test_the_size_of_the_axis_of_a_scan_is_known_in_it() -> None:
    body = """
        scan t:
            carry S = 0
            S = S + x * t / |t|
        return S
    """
    assert axes(read(HEAD, body), "S") == {"b": "b", "t": "t", "d": "3"}


@pytest.mark.parametrize("axis", ["e", "i", "h"])
def test_a_bank_may_be_called_like_an_axis_of_a_block_in_it(axis: str) -> None:
    body = f"""
        bank {axis} * 3:
            inner = linear[d -> d](x)
            outer = linear[d -> d](inner)
            mixed = attention[h = 2, k = 2](outer)
        return mean[{axis}](mixed)
    """
    found = read(HEAD, body)
    for address in ("inner", "outer", "mixed"):
        assert axes(found, address) == {axis: "3", "d": "3", "b": "b", "t": "t"}
    inside = {"e": "e", "i": "^i", "h": "h"}[axis]
    assert axes(found, "outer.w")[inside] == "3"


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("y = x\nrepeat layer * 2:\n    y = f(x)", "unread-carry"),
        ("repeat layer * 2:\n    y = x\n    y = x", "reassigned"),
        ("repeat layer * 2:\n    x = x + 1\n    x = x + 1", "reassigned"),
        ("repeat layer * |t|:\n    x = x + 1", "not-constant"),
        ("repeat layer * 1.5:\n    x = x + 1", "bad-size"),
        ("repeat layer * -1:\n    x = x + 1", "bad-size"),
        ("repeat layer * 100001:\n    x = x + 1", "bad-size"),
        ("repeat layer * true:\n    x = x + 1", "bad-size"),
        ("repeat a * 9000:\n    repeat c * 9000:\n        x = x + 1", "too-large"),
        (
            "repeat a * 50:\n    repeat c * 500:\n        repeat e * 100:\n            x = x + 1",
            "too-large",
        ),
        ("repeat layer * 2:\n    return x", "misplaced"),
        ("repeat layer * 2:\n    x = sum[t](x)", "axis-mismatch"),
        ("repeat layer * 2:\n    y = f(x)\nz = y", "unknown-name"),
        ("repeat layer * 2:\n    x = x + foo", "unknown-name"),
        ("bank e * 2:\n    x = f(x)", "reassigned"),
        ("bank e * 2:\n    y = f(x)\nbank e * 3:\n    z = f(x)", "size-mismatch"),
        ("bank e * 0:\n    y = f(x)", "bad-size"),
        ("bank e * foo:\n    y = f(x)", "unknown-name"),
        ("bank e * 2:\n    return x", "misplaced"),
        ("scan t:\n    carry S[d] = 0\n    S = x\nrepeat l * 2:\n    S = S + 1", ""),
        ("y = x\nscan t:\n    repeat l * 2:\n        y = y + 1", "reassigned"),
    ],
)
def test_a_loop_that_cannot_be_is_refused(body: str, slug: str) -> None:
    if not slug:
        read(HEAD, f"{body}\nreturn x", F)
        return
    assert set(refused(HEAD, f"{body}\nreturn x", F)) & set(slug.split())


def test_what_is_wrong_in_a_turn_is_said_once() -> None:
    assert refused(HEAD, "repeat layer * 9:\n    x = x + foo\nreturn x") == ["unknown-name"]


def test_no_turn_leaves_things_as_they_are() -> None:
    assert sites(read(HEAD, "repeat layer * 0:\n    x = x + 1\nreturn x")) == ["x"]


# ---- scans


def test_what_is_assigned_inside_has_the_axis_outside() -> None:
    made = read(
        "[h = 2, k = 3, v = 4](q[b, t, h, k], key[b, t, h, k], val[b, t, h, v]) -> [b, t, h, v]",
        """
        scan t:
            carry S[h, k, v] = 0
            S = 0.9 * S + key * val
            o = dot[k](q, S)
            old = prev(S)
        last = S[t = -1]
        return o
        """,
    )
    assert axes(made, "o") == {"b": "b", "t": "t", "h": "2", "v": "4"}
    assert axes(made, "S") == {"b": "b", "t": "t", "h": "2", "k": "3", "v": "4"}
    assert axes(made, "old") == axes(made, "S")
    assert axes(made, "last") == {"b": "b", "h": "2", "k": "3", "v": "4"}


def test_a_carry_is_old_until_it_is_assigned() -> None:
    made = read(
        "[k = 3](x[t, k]) -> [t, k]",
        "scan t:\n    carry S[k] = 0\n    a = S\n    S = S + x\n    c = S\nreturn a + c",
    )
    (scan,) = [s.node.attrs for s in made.body.steps if s.node.op.name == "scan"]
    named = {s.node.site: s for s in scan.body.steps if s.node.site}
    carry = scan.body.steps[0].node
    assert named["a"].operands == (carry.name,)
    assert named["c"].operands == (named["S"].node.name,)


def test_a_carry_has_its_written_axes() -> None:
    made = read(
        "[k = 3](x[t, k]) -> [t, k]",
        "scan t:\n    carry S[k] = 0\n    S = sum[k](S + x)\n    o = S\nreturn o",
    )
    assert axes(made, "S") == axes(made, "o") == {"t": "t", "k": "3"}


def test_a_carry_starts_from_a_value_and_widens() -> None:
    made = read(
        "[k = 3](x[b, t, k], y[b, k]) -> [b, t, k]",
        "scan t:\n    carry S[k] = y\n    carry n = 0\n    S = S + x\n    n = n + 0.5\nreturn S * n",
    )
    assert axes(made, "S") == {"b": "b", "t": "t", "k": "3"}
    assert kind(made, "n") == "float"


def test_scans_run_backwards_and_free() -> None:
    made = read(
        "[k = 3](x[t, k], y[k]) -> [t, k], [n, k]",
        """
        scan t reversed:
            carry S[k] = 0
            S = S + x * t
        scan n * 1000:
            carry y_n[k] = y
            y_n = 0.5 * y_n + n / |n|
        return S, y_n
        """,
    )
    assert [s.node.attrs.reverse for s in made.body.steps if s.node.op.name == "scan"] == [
        True,
        False,
    ]
    assert axes(made, "y_n") == {"n": "1000", "k": "3"}


def test_inside_values_are_taken_at_the_present_step() -> None:
    found = refused("(x[b, t]) -> [b, t]", "scan t:\n    carry S = 0\n    S = x[t = 0]\nreturn S")
    assert found == ["unknown-axis"]


def test_scans_in_scans_get_what_rides_along() -> None:
    for inner in ("carry R[k] = S\n        R = R * w", "carry R[k] = 0\n        R = R * w + S"):
        made = read(
            "[h = 2, k = 3](x[b, t, k], w[h]) -> [b, t, k]",
            f"scan t:\n    carry S[k] = 0\n    scan h:\n        {inner}\n    S = x + R[h = -1]\nreturn S",
        )
        outer = next(s.node.attrs for s in made.body.steps if s.node.op.name == "scan")
        nested = next(s.node.attrs for s in outer.body.steps if s.node.op.name == "scan")
        assert nested.body.steps[0].node.axis_names == {"b", "k"}
        assert axes(made, "R") == {"b": "b", "t": "t", "h": "2", "k": "3"}


def test_drawn_inside_each_step_has_its_own() -> None:
    made = read(
        "[k = 3](x[t, k]) -> [t, k]",
        "scan t:\n    carry S[k] = 0\n    draw e[k] ~ normal(0, 1)\n    S = S + x * e\nreturn S",
    )
    assert axes(made, "e") == {"k": "3", "t": "t"}


def test_blocks_called_inside_have_one_set_of_parameters() -> None:
    made = read(
        "[k = 3](x[t, k]) -> [t, k]",
        "scan t:\n    carry S[k] = 0\n    S = tanh(linear[k -> k](S) + linear[k -> k](x))\nreturn S",
    )
    assert list(params(made)) == ["linear.w", "linear.b", "linear.2.w", "linear.2.b"]
    assert at(made, "linear.2").axis_names == {"t", "k"}


def test_loops_and_branches_stand_inside() -> None:
    body = """
        scan t:
            carry S[k] = 0
            repeat turn * 3:
                S = tanh(S + x)
            if |k| > 2:
                o = 2 * S
            bank e * 2:
                y = linear[k -> k](S)
        return o + sum[e](y)
    """
    made = read("[k = 3](x[b, t, k]) -> [b, t, k]", body)
    assert axes(made, "turn[2].S") == {"b": "b", "t": "t", "k": "3"}
    assert params(made)["y.w"] == "e=2 k'=3 k=3"


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ("carry S[k] = 0\no = x", "carry-order"),
        ("carry S[k] = 0\nS = x\nS = x", "reassigned"),
        ("S = x\ncarry S[k] = 0", "misplaced"),
        ("carry S[q] = 0\nS = x", "unknown-axis"),
        ("carry S[k] = foo\nS = x", "unknown-name"),
        ("carry S[k] = 0\nS = foo", "unknown-name"),
        ("carry x[k] = 0\nx = 1", "reassigned"),
        ("carry S[k], S[k] = 0\nS = 1", "reassigned"),
        ("carry S[k] = 0\nS = x\nreturn S", "misplaced"),
        ("carry S[k] = 0\nS = x\ny = S", "reassigned"),
        ("carry S[k] = 0\nS = (S + x)[k -> h]", "axis-mismatch"),
        ("carry S[k] = 0\nS = mlp", "not-a-value"),
        ("carry S[k] = 0\nstate m[k] = 0\nm = m + 1\nm = 2\nS = x", "reassigned"),
        ("carry S[k] = 0\nstate m[k] = 0\nm = m + v\nS = x", "axis-mismatch"),
        ("carry S[k] = 0\no = prev(x)\nS = x", "carry-order"),
    ],
)
def test_a_scan_that_cannot_be_is_refused(body: str, slug: str) -> None:
    inside = "\n".join(f"    {line}" for line in body.split("\n"))
    found = refused(
        "[h = 3, k = 3](x[t, k], v[h]) -> [t, k]", f"y = x\nscan t:\n{inside}\nreturn y"
    )
    assert set(slug.split()) & set(found), found


@pytest.mark.parametrize(
    ("head", "slug"),
    [
        ("q", "unknown-axis"),
        ("n * 0", "bad-size"),
        ("n * x", "bad-size"),
        ("k * 5", "size-mismatch"),
    ],
)
def test_the_axis_of_a_scan(head: str, slug: str) -> None:
    body = f"scan {head}:\n    carry S = 0\n    S = S + 1\nreturn x"
    assert refused("[k = 3](x[t, k]) -> [t, k]", body) == [slug]


def test_a_state_is_kept_between_calls() -> None:
    found = right(
        """\
model m[k = 3](x[b, k]) -> [b, k]:
    state seen[k] = 0
    before = seen
    seen = seen + mean[b](x)
    after = seen
    return before + after
"""
    )
    made = found.models["m"]
    assert made.updates == ("seen",)
    steps = {s.node.site: s for s in made.body.steps if s.node.site}
    assert steps["before"].operands == (steps["seen"].node.name,)
    assert steps["after"].node.name == made.body.results[1]
