from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.runtime.small import READER, same

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.experiment import run_experiment
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load, save
from neuraxis.runtime.sweeps import Running, Sweep
from neuraxis.runtime.sweeps import run as run_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.outputs import Outcome

LOOK = """
data words = repeats(n = 12, t = 3, vocab = 6, held = 0)

experiment look of reader on words[b = 0..6]:
    run clean = reader
    run other = reader(tokens = (words.tokens + 1) % 6)
    measure gap(r) = mean[b](r.logits[t = -1, vocab = 1] - r.logits[t = -1, vocab = 2])
    before = gap(other)
    sweep effect over l in layer, p in t:
        run patched = other with layer[l].x[t = p] from clean
        gap(patched)
    sweep curve over g in [0, 0.5, 2]:
        run pushed = clean with damp(by = 0.5), layer[0].ffn *= g
        gap(pushed)
    sweep again over n in 0..3:
        gap(clean)
    change = effect - before
    show before, effect, curve - before
    plot heatmap(effect, x = p, y = l, title = "Where")
    plot line(curve - before, title = "How much")
    expect before == before
    expect all[l, p](effect == before)
"""


def run(text: str, name: str, root: Path | None = None, seed: int = 0) -> tuple[Program, Outcome]:
    """An experiment on a model as it is drawn."""
    loaded = Program.from_text(text, root=root)
    study = loaded.checked.experiments[name]
    model = loaded.model(study.model.name, seed=seed)
    return loaded, run_experiment(study, model, loaded.library, seed=seed)


@pytest.fixture(scope="module")
def look() -> tuple[Program, Outcome]:
    return run(READER + LOOK, "look")


def test_values_are_those_of_the_models_by_hand(look: tuple[Program, Outcome]) -> None:
    loaded, outcome = look
    model = loaded.model("reader")
    words = torch.from_numpy(loaded.library.dataset("words")["tokens"].values[:6])
    other = (words + 1) % 6

    def gap(logits: torch.Tensor) -> float:
        return float((logits[:, -1, 1] - logits[:, -1, 2]).detach().mean())

    with torch.no_grad():
        assert outcome.values["before"].item() == pytest.approx(gap(model(other)), abs=1e-5)
        clean = model.trace(words, sites=["layer[*].x"])
    assert outcome.values["effect"].dims == ("l", "p")
    assert outcome.values["effect"].shape == (2, 6)
    # after the last layer, what stands at the last position is all that the logits there see
    last = outcome.values["effect"][1]
    assert last[5].item() == pytest.approx(gap(clean.results[0]), abs=1e-5)
    np.testing.assert_allclose(last[:5], outcome.values["before"].item(), atol=1e-5)
    damped = model.under("damp", by=0.5)(words)
    assert outcome.values["curve"].shape == (3,)
    assert gap(damped) != pytest.approx(float(outcome.values["curve"][0]), abs=1e-4)
    np.testing.assert_allclose(outcome.values["again"], gap(clean.results[0]), atol=1e-5)


def test_results_have_the_values_swept_over(look: tuple[Program, Outcome]) -> None:
    _, outcome = look
    assert outcome.values["effect"].coords["p"].values.tolist() == list(range(6))
    assert outcome.values["curve"].coords["g"].values.tolist() == [0, 0.5, 2]
    derived = outcome.values["curve - before"]
    assert derived.coords["g"].values.tolist() == [0, 0.5, 2]
    np.testing.assert_allclose(
        derived, outcome.values["curve"] - outcome.values["before"], atol=1e-6
    )


def test_what_is_shown_plotted_and_expected(look: tuple[Program, Outcome]) -> None:
    _, outcome = look
    assert outcome.shown == ["before", "effect", "curve - before"]
    assert [label for label, _ in outcome.plots] == ["effect", "How much"]
    assert outcome.plots[0][1] == {"kind": "heatmap", "x": "p", "y": "l", "title": "Where"}
    assert [found.holds for found in outcome.expectations] == [True, False]
    kept = ["effect", "curve", "again", "before", "change", "curve - before", "How much"]
    assert list(outcome.values) == kept


