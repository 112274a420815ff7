"""Decoding beside a plain loop: the whole run again for each token, and choosing written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from neuraxis.runtime.decoding.sampling import stream_of
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from neuraxis.runtime.model import SpecModel

LM = """
model lm[d = 8, vocab = 11](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * 2:
        mixed = {}
        x = x + 4 * mixed
    return linear[d -> vocab](x)

intervention push(size = 3.0, v[d]) on lm:
    layer[1].mixed[t >= 5] += size * v
"""
MIXERS = ("causal_attention[h = 2, k = 4](x)", "gru[n = 8](x)[n -> d]")
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8], [9, 10, 1]]
SEED, STEPS = 5, 7


def reference(
    model: SpecModel,
    prompt: list[int],
    sample: int,
    *,
    temperature: float = 0.0,
    top_k: int = 11,
    top_p: float = 1.0,
    stop: list[list[int]] | None = None,
) -> list[int]:
    """What follows a prompt, -1 behind its end."""
    tokens, stream = list(prompt), stream_of(SEED, prompt, sample)
    for _ in range(STEPS):
        with torch.no_grad():
            scores = model(torch.tensor([tokens]))[0, -1].double().numpy()
        order = np.argsort(-scores, kind="stable")[: top_k if temperature else 1]
        chances = np.exp((scores[order] - scores[order[0]]) / (temperature or 1))
        chances /= chances.sum()
        kept = int(np.searchsorted(np.cumsum(chances), min(top_p, 1 - 1e-12))) + 1
        total = np.cumsum(chances[:kept])
        draw = stream.random() * total[-1] if temperature else 0.0
        tokens.append(int(order[int(np.searchsorted(total, draw, side="right"))]))
        new = tokens[len(prompt) :]
        if any(new[-len(one) :] == one for one in stop or []):
            break
    found = tokens[len(prompt) :]
    return found + [-1] * (STEPS - len(found))


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.3},
        {"temperature": 0.7, "top_k": 3},
        {"temperature": 1.5, "top_p": 0.6},
        {"temperature": 2.0, "top_k": 6, "top_p": 0.8, "stop": [[4], [7, 2], [1]]},
    ],
)
def test_tokens_are_those_of_a_plain_loop(mixer: str, options: dict[str, Any]) -> None:
    model = Program.from_text(LM.format(mixer)).model()
    for own in (model, model.under("push", v=torch.linspace(-1, 1, 8))):
        found = own.decode(PROMPTS, steps=STEPS, samples=3, seed=SEED, **options).tokens
        wanted = [[reference(own, p, sample, **options) for sample in range(3)] for p in PROMPTS]
        missing = STEPS - found.shape[-1]
        assert torch.nn.functional.pad(found, (0, missing), value=-1).tolist() == wanted
