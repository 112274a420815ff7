"""What an intervention, a read or a sweep adds to the source: no more than it must."""

from __future__ import annotations

import ast
from collections import Counter
from unittest.mock import patch

import pytest
import torch
from tests.runtime.small import READER, program

from neuraxis.runtime import lowering
from neuraxis.runtime.program import Program
from neuraxis.runtime.sweeps import Sweep
from neuraxis.runtime.sweeps.work import Work

TOKENS = torch.tensor([[1, 2, 3]])
TWELVE = """
use models.gpt2: gpt2

data words = repeats(n = 2, t = 4, vocab = 8, held = 0)

experiment e of gpt2[d = 8, vocab = 8, ctx = 8, h = 2, k = 4, m = 16](L = 12) on words:
    run clean = gpt2
    sweep effect over l in layer:
        run cut = clean with layer[l].attn = 0
        mean[b](cut.logits[t = -1, vocab = 1])
"""


def test_an_intervention_that_changes_nothing_is_the_plain_source() -> None:
    model = program(READER).model("reader")
    plain, none = model._artifact.source, model.under("nothing")._artifact.source
    assert none == plain


@pytest.mark.parametrize("site", ["x", "rmsnorm", "attn.q", "attn", "mid", "ffn.act"])
def test_a_read_keeps_one_tensor_and_computes_nothing(site: str) -> None:
    model = program(READER).model("reader", L=1)
    (address,) = [found.address for found in model.sites(f"layer[0].{site}")]
    plain, traced = (m._artifact.source for m in (model, model._exposing((address,))))
    assert operations(traced) == operations(plain)
    assert given_out(traced) == given_out(plain) + 1


def operations(source: str) -> Counter[str]:
    """All calls and operators of a source, and how often each stands there."""
    found: Counter[str] = Counter()
    for part in ast.walk(ast.parse(source)):
        match part:
            case ast.Call(func=func):
                found[ast.unparse(func)] += 1
            case ast.BinOp(op=op):
                found[type(op).__name__] += 1
    return found


def given_out(source: str) -> int:
    """How many values the model itself, which is the last class, returns."""
    *_, last = (
        part for part in ast.walk(ast.parse(source).body[-1]) if isinstance(part, ast.Return)
    )
    return len(last.value.elts) if isinstance(last.value, ast.Tuple) else 1


def test_a_sweep_over_twelve_sites_is_compiled_once() -> None:
    found = Program.from_text(TWELVE)
    study = found.checked.experiments["e"]
    given = found.library.given(study)
    model = found.model("gpt2", d=8, vocab=8, ctx=8, h=2, k=4, m=16, L=12)
    with patch.object(lowering, "build", side_effect=lowering.build) as built:
        sweep = Sweep.of(study, study.sweeps[0], given.sizes)
        work = Work(sweep, given.inputs, given.sizes, model, seed=0, memory=1 << 30)
        values = [work.part(box) for box in work.boxes]
    assert [value.shape for value in values] == [(12,)]
    assert built.call_count == 1  # how long it takes: bench/compile_time.py