FIGURES = """
data words = repeats(n = 12, t = 3, vocab = 6, held = 0)

experiment look of reader on words[b = 0..6]:
    run clean = reader
    sweep curve over g in [0, 0.5, 2]:
        run pushed = clean with layer[0].ffn *= g
        mean[vocab](pushed.logits[t = -1])
    off = std[b](curve)
    plot line(mean[b](curve), error = off, low = min[b](curve), high = max[b](curve))
    plot pattern(clean.layer[0].attn.pattern[b = 0, h = 1], tokens = words.tokens[b = 0])
    plot heads(mean[b](clean.layer[*].attn.pattern), tokens = words.tokens[b = 0], y = t)
    plot bars(mean[b, vocab](clean.logits), tokens = words.tokens[b = 1])
    plot circuit[layer -> h](mean[b, t, s](clean.layer[*].attn.pattern), most = 3, least = 0.1)
"""


def test_plots_name_the_values_that_they_are_drawn_with() -> None:
    loaded, outcome = run(READER + FIGURES, "look")
    (line, pattern, heads, bars, circuit) = (options for _, options in outcome.plots)
    assert line == {
        "kind": "line",
        "error": "off",
        "low": "min[b](curve)",
        "high": "max[b](curve)",
    }
    np.testing.assert_allclose(outcome.values["off"], outcome.values["curve"].std("b"), atol=1e-6)
    assert pattern == {"kind": "pattern", "tokens": "text(words.tokens[b = 0])"}
    assert heads == {"kind": "heads", "y": "t", "tokens": "text(words.tokens[b = 0])"}
    first, second = (outcome.values[f"text(words.tokens[b = {at}])"] for at in (0, 1))
    assert bars["tokens"] == second.name
    tokens = loaded.library.dataset("words")["tokens"].values
    assert first.values.tolist() == [chr(token) for token in tokens[0]]  # each byte by itself
    assert second.values.tolist() == [chr(token) for token in tokens[1]]
    assert first.dims == ("t",)
    assert circuit["senders"], circuit["receivers"] == ("layer", "h")
    assert (circuit["most"], circuit["least"]) == ("3", "0.1")


def test_sweeps_say_how_they_were_run(look: tuple[Program, Outcome]) -> None:
    _, outcome = look
    assert outcome.how["effect"][0].startswith("lifted from patched:layer[0].x down")
    assert "because what is swept reaches every value" in outcome.how["curve"][0]
    assert outcome.how["again"] == (
        "every member whole from the first write on, because no swept value is read",
        "of what is measured, only the part that is read is computed",
    )


def test_all_is_one_data_set(look: tuple[Program, Outcome]) -> None:
    dataset = look[1].dataset()
    assert dataset["effect"].dims == ("l", "p")
    assert dataset.attrs["expect_1"].startswith("all[l, p](effect == before): False")


def test_a_sweep_in_parts_is_the_same(look: tuple[Program, Outcome]) -> None:
    loaded, outcome = look
    study = loaded.checked.experiments["look"]
    given = loaded.library.given(study)
    for plan in study.sweeps[:2]:
        sweep = Sweep.of(study, plan, given.sizes)
        for memory in (20000, 8000, 5000, 1):
            members = run_sweep(
                sweep,
                given.inputs,
                given.sizes,
                loaded.model("reader"),
                how=Running(memory=memory),
            )
            same(members.values, torch.tensor(outcome.values[plan.name].values))
        assert members.how[-1].endswith("which is more than was allowed")


def test_swept_axes_of_one_name_are_kept_apart() -> None:
    text = """
    data words = repeats(n = 4, t = 2, vocab = 6, held = 0)

    experiment e of reader on words:
        run clean = reader
        measure size(r) = mean[b, t, vocab](r.logits)
        sweep one over g in [0, 1]:
            run cut = clean with layer[0].ffn *= g
            size(cut)
        sweep two over g in [5, 6, 7]:
            run cut = clean with layer[0].ffn *= g
            size(cut)
        t = size(clean)
        whole = mean[b](clean.logits)
        part = mean[b](clean.logits[t = 1..])
    """
    _, outcome = run(READER + "\n".join(line[4:] for line in text.split("\n")), "e")
    dataset = outcome.dataset()
    assert dataset["two"].dims == ("two.g",)
    assert dataset["whole"].dims == ("whole.t", "vocab")
    assert dataset["part"].dims == ("part.t", "vocab")


