"""What holds of every block of the standard library."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neuraxis import specs
from neuraxis.dsl.diagnostics import Collector, render
from neuraxis.dsl.elaborate import ModelRequest, elaborate_model
from neuraxis.dsl.format import format_spec
from neuraxis.dsl.modules import SHARED, std_index
from neuraxis.dsl.source import Source
from neuraxis.dsl.syntax import Block

BLOCKS = sorted(std_index())
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_checks_without_a_word(name: str, training: bool) -> None:
    module = SHARED.module(std_index()[name])
    block = module.own[name]
    assert isinstance(block, Block)
    collector = Collector()
    model = elaborate_model(ModelRequest(block, module, training=training), collector)
    assert not collector.diagnostics, render(collector.diagnostics)
    assert model is not None


def test_every_block_has_one_home_and_a_line_about_it() -> None:
    homes = []
    for name in specs.names():
        if name.startswith("std/"):
            lines = specs.read(name).splitlines()
            assert lines[0].startswith('"""')
            for above, line in itertools.pairwise(lines):
                if line.startswith("block "):
                    homes.append(line.split("[")[0].split("(")[0])
                    assert above.startswith("# "), f"{name}: {line}"
    assert len(set(homes)) == len(homes)


@pytest.mark.parametrize("name", [n for n in specs.names() if n.startswith(("std/", "models/"))])
def test_a_shipped_spec_is_formatted(name: str) -> None:
    assert format_spec(Source(name, specs.read(name))) == specs.read(name)


CALLS = {
    "attention[h = 2, k = 4](x)": "h s k",
    "causal_attention[h = 2, k = 4](x)": "h s d'",
    "scored_attention[h = 2, k = 4](x)": "h s n",
    "sink_attention[h = 2, k = 4](x)": "h s k",
    "sigmoid_attention[h = 2, k = 4](x)": "h s k",
    "grouped_attention[h = 2, g = 1, k = 4](x)": "g u pair f half",
    "mlp(x)": "m",
    "glu(x)": "m gate",
    "moe[e = 3](x, expert = mlp[m = 5])": "e m",
    "layernorm[d](x)": "i",
    "groupnorm[d, g = 3](x)": "g u c",
    "shortconv[t, d](x)": "r c",
    "conv1d[d -> d](x)": "r u c o",
    "maxpool[t](x)": "u w",
    "rope[k = d](x, t)": "pair f k",
    "sparsemax[d](x)": "n",
    "gru[n = 6](x)[n -> d]": "gate n' c",
    "lstm[n = 6](x)[n -> d]": "gate i",
    "linear_attention[h = 2, k = 4, v = 4](x)": "h k v",
    "gated_delta[h = 2, k = 4, v = 4](x)": "h k v r",
    "descent[h = 2, k = 4, v = 4](x)": "h k v r gap",
    "std[d](x) * x": "a",
}


@pytest.mark.parametrize("call", CALLS)
def test_what_rides_along_is_kept_apart(probe: Any, call: str) -> None:
    """An outer axis called like one that the block makes changes nothing."""
    body = f"    y = {call}\n    return y\n"
    alone = probe(f"model probe[d = 6](x[t, d]) -> [t, d]:\n{body}")
    x = RNG.normal(size=(2, 5, 6))
    wanted = np.stack([alone(part) for part in x])
    for outer in CALLS[call].split():
        header = f"model probe[d = 6](x[{outer}, t, d]) -> [{outer}, t, d]:\n"
        lifted = probe(header + body)
        assert {name: w.shape for name, w in lifted.params.items()} == {
            name: w.shape for name, w in alone.params.items()
        }
        lifted.params = alone.params
        assert_allclose(lifted(x), wanted, rtol=1e-10, atol=1e-12)


def test_what_a_carry_gains_is_kept_apart_too(probe: Any) -> None:
    """The outer `m` reaches the block through the carry only, after the block's own is made."""
    body = (
        "    scan t:\n        carry y[d] = 0\n        y = 0.3 * mlp[m = 2](y) + x\n    return y\n"
    )
    alone = probe(f"model probe[d = 6](x[t, d]) -> [t, d]:\n{body}")
    x = RNG.normal(size=(2, 5, 6))
    wanted = np.stack([alone(part) for part in x])
    lifted = probe(f"model probe[d = 6, m = 2](x[m, t, d]) -> [m, t, d]:\n{body}")
    lifted.params = alone.params
    assert_allclose(lifted(x), wanted, rtol=1e-10)


def test_blocks_go_together(probe: Any) -> None:
    """No reference but the oracle: options, templates of templates, other axes."""
    run = probe(
        "model probe[d = 8](x[b, i, j, d]) -> [b, i, j, d]:\n"
        "    rows = scored_attention[h = 2, k = 4, t = i](x, score = bucketed_bias[bucket = 8])\n"
        "    turn = rope(base = 50.0, interleaved = true)\n"
        "    columns = grouped_attention[h = 2, g = 1, k = 4, t = j](rows, place = turn)\n"
        "    tokens = columns[(i, j) -> t]\n"
        "    experts = moe[e = 3](tokens, expert = mlp[m = 4](nonlinearity = softcap(cap = 2.0)))\n"
        "    back = flip[t](gru[n = 5](flip[t](experts)))\n"
        "    both = concat[n](gru[n = 5](experts), back)\n"
        "    there = linear[n -> d](both)\n"
        "    return groupnorm[d, t, g = 2](there)[t -> (i, j)]\n"
    )
    assert run(RNG.normal(size=(2, 3, 4, 8))).shape == (2, 3, 4, 8)
    assert run.params["rows.scores.w"].shape == (8, 2)
    assert run.params["experts.answer.act.w"].shape == (3, 8, 4)


def test_windows_over_other_axes_and_what_stands_outside(probe: Any) -> None:
    run = probe(
        "model probe[u = 3, r = 2](x[b, t]) -> [b, t], [b, u], [b, u]:\n"
        "    before = x[t = t - 1 else 7]\n"
        "    largest = max[r](x[t = 2 * u + r - 1])\n"
        "    third = x[t = 3 * u else -1]\n"
        "    return before, largest, third\n"
    )
    x = -np.arange(1.0, 6.0)[None]
    before, largest, third = run(x)
    assert before.tolist() == [[7, -1, -2, -3, -4]]
    assert largest.tolist() == [[-1, -2, -4]]
    assert third.tolist() == [[-1, -4, -1]]


def test_a_callee_may_have_an_axis_of_the_name_that_it_is_given(probe: Any) -> None:
    run = probe(
        "model probe[n = 6](x[b, t, n]) -> [b, t, n]:\n"
        "    y = gru[d = n, n = 4](x)\n"
        "    z = gru[d = n, n = 3](y)\n"
        "    return z\n"
    )
    assert run(RNG.normal(size=(2, 5, 6))).shape == (2, 5, 3)
