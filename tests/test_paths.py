"""Writes along paths: what consumers read, hop by hop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dsl.written import wrong

from neuraxis.dsl.check import check_text
from neuraxis.runtime.program import Program
from neuraxis.testing.interventions import under

MODEL = """
model tiny[d = 8, vocab = 16](tokens[b, t]: int, L = 3) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    repeat layer * L:
        attn = causal_attention[h = 2, k = 4](layernorm[d](x))
        mid = x + attn
        ffn = mlp(layernorm[d](mid))
        x = mid + ffn
    final = layernorm[d](x)
    logits = dot[d](final, wte)
    return logits
"""
GROUPED = """
model grouped[d = 8](x[b, t, d], L = 2) -> [b, t, d]:
    repeat layer * L:
        attn = grouped_attention[h = 4, g = 2, k = 4](rmsnorm[d](x))
        x = x + attn
    return x
"""
DATA = "data words = repeats(n = 6, t = 5, vocab = 16)\n"
TOKENS = torch.arange(10).reshape(2, 5)
LATER = {
    "layer[0].attn": "layer[0].ffn, layer[1].attn, layer[1].ffn, layer[2].attn, layer[2].ffn",
    "layer[1].ffn": "layer[2].attn, layer[2].ffn",
    "layer[1].attn.z": "layer[1].ffn, layer[2].attn, layer[2].ffn",
}


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(MODEL)


def changed(program: Program, *writes: str, tokens: torch.Tensor = TOKENS) -> torch.Tensor:
    body = "\n".join(f"    {write}" for write in writes)
    model = program.model()
    return under(model, f"intervention i on tiny:\n{body}\n")(tokens)


def values(text: str, head: str = MODEL, of: str = "tiny") -> dict[str, np.ndarray]:
    program = Program.from_text(f"{head}{DATA}experiment e of {of} on words:\n{text}")
    return {name: np.asarray(value) for name, value in program.run("e").values.items()}


@settings(max_examples=12, deadline=None)
@given(
    site=st.sampled_from(sorted(LATER)),
    value=st.sampled_from(["2 * it", "0", "it + 0.5", "tanh(it)"]),
    part=st.sampled_from(["", "[t = 1]", "[t >= 2]"]),
)
def test_along_every_way_is_the_write(program: Program, site: str, value: str, part: str) -> None:
    along = f"{site}{part} along {{{LATER[site]}, logits}} = {value}"
    assert torch.equal(changed(program, along), changed(program, f"{site}{part} = {value}"))


@settings(max_examples=12, deadline=None)
@given(
    site=st.sampled_from(sorted(LATER)),
    some=st.sets(
        st.sampled_from(["layer[2].attn", "layer[2].ffn", "logits"]), min_size=1, max_size=2
    ),
)
def test_all_but_some_and_the_others_are_the_same(
    program: Program, site: str, some: set[str]
) -> None:
    every = {*LATER[site].split(", "), "logits"}
    rest = every - some
    but = changed(program, f"{site} along not {{{', '.join(sorted(some))}}} = 2 * it")
    only = changed(program, f"{site} along {{{', '.join(sorted(rest))}}} = 2 * it")
    assert torch.equal(but, only)


def test_without_a_path_nothing_changes(program: Program) -> None:
    plain = program.model()(TOKENS)
    for write in (
        "layer[2].attn along layer[1].ffn = 2 * it",
        "layer[1].attn.z[h = 1] along {layer[0].attn, layer[1].attn.q} = 0",
        "layer[0].attn.z along layer[2].attn.q = it",
    ):
        assert torch.equal(changed(program, write), plain)


def test_a_path_that_is_none_is_a_warning() -> None:
    text = f"{MODEL}\nintervention i on tiny:\n    layer[2].attn along layer[0].ffn = 0\n"
    assert [str(d.slug) for d in check_text("spec.nax", text).diagnostics] == ["no-path"]


PROTOCOL = """
    run clean = tiny
    run corrupt = tiny(tokens = (words.tokens + 3) % 16)
    run held = clean with layer[0].attn.z[h = 1] from corrupt, {held}
    run four = clean with layer[2].attn.q from held
    run path = clean with layer[0].attn.z[h = 1] from corrupt along layer[2].attn.q{through}
    run free = clean with layer[0].attn.z[h = 1] from corrupt
    a = four.logits
    c = path.logits
    e = free.logits
"""


@pytest.mark.parametrize(
    ("held", "through"),
    [
        ("layer[0].ffn from clean, layer[1].attn from clean, layer[1].ffn from clean", ""),
        ("layer[1].attn from clean", " through layer[*].ffn"),
        ("layer[0].ffn from clean, layer[1].ffn from clean", " through layer[1].attn"),
    ],
)
def test_a_path_is_what_four_passes_give(held: str, through: str) -> None:
    found = values(PROTOCOL.format(held=held, through=through))
    assert np.allclose(found["a"], found["c"], atol=1e-6)
    assert np.abs(found["e"] - found["c"]).max() > 1e-3


def test_frozen_recomputed_and_linear_are_three_numbers() -> None:
    found = values(
        """
    run clean = tiny
    run corrupt = tiny(tokens = (words.tokens + 3) % 16)
    run frozen = clean with layer[0].attn from corrupt along logits
    run again = clean with layer[0].attn from corrupt along logits through layer[*].ffn
    run linear = clean with layer[0].attn from corrupt along logits, final.scale = base.final.scale
    run all = clean with layer[0].attn from corrupt
    added = layernorm_free(corrupt.layer[0].attn - clean.layer[0].attn) * clean.final.scale
    wanted = clean.logits + dot[d](added * clean.final.w, clean.wte)
    a = frozen.logits
    c = again.logits
    e = linear.logits
    g = all.logits
    """,
        f"""{MODEL}