MIX = """
model mix[d = 2](x[b, t, d]) -> [g, t, d]:
    y = linear[d -> d](x)
    return y[b -> g]

data given = npz("given.npz"): x[t, d]: float

experiment e of mix on given:
    run clean = mix
    measure first(r) = mean[t, d](r.out[g = 0])
    sweep found over g in [1, 0.5, 2]:
        run scaled = clean with x *= g
        first(scaled) - mean[t, d](clean.out[g = 0])
    spread = max[g'](found) - min[g'](found)
    last = mean[t, d](clean.out[g = -1])
"""


def test_a_swept_variable_called_like_an_axis_is_apart_from_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    np.savez(tmp_path / "given.npz", x=x)
    loaded, outcome = run(MIX, "e", root=tmp_path)
    y = loaded.model()(torch.tensor(x)).detach().numpy().mean((1, 2))
    found = outcome.values["found"]
    assert found.dims == ("g'",)
    np.testing.assert_allclose(found, [0, -0.5 * y[0], y[0]], atol=1e-6)
    np.testing.assert_allclose(outcome.values["spread"], 1.5 * abs(y[0]), atol=1e-6)
    np.testing.assert_allclose(outcome.values["last"], y[-1], atol=1e-6)


def test_a_size_may_come_from_what_is_not_read(tmp_path: Path) -> None:
    text = """
model drawn[d = 2](x[b, t, d], y[b, d]) -> [b, t, d]:
    scan t:
        carry S = 0
        S = 0.5 * S + y
    last = S[t = -1]
    return S + x

data given = npz("given.npz"): x[t, d]: float, y[d]: float

experiment e of drawn on given:
    run clean = drawn
    sweep found over g in [1, 0.5, 2]:
        run patched = clean with y *= g
        mean[b, d](patched.last)
    plain = mean[b, d](clean.last)
"""
    y = np.random.default_rng(0).normal(size=(4, 2))
    np.savez(tmp_path / "given.npz", x=np.zeros((4, 3, 2)), y=y)
    _, outcome = run(text, "e", root=tmp_path)
    want = 1.75 * y.mean()
    np.testing.assert_allclose(outcome.values["plain"], want, atol=1e-6)
    np.testing.assert_allclose(outcome.values["found"], [want, want / 2, 2 * want], atol=1e-6)


def test_a_file_must_fit_the_sizes_of_the_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", x=np.zeros((4, 3, 5)))
    with pytest.raises(SpecError) as error:
        run(MIX, "e", root=tmp_path)
    said = str(error.value)
    assert "error[input-mismatch]: `mix` wants 2 positions of `d` on `x`" in said
    assert "^" in said


# ---- what a run is given


def test_an_optional_input_is_given(tmp_path: Path) -> None:
    text = """
model masked(x[b, t], mask[b, t]: bool = true, scale[t] = 2) -> [b]:
    return sum[t](scale * where(mask, x, 0))

data rows = jsonl("rows.jsonl"): x[t]: float, mask[t]: bool

experiment e on rows:
    run bare = masked(x = rows.x, mask = true)
    run own = masked
    run first = masked(x = rows.x, mask = rows.x < 2)
    run scaled = masked(x = rows.x, mask = true, scale = rows.x[b = 0])
    run plain = masked(x = rows.x, mask = true, scale = 3)
    a = sum[b](bare.out)
    own_mask = sum[b](own.out)
    c = sum[b](first.out)
    d = sum[b](scaled.out)
    f = sum[b](plain.out)
"""
    rows = [{"x": [1, 2], "mask": [True, True]}, {"x": [3, 4], "mask": [False, True]}]
    jsonl(tmp_path, *rows)
    found = run_study(text, tmp_path).values
    assert {k: float(v) for k, v in found.items()} == {
        "a": 20,
        "own_mask": 14,
        "c": 2,
        "d": 1 + 4 + 3 + 8,
        "f": 30,
    }


