"""Decoding: what is kept and how much of it, and which tokens come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.dsl.diagnostics import Slug, SpecError
from neuraxis.runtime.decoding.sampling import Sampling
from neuraxis.runtime.experiment import run_experiment
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.model import SpecModel

LM = """
model lm[d = 8, vocab = 11](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * 2:
        mixed = {}
        x = x + mixed
    return linear[d -> vocab](x)

intervention push(size = 3.0, v[d]) on lm:
    layer[0].mixed[t >= 5] += size * v
"""
ATTENTION = "causal_attention[h = 2, k = 4](x)"
WINDOW = "window_attention[h = 2, k = 4](x, window = 4)"
RECURRENT = "linear_attention[h = 2, k = 4, v = 4](x)"


def lm(mixer: str = ATTENTION) -> SpecModel:
    return Program.from_text(LM.format(mixer)).model()


def recomputed(model: SpecModel, tokens: torch.Tensor, steps: int) -> torch.Tensor:
    """The most likely tokens, the whole run again for each."""
    for _ in range(steps):
        with torch.no_grad():
            tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], 1)
    return tokens[:, -steps:]


@pytest.fixture(scope="module")
def prompts() -> torch.Tensor:
    return torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


# ---- which tokens


@pytest.mark.parametrize("mixer", [ATTENTION, WINDOW, RECURRENT])
def test_greedy_decoding_is_what_running_again_gives(mixer: str, prompts: torch.Tensor) -> None:
    model = lm(mixer)
    found = model.decode(prompts, steps=9)
    assert torch.equal(found.tokens, recomputed(model, prompts, 9))
    assert found.axes == ("b", "t")


def test_under_an_intervention_too(prompts: torch.Tensor) -> None:
    pushed = lm().under("push", v=torch.linspace(-1, 1, 8))
    found = pushed.decode(prompts, steps=6, logits=True)
    assert torch.equal(found.tokens, recomputed(pushed, prompts, 6))
    whole = torch.cat([prompts, found.tokens], 1)
    assert found.logits is not None
    torch.testing.assert_close(found.logits, pushed(whole)[:, 3:-1].detach())
    others = lm().decode(prompts, steps=6)
    assert not torch.equal(found.tokens, others.tokens)


def test_samples_depend_on_the_seed_and_the_prompt_alone(prompts: torch.Tensor) -> None:
    model = lm()
    many = model.decode(prompts, steps=5, temperature=1.5, samples=3, seed=4)
    assert many.tokens.shape == (2, 3, 5)
    assert many.axes == ("b", "sample", "t")
    again = model.decode(prompts[1:], steps=5, temperature=1.5, samples=2, seed=4)
    assert torch.equal(again.tokens[0], many.tokens[1, :2])
    other = model.decode(prompts, steps=5, temperature=1.5, samples=3, seed=5)
    assert not torch.equal(other.tokens, many.tokens)


def test_prompts_of_several_lengths_are_each_by_itself(prompts: torch.Tensor) -> None:
    model = lm()
    found = model.decode([prompts[0, :2], prompts[1], prompts[0, 1:3]], steps=4)
    for row, prompt in zip(
        found.tokens, [prompts[0, :2], prompts[1], prompts[0, 1:3]], strict=True
    ):
        assert torch.equal(row, model.decode(prompt[None], steps=4).tokens[0])
    cut = model.decode(prompts, steps=4, lengths=[2, 4])
    assert torch.equal(cut.tokens, found.tokens[:2])


def test_a_row_ends_with_a_stop(prompts: torch.Tensor) -> None:
    model = lm()
    tokens = model.decode(prompts, steps=6).tokens
    stop = [tokens[0, :2].tolist()]
    found = model.decode(prompts, steps=6, stop=stop)
    assert found.lengths[0] == 2
    assert torch.equal(found.tokens[0, :2], tokens[0, :2])
    assert (found.tokens[0, 2:] == -1).all()
    one = model.decode(prompts[:1], steps=6, stop=int(tokens[0, 0]))
    assert one.tokens.tolist() == [[int(tokens[0, 0])]]


def test_a_stream_gives_the_same_as_it_goes(prompts: torch.Tensor) -> None:
    model = lm()
    found = list(model.stream(prompts, steps=4, temperature=0.7, seed=1))
    whole = model.decode(prompts, steps=4, temperature=0.7, seed=1)
    assert torch.equal(torch.stack(found, -1), whole.tokens)


def test_a_model_without_a_batch_and_axes_in_front(prompts: torch.Tensor) -> None:
    alone = Program.from_text(
        LM.format(ATTENTION).replace("tokens[b, t of b]", "tokens[t]").replace("[b, t, v", "[t, v")
    ).model()
    alone.load_state_dict(lm().state_dict())
    wanted = lm().decode(prompts, steps=3).tokens
    assert torch.equal(alone.decode(prompts, steps=3).tokens, wanted)
    assert torch.equal(alone.decode(prompts[0], steps=3).tokens, wanted[0])
    assert torch.equal(lm().decode(prompts[:, None], steps=3).tokens, wanted[:, None])


def test_parameters_that_were_replaced_are_seen(prompts: torch.Tensor) -> None:
    model = lm()
    model.decode(prompts, steps=2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight))
    assert torch.equal(model.decode(prompts, steps=5).tokens, recomputed(model, prompts, 5))


# ---- phases


PHASES = (
    LM
    + """
intervention phased(size = 3.0, first = 1, v[d]) on lm:
    during prefill: layer[1].mixed *= 0.5
    during decode first..3:
        layer[0].mixed += size * v
"""
)


def test_writes_during_a_phase_are_those_of_a_run_that_knows_the_prompt(
    prompts: torch.Tensor,
) -> None:
    model = Program.from_text(PHASES.format(ATTENTION)).model()
    phased = model.under("phased", v=torch.linspace(-1, 1, 8))
    found = phased.decode(prompts, steps=6, logits=True)
    whole = torch.cat([prompts, found.tokens], 1)
    wanted = phased(whole, **{"during.prompt": torch.tensor(4)}).detach()
    torch.testing.assert_close(found.logits, wanted[:, 3:-1])
    plain = model.decode(prompts, steps=6, logits=True)
    assert plain.logits is not None
    assert not torch.allclose(wanted[:, 3], plain.logits[:, 0])  # the prompt is written
    torch.testing.assert_close(  # a run that does not decode is all prompt
        phased(prompts).detach(), phased(prompts, **{"during.prompt": torch.tensor(9)}).detach()
    )


def test_each_prompt_has_its_own_phases(prompts: torch.Tensor) -> None:
    model = Program.from_text(PHASES.format(RECURRENT)).model()
    phased = model.under("phased", v=torch.linspace(-1, 1, 8)).under("push", v=torch.ones(8))
    found = phased.decode([prompts[0, :2], prompts[1]], steps=5)
    for row, prompt in zip(found.tokens, (prompts[0, :2], prompts[1]), strict=True):
        assert torch.equal(row, phased.decode(prompt[None], steps=5).tokens[0])


# ---- experiments


STUDY = (
    PHASES.replace("vocab = 11", "vocab = 256")
    + """
data words = repeats(n = 6, t = 3, vocab = 32, held = 0)
data asked = jsonl("asked.jsonl"): q[t of b]: text, a: int

experiment e of lm on words:
    run out = decode(prompt = words.tokens[t = 0..4], steps = 5)
    run warm = decode(prompt = text("def "), steps = 4, temperature = 0.8, samples = 2, seed = 3)
    run cut = decode(prompt = words.tokens, steps = 5) with layer[0].mixed = 0
    show text(out.tokens), mean[b, t](out.tokens == cut.tokens)
    expect mean[b, t](out.tokens) >= 0

experiment r of lm on asked:
    run out = decode(prompt = asked.q, steps = 3)
    show text(out.tokens)
"""
)


def test_an_experiment_decodes(tmp_path: Path) -> None:
    program = Program.from_text(STUDY.format(ATTENTION), root=tmp_path)
    study = program.checked.experiments["e"]
    model = program.model("lm")
    outcome = run_experiment(study, model, program.library)
    tokens = outcome.values["out.tokens"]
    assert tokens.dims == ("b", "t")
    given = torch.as_tensor(program.library.dataset("words")["tokens"].values)
    assert np.array_equal(tokens, model.decode(given[:, :4], steps=5).tokens)
    warm = outcome.values["warm.tokens"]
    assert warm.dims == ("sample", "t")
    prompt = torch.tensor(list(b"def "))
    wanted = model.decode(prompt, steps=4, temperature=0.8, samples=2, seed=3)
    assert np.array_equal(warm, wanted.tokens)
    assert outcome.values["warm.text"].dims == ("sample",)
    assert outcome.values["text(out.tokens)"].shape == (6,)
    assert outcome.expectations[0].holds


def test_an_experiment_decodes_prompts_of_several_lengths(tmp_path: Path) -> None:
    rows = [{"q": "hello", "a": 1}, {"q": "hi", "a": 2}]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = Program.from_text(STUDY.format(RECURRENT), root=tmp_path)
    model = program.model("lm")
    outcome = run_experiment(program.checked.experiments["r"], model, program.library)
    wanted = model.decode([torch.tensor(list(b"hello")), torch.tensor(list(b"hi"))], steps=3)
    assert np.array_equal(outcome.values["out.tokens"], wanted.tokens)


# ---- choosing


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=6), st.integers(1, 6), st.floats(0.05, 1))
def test_what_is_kept_to_draw_from(scores: list[float], top_k: int, top_p: float) -> None:
    row = torch.tensor([scores], dtype=torch.float64)
    kept = Sampling(1.0, top_k, None).chances(row)[0]
    assert int((kept > 0).sum()) == min(top_k, len(scores))
    torch.testing.assert_close(kept.sum(), torch.ones((), dtype=torch.float64))
    part = Sampling(1.0, None, top_p).chances(row)[0]
    whole = torch.softmax(row[0], -1)
    inside = whole[part > 0]
    assert float(inside.sum()) >= top_p - 1e-9
    assert float(inside.sum() - inside.min()) < top_p + 1e-9
    assert all(inside.min() >= other for other in whole[part == 0])


def test_draws_have_the_chances_that_are_said() -> None:
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(4000, 1)
    streams = [np.random.default_rng(row) for row in range(4000)]
    found = Sampling(1.0).choose(scores, streams).bincount(minlength=3) / 4000
    assert (found - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 0.03
    assert (Sampling(1.0, top_p=0.6).choose(scores, streams) < 2).all()


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"steps": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, float], prompts: torch.Tensor) -> None:
    with pytest.raises(SpecError) as caught:
        lm().decode(prompts, **{"steps": 2, **wrong})
    assert caught.value.diagnostics[0].slug is Slug.WRONG_ARGUMENTS


# ---- what is kept


def size_of(kept: object) -> int:
    return kept.numel() if isinstance(kept, torch.Tensor) else kept.memory.numel()  # type: ignore[attr-defined]


@pytest.mark.parametrize("mixer", [WINDOW, RECURRENT])
def test_what_is_kept_does_not_grow(mixer: str) -> None:
    stepper = lm(mixer).stepper()
    stepper(torch.zeros(1, 3, dtype=torch.long))
    sizes = []
    for _ in range(200):
        stepper(torch.ones(1, 1, dtype=torch.long))
        sizes.append(sum(map(size_of, stepper.kept.values())))
    assert max(sizes[100:]) == sizes[99]


def test_a_cache_is_seldom_copied() -> None:
    stepper = lm().stepper()
    stepper(torch.zeros(1, 3, dtype=torch.long))
    places = set()
    for _ in range(300):
        stepper(torch.ones(1, 1, dtype=torch.long))
        places.add(next(iter(stepper.kept.values())).memory.data_ptr())
    assert len(places) <= 4
    assert stepper.position == 303


def test_a_step_is_one_position_of_work() -> None:
    model = lm(RECURRENT)
    step = model.stepper().forms.step(1).module._artifact.source
    assert "_steps" not in step  # no loop, of which outputs are collected
    assert "class Cache" not in step
    cached = lm().stepper().forms.step(1).module._artifact.source
    assert "attn_mask" not in cached
    assert cached.count(".append(") == 2  # keys and values, in the one function of both turns


def test_a_stepper_takes_parts_of_any_size(prompts: torch.Tensor) -> None:
    model = lm()
    stepper = model.stepper()
    found = [stepper(part) for part in prompts.split([1, 2, 1], 1)]
    torch.testing.assert_close(torch.cat(found, 1), model(prompts).detach())
    stepper.reset()
    torch.testing.assert_close(stepper(prompts), model(prompts).detach())


def test_no_more_positions_than_a_table_has(prompts: torch.Tensor) -> None:
    text = LM.format(ATTENTION).replace("(tokens)\n", "(tokens) + embed[ctx = 6 -> d](t)\n")
    text = text.replace("    x = embed", "    param wpe[ctx, d] ~ normal(0, 1)\n    x = embed")
    text = text.replace("embed[ctx = 6 -> d](t)", "wpe[ctx = t]").replace("11]", "11, ctx = 6]")
    model = Program.from_text(text).model()
    assert model.decode(prompts, steps=3).tokens.shape == (2, 3)
    with pytest.raises(SpecError) as caught:
        model.decode(prompts, steps=4)
    assert caught.value.diagnostics[0].slug is Slug.INPUT_MISMATCH


def test_what_is_no_model_of_tokens_is_said() -> None:
    model = Program.from_text("model m[d = 2](x[b, t, d]) -> [b, t, d]:\n    return x").model()
    with pytest.raises(SpecError, match="whole numbers"):
        model.decode(torch.zeros(1, 2), steps=1)
    assert model.stepper()(torch.ones(1, 2, 2)).shape == (1, 2, 2)


# ---- further inputs


@pytest.mark.parametrize("kind", ["x", "kind: int", "alone"])
def test_inputs_along_the_axis_are_given_for_all_positions(
    kind: str, prompts: torch.Tensor
) -> None:
    text = LM.format(ATTENTION).replace("\n    repeat", " + 3 * side\n    repeat")
    side = torch.arange(16.0).reshape(2, 8) % 3
    if "int" in kind:
        text, side = text.replace("int)", "int, side[b, t]: int)"), side.long()
    elif kind == "alone":
        text = text.replace("tokens[b, t of b]: int)", "tokens[t]: int, side[t])")
        text, side = text.replace("[b, t, v", "[t, v"), side[0]
    else:
        text = text.replace("int)", "int, side[b, t])")
    model = Program.from_text(text).model()
    found = model.decode(prompts, steps=5, side=side).tokens
    for row in range(2):
        tokens, own = prompts[row], side if kind == "alone" else side[row]
        for _ in range(5):
            with torch.no_grad():
                now = own[: len(tokens)]
                whole = model(tokens, now) if kind == "alone" else model(tokens[None], now[None])[0]
            tokens = torch.cat([tokens, whole[-1:].argmax(-1)])
        assert torch.equal(found[row], tokens[4:])
    many = model.decode(prompts, steps=3, side=side, samples=2).tokens
    assert torch.equal(many[:, 1], found[:, :3])
    uneven = model.decode([prompts[0], prompts[1][:2]], steps=3, side=side).tokens
    assert torch.equal(uneven[0], found[0, :3])
    with pytest.raises(SpecError) as caught:
        model.decode(prompts, steps=6, side=side)
    assert "8 positions of `t`, and 9 are read" in caught.value.diagnostics[0].message
