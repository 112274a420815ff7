"""The law of sweeps: in rows == with the swept axes riding along == the members one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.studies import Sweep

from neuraxis.compiler.sweeps import Packed

HEAD = """
data words = jsonl("words.jsonl"): tokens[t]: int, label: int, at: position

model small[d = 3, vocab = 5](tokens[b, t]: int, L = 2, mixer: block = {mixer}) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    param wpe[pos = 8, d] ~ normal(0, 1)
    x = wte[vocab = tokens] + wpe[pos = t]
    repeat layer * L:
        attn = mixer(rmsnorm[d](x))
        mid = x + attn
        ffn = tanh(linear[d -> d](mid))
        x = mid + ffn
    logits = dot[d](x, wte)
    return logits

intervention ablate(l, n) on small:
    layer[l].attn.z[h = n] = mean[b, t](base.layer[l].attn.z[h = n])

intervention steer(by = 1.0, v[d]) on small:
    layer[0].x[t >= 2] += by * v

experiment e of small on words:
    run clean = small
    run other = small(tokens = (words.tokens + 1) % 5)
    measure gap(r) = mean[b](r.logits[t = -1, vocab = words.label] - r.logits[t = -1, vocab = 0])
    measure bits(r) = mean[b, t](cross_entropy[vocab](r.logits[t = 0..-1], r.tokens[t = 1..]))
    measure all(r) = mean[b, t, vocab](r.logits * r.logits)
"""
HEAD = HEAD.replace("param wpe[pos = 8, d]", "param wpe[pos, d]").replace(
    "vocab = 5]", "vocab = 5, pos = 8]"
)

MIXERS = {
    "causal": "causal_attention[h = 2, k = 2]",
    "window": "window_attention[h = 2, k = 2](window = 2)",
    "both ways": "attention[h = 2, k = 2]",
    "groups": "grouped_attention[h = 4, g = 2, k = 2]",
}
MEMORY = """block memory(x[t, d]) -> [t, d]:
    scan t:
        carry y[d] = 0
        y = 0.5 * y + x
    return y