STRENGTHS = """
data words = repeats(n = 4, t = 2, vocab = 6, held = 0)

intervention silence(l, n, by = 0) on reader:
    layer[l].attn.z[h = n] = by * mean[b, t](base.layer[l].attn.z[h = n])

intervention both(by) on reader with damp(by = by):
    layer[1].ffn *= by

experiment e of reader on words:
    run clean = reader
    measure size(r) = mean[b, t, vocab](abs(r.logits))
"""


def test_a_named_intervention_takes_what_is_swept() -> None:
    text = (
        STRENGTHS
        + """
    sweep curve over g in [0, 1, 2]:
        run damped = clean with damp(by = g)
        size(damped)
    sweep two over g in [0, 1, 2]:
        run less = clean with both(by = g)
        size(less)
    sweep heads over l in layer, n in h:
        run held = clean with silence(l = l, n = n, by = 1)
        size(held)
    sweep directly over l in layer, n in h:
        run held = clean with layer[l].attn.z[h = n] = mean[b, t](clean.layer[l].attn.z[h = n])
        size(held)
"""
    )
    text += "".join(
        f"""
    run damped_{g} = clean with damp(by = {g})
    run less_{g} = clean with both(by = {g})
    damped_at_{g} = size(damped_{g})
    less_at_{g} = size(less_{g})
"""
        for g in (0, 1, 2)
    )
    found = run(READER + text, "e")[1].values
    for name, single in (("curve", "damped"), ("two", "less")):
        wanted = [found[f"{single}_at_{g}"].item() for g in (0, 1, 2)]
        np.testing.assert_allclose(found[name].values, wanted, rtol=1e-5)
        assert len(set(np.round(wanted, 6))) == 3
    np.testing.assert_allclose(found["heads"].values, found["directly"].values, rtol=1e-5)


# ---- tokens as text


def test_tokens_are_shown_as_text(tmp_path: Path) -> None:
    jsonl(tmp_path, {"words": "naïve"}, {"words": "a\nb"})
    text = """
data rows = jsonl("rows.jsonl"): words[t of b]: text

model shifted(x[b, t]: int) -> [b, t]:
    return x + 1

experiment e on rows:
    run a = shifted(x = rows.words)
    show text(rows.words), text(a.out), text(rows.words[t = 0])
    show text[b](rows.words[t = 0]), text(255 + a.out[t = 0]), rows.words[t = 0]
"""
    outcome = run_study(text, tmp_path)
    values = [outcome.values[name] for name in outcome.shown]
    assert values[0].values.tolist() == ["naïve", "a\nb"]
    assert values[0].dims == ("b",)
    assert values[1].values.tolist()[1] == "b\x0bc"
    assert values[2].values.tolist() == ["n", "a"]
    assert values[3].item() == "na"
    assert values[4].values.tolist() == ["\ufffd", "\ufffd"]
    assert values[5].values.tolist() == [110, 97]
    save(outcome.dataset(), tmp_path / "e.nc")
    again = load(tmp_path / "e.nc")
    assert again["text(rows.words)"].values.tolist() == ["naïve", "a\nb"]


# ---- data


