"""Sweeps over what must be known before anything runs: sizes, counts, seeds, texts, weights."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.explain import explain_sweeps
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session
from neuraxis.runtime.sweeps import Running
from neuraxis.testing import assert_close, check_sweep_members

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.outputs import Outcome

MODEL = """
model small[d = 4, vocab = 8](tokens[b, t]: int, L = 2, gated = 0) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    draw noise[b, t, d] ~ normal(0, 0.1)
    x = wte[vocab = tokens] + noise
    repeat layer * L:
        y = tanh(linear[d -> d](x))
        if gated > 1:
            x = x + gated * y
        else:
            x = x + y
    return dot[d](x, wte)

model still[d = 4, vocab = 8](tokens[b, t]: int) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    return dot[d](x, wte)

intervention cut on small:
    layer[0].x = 0

intervention doubled on small:
    layer[0].x *= 2

data words = repeats(n = 2, t = 2, vocab = 8, held = 0)

train base of small(L = 1) on words:
    loss = mean[b, t](cross_entropy[vocab](out[t = 0..-1], tokens[t = 1..]))
    using sgd(lr = 0.5), steps 4, seed 1
    every 2 steps: snapshot

train other of small(L = 1) on words:
    loss = mean[b, t](cross_entropy[vocab](out[t = 0..-1], tokens[t = 1..]))
    using sgd(lr = 0.1), steps 2, seed 1

experiment e of small on words:
    run clean = small
    measure lead(r) = mean[b](r.out[t = -1, vocab = 1])
"""
NUMBERS = {
    "a size": ("d in [2, 4]", "small[d = d]"),
    "a count": ("n in 1..3, g in [0, 2]", "small(L = n) with layer[0].x *= g"),
    "arithmetic on it": ("n in [0, 1]", "small(L = n + 1)"),
    "two of them": ("n in [1, 2], d in [2, 3]", "small[d = d + 1](L = n)"),
    "an if": ("k in 0..3, l in layer", "small(gated = k) with layer[l].x = 0"),
    "a seed": ("s in [0, 3], l in layer", "small(seed = s) with layer[l].x[t = 0] = 0"),
    "a seed and a size": ("s in 0..2, d in [2, 4]", "small[d = d](seed = s)"),
    "prompts": ("i in b, l in layer", "clean with layer[l].x = clean.layer[l].x[b = i]"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_are_needed_are_settled(name: str) -> None:
    over, run = NUMBERS[name]
    text = f"{MODEL}    sweep effect over {over}:\n        run r = {run}\n        lead(r)\n"
    check_sweep_members(Program.from_text(text), members=2)


def outcome(text: str, folder: Path) -> Outcome:
    session = Session(Program.from_text(MODEL + text), folder, console=Console(file=StringIO()))
    return session.experiment("e")


def test_weights_and_interventions_by_name(tmp_path: Path) -> None:
    found = outcome(
        """
    sweep effect over W in [base, other], i in [cut, doubled], g in [0, 1]:
        run r = small(L = 1) with W, i, layer[0].x += g
        lead(r)
    run r = small(L = 1) with other, doubled, layer[0].x += 1
    wanted = lead(r)
    run s = small(L = 1) with base, cut
    first = lead(s)
""",
        tmp_path,
    )
    effect = found.values["effect"]
    assert effect.dims == ("W", "i", "g")
    assert effect.W.values.tolist() == ["base", "other"]
    assert_close(effect.sel(W="other", i="doubled", g=1).values, found.values["wanted"].values)
    assert_close(effect.sel(W="base", i="cut", g=0).values, found.values["first"].values)
    assert found.how["effect"][:2] == (
        "compiled for each value of `W`: base, other",
        "compiled for each value of `i`: cut, doubled",
    )
    assert load(tmp_path / "e" / "e.nc")["effect"].i.values.tolist() == ["cut", "doubled"]


def test_runs_values_and_models_by_name(tmp_path: Path) -> None:
    found = outcome(
        """
    shifted = (words.tokens + 1) % 8
    short = words.tokens[t = 0..1]
    run moved = small(tokens = shifted)
    sweep prompts over q in [shifted, short], l in layer:
        run r = small(tokens = q) with layer[l].x *= 2
        lead(r)
    sweep sources over source in [clean, moved], l in layer:
        run r = clean with layer[l].x[t = 0] from source
        lead(r)
    sweep kinds over kind in [small, still]:
        run r = kind
        lead(r)
    run r = small(tokens = short) with layer[1].x *= 2
    run s = clean with layer[0].x[t = 0] from moved
    run k = still
    wanted = lead(r)
    second = lead(s)
    third = lead(k)