block layernorm_free(x[d]) -> [d]:
    return x - mean[d](x)
""",
    )
    runs = [found[name] for name in "aceg"]
    assert np.allclose(found["e"], found["wanted"], atol=1e-5)
    for place, one in enumerate(runs):
        for other in runs[:place]:
            assert np.abs(one - other).max() > 1e-3


def test_a_part_of_a_consumer_reads_the_path() -> None:
    found = values("""
    run clean = tiny
    run path = clean with layer[0].attn along layer[2].attn.q[h = 1] = 0
    run whole = clean with layer[0].attn along layer[2].attn.q = 0
    a = max[b, t, k](abs(path.layer[2].attn.q - clean.layer[2].attn.q))
    c = max[b, t, k](abs(path.layer[2].attn.q - whole.layer[2].attn.q))
    """)
    assert found["a"][0] == 0
    assert found["a"][1] > 1e-3
    assert found["c"][1] < 1e-6


def test_hops_go_one_after_another() -> None:
    found = values("""
    run clean = tiny
    run first = clean with layer[0].attn along layer[1].ffn = 0
    run second = clean with layer[1].ffn from first along logits
    run path = clean with layer[0].attn along layer[1].ffn then logits = 0
    a = second.logits
    c = path.logits
    e = clean.logits
    """)
    assert np.allclose(found["a"], found["c"], atol=1e-6)
    assert np.abs(found["a"] - found["e"]).max() > 1e-3


def test_several_sites_come_together() -> None:
    found = values("""
    run clean = tiny
    run two = clean with layer[0].attn along logits = 0, layer[1].ffn along logits = 2 * it
    run all = clean with layer[*].attn along logits = 0
    run one = clean with final.x = it - clean.layer[0].attn + clean.layer[1].ffn
    run none = clean with final.x = it - sum[layer](clean.layer[*].attn)
    a = two.logits - one.logits
    c = all.logits - none.logits
    """)
    assert np.abs(found["a"]).max() < 1e-5
    assert np.abs(found["c"]).max() < 1e-5


def test_a_key_is_read_by_its_group() -> None:
    program = Program.from_text(GROUPED)
    model = program.model()
    x = torch.randn(2, 5, 8)
    key = under(
        model, "intervention i on grouped:\n    layer[0].attn along layer[1].attn.key[g = 1] = 0\n"
    )
    sites = ["layer[1].attn.scores"]
    one = key.trace(x, sites=sites)["layer[1].attn.scores"]
    other = model.trace(x, sites=sites)["layer[1].attn.scores"]
    moved = (abs(one.to_xarray() - other.to_xarray()) > 1e-4).any(["b", "t", "s"])
    assert moved.sum() == moved.size // 2


def test_a_sweep_of_paths_is_its_members() -> None:
    found = values("""
    run clean = tiny
    run corrupt = tiny(tokens = (words.tokens + 3) % 16)
    measure gap(r) = mean[b](r.logits[t = -1, vocab = 3])
    sweep paths over l in layer, m in layer, n in h:
        run one = clean with layer[l].attn.z[h = n] from corrupt along layer[m].attn.q
        gap(one) - gap(clean)
    run single = clean with layer[0].attn.z[h = 1] from corrupt along layer[2].attn.q
    a = gap(single) - gap(clean)
    """)
    assert np.allclose(found["paths"][0, 2, 1], found["a"], atol=1e-6)
    assert np.abs(found["paths"][1:, :2]).max() < 5e-6


@pytest.mark.parametrize(
    ("write", "slug"),
    [
        ("layer[0].attn along nowhere = 0", "unknown-site"),
        ("layer[0].attn along logits through layer[0].nothing = 0", "unknown-site"),
        ("layer[0].attn along layer[0].ffn.act.w = 0", "bad-write"),
        ("layer[0].attn along logits[q = 1] = 0", "unknown-axis"),
        ("layer[0].ffn.act.pre along {layer[1].ffn.act.ratio[h = 1]} = 0", "unknown-axis"),
    ],
)
def test_what_is_wrong_with_a_path(write: str, slug: str) -> None:
    assert slug in wrong(f"{MODEL}\nintervention i on tiny:\n    {write}\n")


def test_two_paths_to_one_consumer_go_the_same_way() -> None:
    text = """
intervention i on tiny:
    layer[0].attn along logits = 0
    layer[1].attn along logits through layer[*].ffn = 0
"""
    assert "bad-write" in wrong(MODEL + text)


def test_a_held_way_is_named() -> None:
    text = """
model side[d = 4](x[b, d]) -> [b, d]:
    a = mlp(x)
    c = mlp(a) + mlp(2 * a)
    return c

intervention i on side:
    a along out = 0
"""
    found = check_text("spec.nax", text)
    assert [d.slug.value for d in found.diagnostics] == ["no-path"]
    assert "through {mlp" in (found.diagnostics[0].hint or "")
