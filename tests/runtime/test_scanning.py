"""Scans of experiments: each step runs on what the steps before it found. Against loops in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.runtime.small import program
from tests.runtime.test_experiment import run

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.explain import explain_sweeps
from neuraxis.runtime.program import Program
from neuraxis.runtime.sweeps import work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.runtime.outputs import Outcome

HEADS = """
data words = repeats(n = 6, t = 3, vocab = 6, held = 0)

model heads[d = 4, vocab = 6, h = 3](tokens[b, t]: int, L = 2) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    repeat layer * L:
        q = linear[d -> h, k = 2](x)
        mixed = tanh(cumsum[t](q))
        x = x + linear[h, k -> d](mixed)
    logits = dot[d](x, wte)
    return logits

intervention cutting(cut[layer, h]) on heads:
    layer[*].mixed = where(cut, 0, it)
"""

GREEDY = """
experiment greedy of heads on words:
    run clean = heads
    measure score(r) = mean[b](r.logits[t = -1, vocab = 1] - r.logits[t = -1, vocab = 2])
    scan step * 4:
        carry gone[layer, h] = false
        run now = clean with cutting(cut = gone)
        sweep after over l in layer, n in h:
            run less = now with layer[l].mixed[h = n] = 0
            score(less)
        left = where(gone[layer -> l, h -> n], -inf, after)
        gone = gone or (rank[l, n](left) == 0)[l -> layer, n -> h]
        best = max[l, n](left)
    last = gone[step = -1]
    run cut = clean with cutting(cut = last)
    show best
    expect score(cut) == best[step = -1]
"""


def lead(spec: str) -> Callable[[np.ndarray], float]:
    """The measure of a run with some heads taken out, by itself."""
    loaded = program(spec)
    under = loaded.model("heads", seed=0).under("cutting")
    tokens = torch.from_numpy(loaded.library.dataset("words")["tokens"].values)

    def of(cut: np.ndarray) -> float:
        with torch.no_grad():
            logits = under(tokens, **{"cutting.cut": torch.from_numpy(cut).float()})
        return float((logits[:, -1, 1] - logits[:, -1, 2]).mean())

    return of


def test_one_after_another_the_best_of_what_is_left() -> None:
    _, outcome = run(HEADS + GREEDY, "greedy")
    of, gone = lead(HEADS), np.zeros((2, 3), bool)
    for step in range(4):
        found = {}
        for place in np.ndindex(2, 3):
            tried = gone.copy()
            tried[place] = True
            found[place] = of(tried)
            after = outcome.values["after"].transpose("step", "l", "n").values[(step, *place)]
            assert after == pytest.approx(found[place], abs=1e-5)
        place = max((p for p in found if not gone[p]), key=lambda p: found[p])
        gone[place] = True
        kept = outcome.values["gone"].transpose("step", "layer", "h").values[step]
        assert (kept == gone).all()
        assert outcome.values["best"].values[step] == pytest.approx(found[place], abs=1e-5)
    assert outcome.values["gone"].dtype == bool
    assert all(one.holds for one in outcome.expectations)


def test_a_sweep_in_a_scan_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    whole = work.loaded

    def counted(*args: object, **options: object) -> object:
        names.append(str(options["name"]))
        return whole(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "loaded", counted)
    run(HEADS + GREEDY, "greedy")
    assert names == ["after"]


def test_a_strength_is_found_by_halving() -> None:
    _, outcome = run(
        HEADS
        + """
experiment find of heads on words:
    run clean = heads
    measure far(r) = mean[b, t, d](abs(r.layer[0].x - clean.layer[0].x))
    scan turn * 30:
        carry low = 0.0
        carry high = 16.0
        size = (low + high) / 2
        run pushed = clean with layer[0].x += size
        found = far(pushed)
        low = where(found < 2.75, size, low)
        high = where(found < 2.75, high, size)
    strength = high[turn = -1]
    run pushed = clean with layer[0].x += strength
    expect abs(far(pushed) - 2.75) < 0.00001
""",
        "find",
    )
    low, high = 0.0, 16.0
    for size in outcome.values["size"].values:
        assert size == pytest.approx((low + high) / 2, abs=1e-5)
        low, high = (size, high) if size < 2.75 else (low, size)
    assert outcome.values["strength"].item() == pytest.approx(2.75, abs=1e-5)
    assert all(one.holds for one in outcome.expectations)


def test_how_many_are_found_by_halving() -> None:
    """The fewest of the heads, the largest effect first, without which the measure falls so far."""
    _, outcome = run(
        HEADS
        + """
