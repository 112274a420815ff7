"""Runs that decode in sweeps, and with values of earlier runs: each member is a run by itself."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.experiment import Outcome, run_experiment
from neuraxis.runtime.program import Program
from neuraxis.runtime.session import Session

if TYPE_CHECKING:
    from pathlib import Path

LM = """
model lm[d = 8, vocab = 32](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * 2:
        mixed = causal_attention[h = 2, k = 4](x)
        x = x + mixed
    return linear[d -> vocab](x)

intervention push(l = 0, size = 3.0, v[d]) on lm:
    layer[l].mixed += size * v

intervention centred(size = 1.0) on lm:
    layer[0].mixed -= size * mean[b](it)

data words = repeats(n = 3, t = 3, vocab = 32, held = 0)

experiment e of lm on words:
"""


def outcome(body: str) -> tuple[Program, Outcome]:
    """An experiment, run."""
    text = LM + "".join(f"    {line}\n" for line in body.strip().splitlines())
    program = Program.from_text(text)
    study = program.checked.experiments["e"]
    return program, run_experiment(study, program.model("lm"), program.library)


def test_members_of_a_sweep_are_runs_by_themselves() -> None:
    """Over sites, strengths and a vector that is computed in the experiment."""
    body = """
run clean = lm
v = mean[b, t](clean.layer[1].x)
sweep found over l in layer, g in [-2.0, 0.5, 4.0]:
    run out = decode(prompt = words.tokens[t = 0..4], steps = 5) with push(l = l, size = g, v = v)
    mean[b, t](out.tokens)
"""
    program, swept = outcome(body)
    assert program.checked.experiments["e"].decodes[0].rows
    tokens = swept.values["out.tokens"]
    assert tokens.dims == ("l", "g", "b", "t")
    assert tokens["g"].values.tolist() == [-2.0, 0.5, 4.0]
    np.testing.assert_allclose(swept.values["found"], tokens.mean(("b", "t")), rtol=1e-6)
    model = program.model("lm")
    prompts = torch.as_tensor(program.library.dataset("words")["tokens"].values)[:, :4]
    vector = torch.as_tensor(swept.values["v"].values)
    for l in range(2):  # noqa: E741
        for g in (-2.0, 0.5, 4.0):
            alone = model.under("push", l=l, size=g, v=vector).decode(prompts, steps=5).tokens
            assert np.array_equal(tokens.sel(l=l, g=g), alone)
    assert len(np.unique(tokens.values.reshape(6, -1), axis=0)) > 2


def test_each_example_has_its_own_vector() -> None:
    body = """
run clean = lm
own = mean[t](clean.layer[1].x)
sweep found over g in [0.0, 3.0]:
    run out = decode(prompt = words.tokens, steps = 4) with layer[0].mixed += g * own
    mean[b, t](out.tokens)
"""
    _, swept = outcome(body)
    tokens = swept.values["out.tokens"]
    for row in range(3):
        one = body.replace("words.tokens,", f"words.tokens[b = {row}],").replace("own = ", "all = ")
        one = one.replace("sweep", f"own = all[b = {row}]\nsweep").replace(
            "mean[b, t](out", "mean[t](out"
        )
        assert np.array_equal(outcome(one)[1].values["out.tokens"], tokens[:, row])


def test_what_brings_examples_together_is_decoded_one_after_another() -> None:
    body = """
sweep found over g in [0.0, 1.0]:
    run out = decode(prompt = words.tokens, steps = 4) with centred(size = g)
    mean[b, t](out.tokens)
"""
    program, swept = outcome(body)
    assert not program.checked.experiments["e"].decodes[0].rows
    prompts = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    for place, g in enumerate((0.0, 1.0)):
        alone = program.model("lm").under("centred", size=g).decode(prompts, steps=4).tokens
        assert np.array_equal(swept.values["out.tokens"][place], alone)


@pytest.mark.parametrize("prompt", ["words.tokens", 'text("ab")'])
def test_seeds_temperatures_and_samples(prompt: str) -> None:
    body = f"""
sweep found over k in 3..5, heat in [0.5, 1.5]:
    run out = decode(prompt = {prompt}, steps = 3, temperature = heat, seed = k, samples = 2)
    max[sample, t](out.tokens)
"""
    if "text" in prompt:
        body = body.replace('text("ab")', 'text("\\t\\n")')
    program, swept = outcome(body)
    tokens = swept.values["out.tokens"]
    model = program.model("lm")
    given = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    prompts = given if "words" in prompt else torch.tensor([9, 10])
    for k, heat in ((3, 0.5), (4, 1.5)):
        alone = model.decode(prompts, steps=3, temperature=heat, seed=k, samples=2).tokens
        assert np.array_equal(tokens.sel(k=k, heat=heat), alone)
    assert not np.array_equal(tokens.sel(k=3, heat=1.5), tokens.sel(k=4, heat=1.5))


def test_prompts_are_swept_and_places_are_read() -> None:
    body = """
sweep found over p in 1..4:
    run out = decode(prompt = where(t == p, 0, words.tokens), steps = 4)
    mean[b](out.tokens[t = 0] == 0)
"""
    program, swept = outcome(body)
    given = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    for p in range(1, 4):
        changed = given.clone()
        changed[:, p] = 0
        alone = program.model("lm").decode(changed, steps=4).tokens
        assert np.array_equal(swept.values["out.tokens"].sel(p=p), alone)


def test_a_vector_that_a_sweep_found_steers_a_run() -> None:
    body = """
sweep effect over g in [1.0, 2.0]:
    run pushed = lm with layer[0].mixed *= g
    mean[b, t](pushed.layer[1].x)
v = mean[g](effect)
run out = decode(prompt = words.tokens, steps = 4) with push(v = v)
same = mean[b, t](out.tokens)
"""
    program, found = outcome(body)
    prompts = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    steered = program.model("lm").under("push", v=torch.as_tensor(found.values["v"].values))
    assert np.array_equal(found.values["out.tokens"], steered.decode(prompts, steps=4).tokens)


def test_the_last_position_is_bound_at_the_step_that_computes_a_token() -> None:
    """Steering with a cache is that of a run over the whole: `@last` is what is last when a token
    is computed, and stays written."""
    body = """
run clean = lm
v = 3 * mean[b, t](clean.layer[1].x)
run out = decode(prompt = words.tokens[t = 0..4], steps = 6) with layer[0].mixed[t = @last] += v
run whole = decode(prompt = words.tokens[t = 0..4], steps = 6) with layer[0].mixed[t >= 3] += v
run other = decode(prompt = words.tokens[t = 0..4], steps = 6)
"""
    program, found = outcome(body)
    tokens = {name: found.values[f"{name}.tokens"] for name in ("out", "whole", "other")}
    assert np.array_equal(tokens["out"], tokens["whole"])
    assert not np.array_equal(tokens["out"], tokens["other"])
    text = LM.partition("\nexperiment e")[0].replace(
        "layer[l].mixed += size", "layer[l].mixed[t >= 3] += size"
    )
    rows = torch.as_tensor(program.library.dataset("words")["tokens"].values)[:, :4]
    again = (
        Program.from_text(text)
        .model("lm")
        .under("push", size=1.0, v=torch.tensor(found.values["v"].values))
    )
    for _ in range(6):
        with torch.no_grad():
            rows = torch.cat([rows, again(rows)[:, -1:].argmax(-1)], 1)
    assert np.array_equal(tokens["out"], rows[:, 4:])


def test_a_model_is_given_more_than_tokens() -> None:
    """Further inputs along the tokens, as a sweep gives them."""
    text = LM.replace("b]: int)", "b]: int, side[b, t])").replace(
        "\n    repeat", " + side\n    repeat"
    )
    text += """
    sweep found over g in [0.0, 3.0]:
        run out = decode(prompt = words.tokens[t = 0..2], steps = 4, side = g * (words.tokens % 3))
        mean[b, t](out.tokens)
"""
    program = Program.from_text(text)
    study = program.checked.experiments["e"]
    swept = run_experiment(study, program.model("lm"), program.library)
    given = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    for g in (0.0, 3.0):
        alone = program.model("lm").decode(given[:, :2], steps=4, side=g * (given % 3)).tokens
        assert np.array_equal(swept.values["out.tokens"].sel(g=g), alone)


def test_what_was_decoded_is_read_by_later_runs() -> None:
    """Behind the end of a row stands -1, which is cut off for a model to read it: what is causal
    does not see it earlier."""
    body = """
run out = decode(prompt = words.tokens[t = 0..4], steps = 6, stop = 12)
run again = lm(tokens = concat[t](words.tokens[t = 0..4], max(out.tokens, 0)))
there = out.tokens >= 0
right = sum[b, t](there * (argmax[vocab](again.out[t = 3..-1]) == out.tokens)) / sum[b, t](there)
ended = sum[b, t](not there)
"""
    _, found = outcome(body)
    assert float(found.values["right"]) == 1
    assert float(found.values["ended"]) > 0


RESUMED = """
use models.gpt2: gpt2

data words = repeats(n = 2, t = 2, vocab = 8, held = 0)

experiment e of gpt2[d = 4, vocab = 8, ctx = 16, h = 2, k = 2, m = 8](L = 1) on words:
    sweep said over g in [1.0, 2.0, 3.0], r in 0..2:
        run out = decode(prompt = words.tokens, steps = 3, temperature = g, seed = r)
        mean[b, t](out.tokens)
"""


def test_what_members_have_decoded_is_gone_on_from(tmp_path: Path) -> None:
    def run(resume: bool, text: str = RESUMED) -> bytes:
        program, console = Program.from_text(text), Console(file=StringIO())
        session = Session(program, tmp_path, resume=resume, console=console)
        return session.experiment("e").values["out.tokens"].values.tobytes()

    wanted = run(False)
    parts = sorted((tmp_path / "e" / "parts" / "out.tokens").glob("*.nc"))
    assert len(parts) == 3  # one for each temperature
    parts[1].unlink()
    times = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    assert run(True) == wanted
    assert all(part.stat().st_mtime_ns == time for part, time in times.items())
    assert parts[1].exists()
    with pytest.raises(SpecError, match="the run `out` was computed with another spec"):
        run(True, RESUMED.replace("steps = 3", "steps = 4"))