"""
L, P, H = ("layer", range(2)), ("t", range(4)), ("h", range(2))
PATCH = "run patched = other with layer[{l}].x[t = {p}] from clean"


def sweep(over: dict[str, object], body: str, mixer: str = "causal", **more: object) -> Sweep:
    head = HEAD.replace("{mixer}", MIXERS.get(mixer, mixer))
    return Sweep(head, over, body, **more)  # type: ignore[arg-type]  # as Sweep has them


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("measure", ["gap", "bits", "all"])
def test_patches_at_layers_and_positions(mixer: str, measure: str) -> None:
    packed = sweep(
        {"l": L, "p": P}, f"{PATCH}\n{measure}(patched) - {measure}(other)", mixer
    ).check()
    assert isinstance(packed, Packed), packed
    assert "t" in packed.positions
    assert packed.first == "patched:layer[0].x"


def test_a_patch_is_computed_from_its_position_on() -> None:
    causal = sweep({"l": L, "p": P}, f"{PATCH}\nall(patched)").check()
    assert isinstance(causal, Packed)
    # the written positions; after attention, all that come later; both, where layers meet
    assert {4, 4 + 3 + 2 + 1} <= set(causal.rows.values())
    window = sweep({"l": L, "p": P}, f"{PATCH}\nall(patched)", "window").check()
    assert isinstance(window, Packed)
    assert {4, 2 + 2 + 2 + 1} <= set(window.rows.values())


@pytest.mark.parametrize("mixer", ["causal", "both ways"])
def test_heads_are_ablated_to_their_mean(mixer: str) -> None:
    body = "run patched = clean with ablate({l}, {n})\ngap(patched)"
    packed = sweep({"l": L, "n": H}, body, mixer).check()
    assert isinstance(packed, Packed), packed
    # all positions of a head are other ones, so that rows are members and their head
    assert packed.positions == ("h",)
    assert set(packed.rows.values()) == {2, 4}


OTHERS = {
    "scores": (
        {"l": L, "p": P},
        "run patched = other with layer[{l}].attn.scores[t = {p}] from clean",
    ),
    "keys": ({"l": L, "p": P}, "run patched = other with layer[{l}].attn.key[t = {p}] from clean"),
    "pattern": ({"p": P, "l": L}, "run patched = other with layer[{l}].attn.pattern[s = {p}] = 0"),
    "heads at positions": (
        {"l": L, "n": H, "p": P},
        "run patched = other with layer[{l}].attn.z[h = {n}, t = {p}] from clean",
    ),
    "several sites": (
        {"l": L, "p": P},
        "run patched = other with layer[{l}].attn[t = {p}] = 0, layer[{l}].ffn[t = {p}] from clean",
    ),
    "a write below another": (
        {"p": P},
        "run patched = other with layer[0].x[t = {p}] from clean, layer[1].mid[t = 0] = 0",
    ),
    "positions of the data": (
        {"l": L},
        "run patched = other with layer[{l}].x[t = @at] from clean",
    ),
    "a position before the end": ({"l": L}, "run patched = other with layer[{l}].x[t = -2] = 0"),
    "strengths at a layer": (
        {"l": L, "g": ("[0, 0.5, 2]", [0, 0.5, 2])},
        "run patched = clean with layer[{l}].ffn *= {g}",
    ),
    "strengths at positions": (
        {"p": P, "g": ("[0, 3]", [0, 3])},
        "run patched = clean with layer[1].x[t = {p}] += {g}",
    ),
    "what is read elsewhere": (
        {"l": L, "p": P},
        "run patched = other with layer[{l}].mid[t = {p}] = clean.layer[0].x[t = 1] * 2",
    ),
}


@pytest.mark.parametrize("row", OTHERS)
@pytest.mark.parametrize("measure", ["gap", "bits"])
def test_other_sweeps(row: str, measure: str) -> None:
    over, run = OTHERS[row]
    packed = sweep(over, f"{run}\n{measure}(patched)").check()
    assert isinstance(packed, Packed), packed


def test_one_value_for_each_member_everywhere_is_no_matter_of_rows() -> None:
    over = {"g": ("[0, 0.5, 2]", [0, 0.5, 2])}
    found = sweep(over, "run patched = clean with layer[0].ffn *= {g}\ngap(patched)").check()
    assert found == "what is swept reaches every value, not only those written"
    steer = "run patched = clean with layer[0].x[t >= 2] += {g} * clean.wte[vocab = 1]"
    assert isinstance(sweep(over, f"{steer}\ngap(patched)").check(), str)


def test_recurrences_run_in_every_member_whole() -> None:
    head = HEAD.replace("{mixer}", "memory").replace("model small", MEMORY + "model small")
    head = head.replace("attn.z[h = n]", "attn[d = n]")
    found = Sweep(head, {"l": L, "p": P}, f"{PATCH}\ngap(patched)").check()
    assert found == "a recurrence runs in every member whole"


def test_what_no_member_changes() -> None:
    body = "run patched = other with layer[1].x[t = {p}] from clean\nall(clean) + {p} * 0"
    assert isinstance(sweep({"p": P}, body).check(), str)


SITES = ["x", "mid", "attn", "ffn", "attn.q", "attn.key", "attn.v", "attn.z", "attn.scores"]
SITES += ["attn.pattern", "in.x"]
PARTS = [
    "[t = {p}]",
    "[t = {p}]",
    "[t >= {p}]",
    "[t = @at]",
    "[t = @at, {inner}]",
    "[t = {p}, {inner}]",
    "[t < {p}, {inner}]",
    "[{inner}]",
]
INNER = {"x": "d = 1", "mid": "d = 1", "attn": "d in {{0, 2}}", "ffn": "d != 0", "in.x": "d = 0"}
WHATS = [
    " from clean",
    " = 0",
    " += 1",
    " = 2 * it",
    " = tanh(it)",
    " *= {p}",
    " = clean.{site} - it",
]


@settings(max_examples=settings().max_examples // 4)
@given(st.data())
def test_any_intervention(data: st.DataObject) -> None:
    draw = data.draw
    mixer = draw(st.sampled_from([*MIXERS][:3]), label="mixer")
    writes = []
    for _ in range(draw(st.integers(1, 2), label="writes")):
        site = draw(st.sampled_from(SITES), label="site")
        layer = draw(st.sampled_from(["{l}", "{l}", "1", "*"]), label="layer")
        part = draw(st.sampled_from(PARTS), label="part")
        part = part.replace("{inner}", INNER.get(site, "h = 1"))
        what = draw(st.sampled_from(WHATS), label="what")
        read = f"layer[{layer if layer != '*' else 0}].{site}"
        writes.append(f"layer[{layer}].{site}{part}{what.replace('{site}', read)}")
    measure = draw(st.sampled_from(["gap", "bits"]), label="measure")
    body = f"run patched = other with {', '.join(writes)}\n{measure}(patched)"
    over = {"l": L, "p": P} if "{l}" in body else {"p": P}
    over = over if "{p}" in body else {"l": L}
    if "{" not in body.replace("{{", ""):
        return
    sizes = {"b": draw(st.integers(1, 2)), "t": 4}
    sweep(over, body, mixer, sizes=sizes, seed=draw(st.integers(0, 99))).check(alone=2)


def test_sizes_that_differ_along_one_axis() -> None:
    """A part of an axis has rows of its own."""
    body = f"{PATCH}\nmean[b, t, d](patched.layer[1].x[t = 1..] - patched.layer[1].mid[t = 0..-1])"
    packed = sweep({"l": L, "p": P}, body).check()
    assert isinstance(packed, Packed)
    assert np.prod([count > 0 for count in packed.rows.values()])


def test_a_write_below_what_is_measured_is_the_same_in_all_members() -> None:
    late = f"{PATCH}\nmean[b, d](patched.layer[0].x[t = 0])"
    packed = sweep({"l": L, "p": P}, late).check()
    assert isinstance(packed, Packed)
    assert set(packed.rows.values()) <= {1}


def test_a_part_of_a_mask_that_members_decide_about() -> None:
    writes = ", ".join(f"layer[{{l}}].{site}[t = @at] from clean" for site in ("x", "attn.key"))
    found = sweep(
        {"l": L}, f"run patched = other with {writes}\ngap(patched)", sizes={"b": 1, "t": 4}
    )
    assert isinstance(found.check(alone=2), Packed)