experiment count of heads on words:
    run clean = heads
    measure score(r) = mean[b](r.logits[t = -1, vocab = 1] - r.logits[t = -1, vocab = 2])
    sweep effect over l in layer, n in h:
        run cut = clean with layer[l].mixed[h = n] = 0
        score(cut) - score(clean)
    order = rank[l, n](effect)[l -> layer, n -> h]
    scan turn * 3:
        carry low = 0
        carry high = 6
        many = (low + high) // 2
        run cut = clean with cutting(cut = order < many)
        enough = score(cut) - score(clean) > 0.5
        low = where(enough, low, many + 1)
        high = where(enough, many, high)
""",
        "count",
    )
    of = lead(HEADS)
    effect = outcome.values["effect"].transpose("l", "n").values
    order = np.argsort(np.argsort(-effect.reshape(-1), kind="stable")).reshape(2, 3)
    assert (outcome.values["order"].transpose("layer", "h").values == order).all()
    low, high = 0, 6
    for step in range(3):
        many = (low + high) // 2
        assert outcome.values["many"].values[step] == many
        enough = of(order < many) - of(order < 0) > 0.5
        low, high = (low, many) if enough else (many + 1, high)
    assert outcome.values["high"].values[-1] == high
    assert outcome.values["high"].dtype == np.int64


CONTROL = """
experiment control of heads on words:
    run clean = heads
    measure score(r) = mean[b](r.logits[t = -1, vocab = 1])
    sweep effect over l in layer, n in h:
        run cut = clean with layer[l].mixed[h = n] = 0
        score(cut)
    chosen = rank[l, n](effect) < 2
    draw noise[try = 8, l, n] ~ uniform(0, 1)
    other = rank[l, n](noise) < 2
    alike = rank[n](noise) < sum[n](chosen)
    sweep chance over s in 0..8:
        run cut = clean with cutting(cut = other[try = s, l -> layer, n -> h])
        score(cut)
    show noise, chance
"""


def test_a_control_is_as_large_and_the_same_by_its_seed() -> None:
    runs = [run(HEADS + CONTROL, "control", seed=seed)[1].values for seed in (0, 0, 1)]
    first, again, third = (found["other"].transpose("try", "l", "n").values for found in runs)
    assert (first == again).all()
    assert (first != third).any()
    assert (first.sum((1, 2)) == 2).all()
    assert len({each.tobytes() for each in first}) > 2
    assert runs[0]["chosen"].values.sum() == 2
    alike = runs[0]["alike"].transpose("try", "l", "n").values
    assert (alike.sum(2) == runs[0]["chosen"].transpose("l", "n").values.sum(1)).all()
    under = program(HEADS).model("heads", seed=0).under("cutting")
    tokens = torch.from_numpy(program(HEADS).library.dataset("words")["tokens"].values)
    for at in range(8):
        with torch.no_grad():
            logits = under(tokens, **{"cutting.cut": torch.from_numpy(first[at]).float()})
        found = runs[0]["chance"].values[at]
        assert found == pytest.approx(float(logits[:, -1, 1].mean()), abs=1e-5)


def test_a_selection_goes_to_a_model_of_another_size_by_share_of_depth() -> None:
    _, outcome = run(
        HEADS
        + """
