"""A model to first order in its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.dsl.written import wrong
from tests.test_paths import DATA, MODEL
from torch.nn.attention import SDPBackend, sdpa_kernel

from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = """
train base of tiny on words:
    loss = mean[b, t](cross_entropy[vocab](logits[t = 0..-1], words.tokens[t = 1..]))
    using sgd(lr = 0.1), batch 6, steps 2

train moved of tiny from base on words:
    loss = mean[b, t](cross_entropy[vocab](logits[t = 0..-1], words.tokens[t = 1..]))
    using sgd(lr = 0.3), batch 6, steps 3

train tangent of tiny from base on words:
    run line = linearise(tiny, around = base)
    loss = mean[b, t](cross_entropy[vocab](line.logits[t = 0..-1], words.tokens[t = 1..]))
    using sgd(lr = 0.01), batch 6, steps 3
"""
EXPERIMENT = """
experiment e of tiny on words:
    run first = tiny with base
    run last = tiny with moved
    run line = linearise(tiny, around = base) with moved
    run learned = linearise(tiny, around = base) with tangent
    a = first.logits
    c = line.logits
    e = line.layer[1].attn.pattern
    tokens = words.tokens
    before = mean[b, t](cross_entropy[vocab](first.logits[t = 0..-1], words.tokens[t = 1..]))
    after = mean[b, t](cross_entropy[vocab](learned.logits[t = 0..-1], words.tokens[t = 1..]))
"""


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_it_is_the_tangent_of_the_model(tmp_path: Path) -> None:
    program = Program.from_text(MODEL + DATA + TRAIN + EXPERIMENT)
    found = program.run("e", folder=tmp_path).values
    base, moved = (program.trained(n, folder=tmp_path, resume=True) for n in ("base", "moved"))
    tokens = torch.as_tensor(found["tokens"].values)
    start = {n: p.detach() for n, p in base.named_parameters()}
    step = {n: p.detach() - start[n] for n, p in moved.named_parameters()}
    with sdpa_kernel(SDPBackend.MATH):  # the others have no tangents
        value, slope = torch.func.jvp(
            lambda held: torch.func.functional_call(base, held, (tokens,)), (start,), (step,)
        )
    assert np.allclose(found["a"].values, value.numpy(), atol=1e-5)
    assert np.allclose(found["c"].values, (value + slope).numpy(), atol=1e-4)
    assert np.allclose(found["e"].sum("s"), 1, atol=1e-5)  # how a pattern moves adds up to 0
    assert found["after"] < found["before"]


@pytest.mark.parametrize(
    ("run", "slug"),
    [
        ("linearise(tiny)", "wrong-arguments"),
        ("linearise(tiny, around = nobody)", "unknown-name"),
        ("linearise(tiny, around = base) with base", "wrong-arguments"),
    ],
)
def test_what_cannot_be_linear(run: str, slug: str) -> None:
    text = f"{MODEL}{DATA}{TRAIN}\nexperiment e of tiny on words:\n    run r = {run}\n"
    assert slug in wrong(text)