def jsonl(folder: Path, *rows: dict[str, object]) -> None:
    lines = [json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")


RAGGED = """
data rows = jsonl("rows.jsonl"): tokens[t of b]: int, label: int, at: position

experiment each of {model} on rows:
    run clean = reader
    run other = reader(tokens = (rows.tokens + 1) % 6)
    measure gap(r) = mean[b](r.logits[t = @last, vocab = rows.label] - r.logits[t = @at, vocab = 0])
    lone = clean.logits[t = -1, vocab = 1]
    bits = mean[b, t](cross_entropy[vocab](clean.logits[t = 0..-1], rows.tokens[t = 1..]))
    sweep effect over l in layer, p in t:
        run patched = other with layer[l].x[t = p] from clean
        gap(patched) - gap(other)
    sweep there over l in layer:
        run patched = other with layer[l].attn[t = @at] from clean
        gap(patched) - gap(other)
"""
ROWS = (
    {"tokens": [1, 2, 3, 4], "label": 1, "at": 2},
    {"tokens": [5, 0], "label": 2, "at": 0},
    {"tokens": [3, 3, 1], "label": 3, "at": 1},
)


@pytest.mark.parametrize("mixer", ["causal_attention[h = 2, k = 2]", "both_ways", "near"])
def test_examples_of_several_lengths(mixer: str, tmp_path: Path) -> None:
    jsonl(tmp_path, *ROWS)
    model = f"reader(mixer = {mixer}, L = 1)"
    _, batch = run(READER + RAGGED.format(model=model), "each", tmp_path)
    ones = []
    for place, row in enumerate(ROWS):
        folder = tmp_path / str(place)
        folder.mkdir()
        jsonl(folder, row)
        ones.append(run(READER + RAGGED.format(model=model), "each", folder)[1])
    np.testing.assert_allclose(
        batch.values["lone"], [one.values["lone"].item() for one in ones], atol=1e-5
    )
    counts = [len(row["tokens"]) - 1 for row in ROWS]
    bits = np.average([one.values["bits"].item() for one in ones], weights=counts)
    assert batch.values["bits"].item() == pytest.approx(bits, abs=1e-5)
    effect = np.zeros((1, 4))
    for one in ones:
        found = one.values["effect"].values
        effect[:, : found.shape[1]] += found / 3
    np.testing.assert_allclose(batch.values["effect"], effect, atol=1e-5)
    there = sum(one.values["there"].values for one in ones) / 3
    np.testing.assert_allclose(batch.values["there"], there, atol=1e-5)


def test_fields_that_share_an_axis_have_the_same_lengths(tmp_path: Path) -> None:
    jsonl(tmp_path, {"x": [1, 2], "y": [3, 4]}, {"x": [1, 2, 3], "y": [1]})
    text = """
data rows = jsonl("rows.jsonl"): x[t of b]: int, y[t of b]: int

experiment e on rows:
    run r = m(x = rows.x[t = 0])
    show mean[b, t](rows.x * rows.y)
    show mean[b, t](rows.x)
"""
    with pytest.raises(SpecError, match="in example 1, `t` has length 3 in `x` and 1 in `y`"):
        run_study(text, tmp_path)
    text = text.replace("    show mean[b, t](rows.x * rows.y)\n", "")
    assert run_study(text, tmp_path).values["mean[b, t](rows.x)"].item() == pytest.approx(9 / 5)


def run_study(text: str, root: Path) -> Outcome:
    """An experiment of a file with a model that does nothing."""
    return run("model m(x[b]) -> [b]:\n    return x\n" + text, "e", root)[1]


def test_examples_that_are_too_short_are_named(tmp_path: Path) -> None:
    jsonl(tmp_path, {"x": [1, 2, 3]}, {"x": [1]})
    text = """
data rows = jsonl("rows.jsonl"): x[t of b]: int

experiment e on rows:
    run r = m(x = rows.x[t = 2])
    show mean[b](r.out)
"""
    with pytest.raises(SpecError, match="in example 1 it is 3 > 1"):
        run_study(text, tmp_path)


def test_limits_hold_in_experiments() -> None:
    text = (
        READER
        + """
data words = repeats(n = 4, t = 8, vocab = 6, held = 0)

experiment e of reader on words:
    run clean = reader
    show mean[b, t, vocab](clean.logits)
"""
    )
    with pytest.raises(SpecError):
        run(text, "e")


def test_data_without_on(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"x": [1, 2]}\n{"x": [3, 4]}', encoding="utf-8")
    text = """
data rows = jsonl("rows.jsonl"): x[t]: float
data others = jsonl("missing.jsonl"): y[t]: float

experiment e:
    run doubled = m(x = rows.x[t = 0])
    show mean[b](doubled.out)
"""
    assert run_study(text, tmp_path).values["mean[b](doubled.out)"].item() == 2
