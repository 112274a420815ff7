"""Sweeps over edges: who sends and who receives are swept, and each member is the path alone."""

from __future__ import annotations

import pytest

from neuraxis.runtime.program import Program
from neuraxis.testing import check_sweep_members

HEAD = """
model small[d = 4, vocab = 8](tokens[b, t]: int, L = 3) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    repeat layer * L:
        attn = causal_attention[h = 2, k = 2](layernorm[d](x))
        mid = x + attn
        ffn = mlp[m = 6](layernorm[d](mid))
        x = mid + ffn
    return dot[d](layernorm[d](x), wte)

data words = repeats(n = 2, t = 2, vocab = 8, held = 0)

experiment e of small on words:
    run clean = small
    run other = small(tokens = (words.tokens + 1) % 8)
    measure gap(r) = mean[b](r.out[t = @last, vocab = 1])
    sweep effect over {over}:
        run patched = other with {write}
        gap(patched) - gap(other)
"""
EDGES = {
    "heads to heads": (
        "l in layer, n in h, m in layer, k in h",
        "layer[l].attn.z[h = n] from clean along layer[m].attn.q[h = k]",
    ),
    # what comes through another consumer is not on the way of the one that is picked
    "layers to layers": ("l in layer, m in layer", "layer[l].attn from clean along layer[m].ffn"),
    "all but one": ("m in layer", "layer[0].attn from clean along not layer[m].ffn"),
    "then on": (
        "l in layer, m in layer, p in t",
        "layer[l].attn[t = p] from clean along layer[m].ffn then out",
    ),
    # a sender stands on the way of another one
    "through senders": (
        "l in layer, m in layer",
        "layer[l].attn from clean along {layer[m].attn.v, layer[m].ffn} through layer[*].attn",
    ),
    # a receiver that sends as well
    "receivers that send": (
        "m in layer",
        "layer[*].ffn along {layer[m].ffn, layer[m].attn.q} *= 2",
    ),
    # who reads at the end is another in each member, and where the hop begins stands in it once
    "ends in common": (
        "l in layer",
        "layer[l].attn.z[h = 1] from clean along layer[l].ffn.act then layer[2].ffn",
    ),
    "beside the result": (
        "l in layer",
        "layer[*].attn.z[h = 1] along {layer[l].attn.key, out} *= 2",
    ),
    "one variable for both": ("l in layer", "layer[l].attn from clean along layer[l].ffn"),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_sweep_over_edges_is_each_path_by_itself(name: str) -> None:
    over, write = EDGES[name]
    text = HEAD.replace("{over}", over).replace("{write}", write)
    check_sweep_members(Program.from_text(text), members=3)