""",
        tmp_path,
    ).values
    assert_close(found["prompts"].sel(q="short", l=1).values, found["wanted"].values)
    assert_close(found["sources"].sel(source="moved", l=0).values, found["second"].values)
    assert_close(found["kinds"].sel(kind="still").values, found["third"].values)


def test_snapshots_of_a_training(tmp_path: Path) -> None:
    found = outcome(
        """
    sweep effect over W in snapshots(base), g in [0, 1]:
        run r = small(L = 1) with W, layer[0].x *= g
        lead(r)
    run done = small(L = 1) with base
    wanted = lead(done)
""",
        tmp_path,
    )
    effect = found.values["effect"]
    assert effect.W.values.tolist() == [2, 4]
    assert_close(effect.sel(W=4, g=1).values, found.values["wanted"].values)
    assert abs(float(effect.sel(W=2, g=1) - effect.sel(W=4, g=1))) > 1e-4
    session = Session(
        Program.from_text(MODEL), tmp_path / "again", console=Console(file=StringIO())
    )
    begun = session.weights("base@2").state_dict()["wte"]
    assert not (begun == session.weights("base").state_dict()["wte"]).all()


def test_a_snapshot_that_was_not_taken_is_said(tmp_path: Path) -> None:
    text = MODEL.replace(
        "steps 4, seed 1\n", "steps 4, seed 1\n    every 1 steps: evaluate\n    until loss < 100\n"
    )
    text += """    sweep effect over W in snapshots(base):
        run r = small(L = 1) with W
        lead(r)
"""
    session = Session(Program.from_text(text), tmp_path, console=Console(file=StringIO()))
    with pytest.raises(SpecError, match="has no snapshot of it"):
        session.experiment("e")


def test_prompts_of_their_own_lengths(tmp_path: Path) -> None:
    text = MODEL.replace("vocab = 8", "vocab = 256").replace(
        "    draw noise[b, t, d] ~ normal(0, 0.1)\n", ""
    )
    text = text.replace(" + noise", "")
    text += """    sweep said over q in ["ab", "longer"], s in 0..2:
        run out = decode(prompt = q, steps = 2, temperature = 1, seed = s)
        mean[t](out.tokens)
    run out = decode(prompt = "longer", steps = 2, temperature = 1, seed = 1)
    wanted = mean[t](out.tokens)
"""
    session = Session(Program.from_text(text), tmp_path, console=Console(file=StringIO()))
    found = session.experiment("e").values
    assert found["said"].q.values.tolist() == ["ab", "longer"]
    assert float(found["said"].sel(q="longer", s=1)) == float(found["wanted"])


def test_each_case_is_in_parts_of_its_own_and_gone_on_from(tmp_path: Path) -> None:
    text = f"""{MODEL}    sweep effect over n in [1, 2], p in 0..2000:
        run r = small(L = n) with layer[0].x += 0.001 * p
        lead(r)
"""
    how = Running(memory=100_000)

    def run(resume: bool) -> bytes:
        program = Program.from_text(text)
        console = Console(file=StringIO())
        session = Session(program, tmp_path, console=console, sweeps=how, resume=resume)
        return session.experiment("e").values["effect"].values.tobytes()

    wanted = run(False)
    parts = sorted(tmp_path.glob("e/n=*/parts/effect/*.nc"))
    assert {part.parts[-4] for part in parts} == {"n=0", "n=1"}
    assert len(parts) >= 4
    times = {part: part.stat().st_mtime_ns for part in parts[1:]}
    parts[0].unlink()
    assert run(True) == wanted
    assert all(part.stat().st_mtime_ns == time for part, time in times.items())


def test_explain_says_what_is_compiled_for_each_value() -> None:
    text = f"""{MODEL}    sweep effect over n in [1, 2], l in layer:
        run r = small(L = n) with layer[0].x *= l
        lead(r)
"""
    program = Program.from_text(text)
    lines = explain_sweeps(program.checked.experiments["e"], program.library)
    assert lines[0] == "  effect, 2 x 2 members:"
    assert lines[1] == "    compiled for each value of `n`: 1, 2"
