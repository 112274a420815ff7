"""Positions that are named, `@last` and fields of the data, in a model that is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from neuraxis.dsl.diagnostics import Slug, SpecError
from neuraxis.runtime.experiment import run_experiment
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.model import SpecModel

LM = """
data pairs = recall(n = 6, pairs = 2, vocab = 11, held = 0)

model lm[d = 8, vocab = 11](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * 2:
        mixed = causal_attention[h = 2, k = 4](x)
        x = x + mixed
    return linear[d -> vocab](x)

intervention at_end(size = 3.0, v[d]) on lm:
    layer[0].mixed[t = @last] += size * v

intervention at_source(v[d]) on lm:
    layer[0].mixed[t = @source] += v

intervention at_number(n, v[d]) on lm:
    layer[0].mixed[t = n] += v

intervention later(v[d]) on lm:
    during decode 1..3: layer[1].mixed += v

intervention in_steps(v[d]) on lm:
    during train: layer[0].mixed[t = @last] += v
"""
PROMPTS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
V = 3 * torch.linspace(-1, 1, 8)


def lm() -> SpecModel:
    return Program.from_text(LM).model()


def check(model: SpecModel, prompts: torch.Tensor = PROMPTS, steps: int = 5, **given: Any) -> None:
    """What is decoded is what the model gives that runs over the whole, and knows the prompt."""
    found = model.decode(prompts, steps=steps, logits=True, **given)
    length = torch.tensor(prompts.shape[1])
    tokens = prompts
    for place in range(steps):  # the whole run again for each token
        with torch.no_grad():
            whole = model(tokens, **given, **{"during.prompt": length})
        torch.testing.assert_close(found.logits[:, place], whole[:, -1])  # type: ignore[index]
        tokens = torch.cat([tokens, whole[:, -1:].argmax(-1)], 1)
    assert torch.equal(found.tokens, tokens[:, -steps:])


def test_the_last_position_is_bound_at_the_step_that_computes_a_token() -> None:
    model = lm().under("at_end", v=V)
    check(model)
    whole = torch.cat([PROMPTS, PROMPTS], 1)
    site, told = "layer[0].mixed", {"during.prompt": torch.tensor(4)}
    plain = lm().trace(whole, sites=[site])[site].tensor
    moved = model.trace(whole, sites=[site], **told)[site].tensor - plain
    assert moved.abs().sum((0, 2)).bool().tolist() == [False] * 3 + [True] * 5
    moved = model.trace(whole, sites=[site])[site].tensor - plain  # without a prompt, the last one
    assert moved.abs().sum((0, 2)).bool().tolist() == [False] * 7 + [True]


def test_so_it_is_with_other_writes_and_a_stepper() -> None:
    model = lm().under("at_end", v=V).under("later", v=V).under("at_end", v=-V, size=1.0)
    check(model)
    whole = torch.cat([PROMPTS, PROMPTS], 1)
    stepper = model.stepper()
    parts = [stepper(part) for part in whole.split([4, 1, 3], 1)]
    wanted = model(whole, **{"during.prompt": torch.tensor(4)}).detach()
    torch.testing.assert_close(torch.cat(parts, 1), wanted)
    stepper.reset()
    told = {"during.prompt": torch.tensor(6)}
    parts = [stepper(part, **told) for part in whole.split([4, 1, 3], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(whole, **told).detach())


def test_prompts_of_several_lengths_have_each_its_own() -> None:
    model = lm().under("at_end", v=V)
    found = model.decode([PROMPTS[0, :2], PROMPTS[1]], steps=4, samples=2, temperature=1.0)
    for row, prompt in zip(found.tokens, (PROMPTS[0, :2], PROMPTS[1]), strict=True):
        alone = model.decode(prompt[None], steps=4, samples=2, temperature=1.0)
        assert torch.equal(row, alone.tokens[0])


def test_it_is_so_in_each_mode() -> None:
    model = lm().under("in_steps", v=V)
    plain = lm().decode(PROMPTS, steps=3, logits=True).logits
    torch.testing.assert_close(model.decode(PROMPTS, steps=3, logits=True).logits, plain)
    model.train()
    check(model)
    assert not torch.allclose(model.decode(PROMPTS, steps=3, logits=True).logits, plain)  # type: ignore[arg-type]


# ---- a position of each example


def test_a_field_of_the_data_is_an_input_of_the_model() -> None:
    model = lm().under("at_source", v=V, source=[1, 3])
    rows = [
        lm().under("at_number", n=place, v=V)(PROMPTS[row, None]) for row, place in ((0, 1), (1, 3))
    ]
    torch.testing.assert_close(model(PROMPTS), torch.cat(rows))
    others = model(PROMPTS, **{"at.source": torch.tensor([3, 3])})
    assert torch.equal(others[1], model(PROMPTS)[1])
    assert not torch.equal(others[0], model(PROMPTS)[0])
    with pytest.raises(SpecError, match=r"needs `at\.source`"):
        lm().under("at_source", v=V)(PROMPTS)
    with pytest.raises(SpecError, match="has no input `sources`") as caught:
        lm().under("at_source", v=V, sources=[1, 3])
    assert "did you mean `source`?" in str(caught.value)


def test_it_is_read_while_it_is_decoded() -> None:
    model = lm().under("at_end", v=V).under("at_source", v=V, source=[1, 6])
    check(model)
    check(model, **{"at.source": torch.tensor([5, 2])})
    found = model.decode([PROMPTS[0], PROMPTS[1, :3]], steps=4, samples=2)
    for row, place in ((0, 1), (1, 6)):
        prompt = PROMPTS[row, None, : 4 - row]
        alone = model.decode(prompt, steps=4, **{"at.source": [place]})
        assert torch.equal(found.tokens[row, 1], alone.tokens[0])


def test_twice_the_same_intervention_is_two() -> None:
    both = lm().under("at_number", n=1, v=V).under("at_number", n=2, v=-V)
    other = lm().under("at_number", n=2, v=-V).under("at_number", n=1, v=V)
    torch.testing.assert_close(both(PROMPTS), other(PROMPTS))


def test_an_experiment_decodes_with_a_write_where_the_data_say(tmp_path: Path) -> None:
    text = f"""{LM}
experiment e of lm on pairs:
    v = 3 + 0 * mean[t](pairs.tokens)[b = 0]
    run out = decode(prompt = pairs.tokens, steps = 4) with layer[0].mixed[t = @source] += v
    run plain = decode(prompt = pairs.tokens, steps = 4)
    sweep same over g in [0, 3]:
        run one = decode(prompt = pairs.tokens, steps = 4) with layer[0].mixed[t = @source] += g
        mean[b, t](one.tokens == out.tokens)
    run whole = lm(tokens = concat[t](pairs.tokens, out.tokens)) with layer[0].mixed[t = @source] += v
    expect all[b, t](argmax[vocab](whole.out[t = 4..8]) == out.tokens)
    expect any[b, t](plain.tokens != out.tokens)
    expect same[g = 1] == 1
"""
    program = Program.from_text(text, root=tmp_path)
    study = program.checked.experiments["e"]
    outcome = run_experiment(study, program.model("lm"), program.library)
    assert [found.holds for found in outcome.expectations] == [True] * 3


def test_what_reads_the_last_position_from_all_others_has_no_step() -> None:
    text = (
        LM + "\nintervention copied on lm:\n    layer[0].mixed = base.layer[0].mixed[t = @last]\n"
    )
    with pytest.raises(SpecError) as caught:
        Program.from_text(text).model().under("copied").decode(PROMPTS, steps=2)
    assert caught.value.diagnostics[0].slug is Slug.NOT_CAUSAL