experiment carried of heads on words:
    run clean = heads
    run deep = heads(L = 4)
    sweep effect over l in layer, n in 0..3:
        run cut = clean with layer[l].mixed[h = n] = 0
        mean[b](cut.logits[t = -1, vocab = 1])
    chosen = (rank[l, n](effect) < 2)[l -> layer, n -> h]
    run cut = deep with layer[*].mixed = where(chosen[layer = layer * 2 // |layer|], 0, it)
    zero = all[b, t, k](cut.layer[*].mixed == 0)
""",
        "carried",
    )
    zero = outcome.values["zero"].transpose("layer", "h").values
    chosen = outcome.values["chosen"].transpose("layer", "h").values
    assert (zero == np.repeat(chosen, 2, axis=0)).all()


def test_what_is_not_carried_and_scans_in_scans() -> None:
    """A name at a step, the number of the step, a turn that it picks, a scan in a scan."""
    _, outcome = run(
        HEADS
        + """
experiment nested of heads on words:
    run clean = heads
    draw noise[step = 3, vocab] ~ normal(0, 1)
    scan step * 3:
        carry total[vocab] = 0.0
        own = noise[step = step] * step
        scan turn * 2:
            carry sum_of = 1.0
            run cut = clean with layer[turn].mixed = 0
            at = mean[b](cut.logits[t = -1, vocab = 0]) + step
            sum_of = 2 * sum_of + at
        total = total + own * sum_of[turn = -1]
    run first = clean with layer[0].mixed = 0
    run second = clean with layer[1].mixed = 0
    a = mean[b](first.logits[t = -1, vocab = 0])
    c = mean[b](second.logits[t = -1, vocab = 0])
    show noise
""",
        "nested",
    )
    found = {name: array.values for name, array in outcome.values.items()}
    a, c, noise, total = found["a"], found["c"], found["noise"], np.zeros(6)
    assert outcome.values["at"].dims == ("step", "turn")
    for step in range(3):
        np.testing.assert_allclose(found["at"][step], [a + step, c + step], atol=1e-5)
        sum_of = 2 * (2 + a + step) + c + step
        np.testing.assert_allclose(found["sum_of"][step, -1], sum_of, atol=1e-4)
        total = total + noise[step] * step * sum_of
        np.testing.assert_allclose(found["total"][step], total, atol=1e-4)


def test_what_a_model_draws_is_the_same_at_all_steps() -> None:
    text = """
data words = repeats(n = 6, t = 3, vocab = 6, held = 0)

model noisy[d = 3](x[b, d], L = 1) -> [b, d]:
    repeat layer * L:
        draw e like x ~ normal(0, 1)
        x = x + e
    return x

experiment draws of noisy on words:
    run plain = noisy(x = where(words.tokens[t = 0..3, t -> d] >= 0, 1, 0))
    y = plain.out
    scan step * 3:
        carry z = 0.0
        run pushed = plain with layer[0].x += z
        sweep more over g in [0, 1]:
            run both = pushed with layer[0].x += g
            mean[b, d](both.out)
        found = mean[b, d](pushed.out)
        z = z + 1
"""
    _, outcome = run(text, "draws")
    values = {name: array.values for name, array in outcome.values.items()}
    start = values["y"].mean()
    np.testing.assert_allclose(values["found"], start + np.arange(3), atol=1e-5)
    wanted = start + np.arange(3)[:, None] + [0, 1]
    np.testing.assert_allclose(values["more"], wanted, atol=1e-5)


def test_a_run_that_decodes_in_a_scan() -> None:
    _, outcome = run(
        HEADS
        + """
experiment spoken of heads on words:
    run clean = heads
    v = mean[b, t](clean.layer[0].x)
    scan step * 2:
        carry size = 0.0
        run out = decode(prompt = words.tokens, steps = 3) with layer[0].x += size * v
        told = out.tokens[t -> n]
        size = size + 40.0
    run alone = decode(prompt = words.tokens, steps = 3)
    run pushed = decode(prompt = words.tokens, steps = 3) with layer[0].x += 40 * v
    wanted = stack[step](alone.tokens[t -> n], pushed.tokens[t -> n])
    expect all[step, b, n](told == wanted)
    expect any[b, n](told[step = 0] != told[step = 1])
""",
        "spoken",
    )
    assert all(one.holds for one in outcome.expectations), outcome.expectations


def test_a_scan_that_is_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, whole = run(HEADS + GREEDY, "greedy")
    folder, ran = tmp_path / "greedy", []

    def outcome(*, resume: bool) -> Outcome:
        return loaded.run("greedy", folder=tmp_path, resume=resume)

    outcome(resume=False)
    for step in (2, 3):
        for part in (folder / f"step={step}" / "parts" / "after").glob("*.nc"):
            part.unlink()
    part_of = work.Work.part

    def counted(self: work.Work, box: object) -> torch.Tensor:
        ran.append(box)
        return part_of(self, box)  # type: ignore[arg-type]

    monkeypatch.setattr(work.Work, "part", counted)
    again = outcome(resume=True)
    assert len(ran) == 2
    assert again.values["gone"].identical(whole.values["gone"])
    (folder / "step=7").mkdir()
    outcome(resume=False)
    assert sorted(path.name for path in folder.glob("step=*")) == [f"step={n}" for n in range(4)]
    assert len(ran) == 2 + 4


def test_a_size_that_does_not_fit_is_said() -> None:
    with pytest.raises(SpecError, match="is of 2 turns of `layer`, and `heads` has 4"):
        run(
            HEADS
            + """
experiment e of heads on words:
    run clean = heads
    run deep = heads(L = 4)
    scan step * 1:
        carry gone[layer] = false
        gone = not gone
    run cut = deep with layer[*].mixed = where(gone[step = -1], 0, it)
    show mean[b, t, vocab](cut.logits)
""",
            "e",
        )


def test_a_rank_among_all_positions_of_several_axes() -> None:
    model = program(
        """
        model m[n = 3](x[b, t, n]) -> [b, t, n], [b, t, n]:
            return rank[t, n](x), rank[n, t](x)
        """
    ).model("m", seed=0)
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (2, 5, 3))).float()
    first, second = (found.numpy() for found in model(x))
    for row, one, two in zip(x.numpy(), first, second, strict=True):  # ties go to the first
        for values, places in ((row, one), (row.T, two.T)):
            order = np.argsort(-values.reshape(-1), kind="stable")
            assert (places.reshape(-1)[order] == np.arange(15)).all()


def test_a_sweep_in_a_scan_is_explained() -> None:
    loaded = program(HEADS + GREEDY)
    lines = explain_sweeps(loaded.checked.experiments["greedy"], loaded.library)
    assert lines[0] == "  after, 2 x 3 members, at each step of `step`:"


def test_uphill_by_the_gradient_and_a_turn_that_was_found() -> None:
    _, outcome = run(
        HEADS
        + """
experiment climb of heads on words:
    run clean = heads
    measure score(r) = mean[b](r.logits[t = -1, vocab = 1])
    scan step * 4:
        carry v[d] = 0.0
        run pushed = clean with layer[1].x += v
        slope = sum[b, t](grad(score(pushed), layer[1].x))
        attribute parts over n in h:
            sum[b, t, k](pushed.layer[1].mixed[h = n] * grad(score(pushed), pushed.layer[1].mixed[h = n]))
        reached = score(pushed)
        v = v + 0.5 * slope
    scale = sum[d](slope[step = 0] ^ 2)
    sweep effect over l in layer:
        run cut = clean with layer[l].mixed = 0
        score(cut)
    best = argmax[l](effect)
    run chosen = clean with layer[best].mixed = 0
    expect abs(score(chosen) - max[l](effect)) < 0.00001
""",
        "climb",
    )
    assert all(one.holds for one in outcome.expectations)
    values = {name: array.values for name, array in outcome.values.items()}
    rises = np.diff(values["reached"])  # what follows is linear: as far as the slope says
    np.testing.assert_allclose(rises, 0.5 * values["scale"], rtol=1e-3)
    assert outcome.values["parts"].dims == ("step", "n")
    assert (values["parts"][0] != 0).all()


def test_two_scans_along_one_axis(tmp_path: Path) -> None:
    text = (
        HEADS
        + """
experiment twice of heads on words:
    run clean = heads
    scan step * 3:
        carry first = 1.0
        sweep one over l in layer:
            run cut = clean with layer[l].mixed *= first
            mean[b, t, vocab](cut.logits)
        first = 0.5 * first
    scan step * 3:
        carry second = 0.0
        sweep other over l in layer:
            run cut = clean with layer[l].mixed *= second
            mean[b, t, vocab](cut.logits)
        second = second + first[step = step]
    run plain = clean with layer[0].mixed *= 0.5
    expect abs(one[step = 1, l = 0] - mean[b, t, vocab](plain.logits)) < 0.00001
    expect abs(other[step = 1, l = 0] - mean[b, t, vocab](plain.logits)) < 0.00001
"""
    )
    loaded = Program.from_text(text, folder=tmp_path)
    outcome = loaded.run("twice", folder=tmp_path)
    assert all(one.holds for one in outcome.expectations), outcome.expectations
    np.testing.assert_allclose(outcome.values["second"], [0.5, 0.75, 0.875])
    kept = sorted(path.parent.name for path in tmp_path.glob("twice/step=1/parts/*/*.nc"))
    assert kept == ["one", "other"]


RAGGED = """
model reader[d = 4, vocab = 256](tokens[b, t of b]: int, L = 2) -> [b, t, d]:
    x = embed[vocab -> d](tokens)
    repeat layer * L:
        x = x + tanh(linear[d -> d](cumsum[t](x)))
    return x

data words = jsonl("words.jsonl"): tokens[t of b]: text, label: int

experiment e of reader on words:
    run clean = reader
    scan step * 3:
        carry v[d] = 0.0
        carry seen = 0 * clean.layer[0].x
        run pushed = clean with layer[0].x += v
        sweep gap over l in layer:
            run cut = pushed with layer[l].x *= 0.5
            mean[b, t, d](abs(cut.layer[1].x - clean.layer[1].x))
        v = v + 0.1 * mean[b, t](pushed.layer[1].x)
        seen = pushed.layer[1].x
        last = mean[b, d](pushed.layer[1].x[t = -1])
    scan again * 1:
        w = 0.1 * mean[b, t](clean.layer[1].x)
    run once = clean with layer[0].x += w[again = 0]
    show gap, last
    expect abs(last[step = 1] - mean[b, d](once.layer[1].x[t = -1])) < 0.000001
    expect abs(gap[step = 1, l = 1] - mean[b, t, d](abs(0.5 * once.layer[1].x - clean.layer[1].x))) < 0.00001
    expect abs(mean[b, t, d](seen[step = 1]) - mean[b, t, d](once.layer[1].x)) < 0.000001
"""


def test_examples_of_several_lengths(tmp_path: Path) -> None:
    lines = [f'{{"tokens": "{"abc" * n}", "label": 0}}' for n in (1, 3, 2, 5, 1, 4)]
    (tmp_path / "words.jsonl").write_text("\n".join(lines), encoding="utf-8")
    outcome = Program.from_text(RAGGED, folder=tmp_path).run("e", folder=tmp_path)
    assert all(one.holds for one in outcome.expectations), outcome.expectations
