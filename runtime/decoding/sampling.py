"""The next token from its scores: the most likely, or one that is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...compiler.draws import generator
from ...dsl.diagnostics import Slug
from ..mistakes import mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is chosen. At temperature 0 it is the most likely, the first of equal ones.

    `top_k` keeps so many of the most likely tokens, `top_p` the fewest whose probabilities are
    together at least that (Holtzman et al. 2020); both act on scores divided by the temperature.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise _wrong(f"a temperature is 0 or larger, and this is {self.temperature:g}")
        if self.top_k is not None and self.top_k < 1:
            raise _wrong(f"`top_k` keeps 1 token at least, and this is {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise _wrong(f"`top_p` is more than 0 and at most 1, and this is {self.top_p:g}")

    @property
    def greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature == 0 or self.top_k == 1

    def choose(self, scores: torch.Tensor, streams: Sequence[np.random.Generator]) -> torch.Tensor:
        """One token for each row of scores [rows, vocab]; each row draws from its own stream."""
        if self.greedy:
            return scores.argmax(-1)
        chances = self.chances(scores)
        ordered, order = chances.sort(dim=-1, descending=True, stable=True)
        draws = torch.tensor([stream.random() for stream in streams], dtype=torch.float64)
        total = ordered.cumsum(-1)
        places = torch.searchsorted(
            total, draws.to(total.device)[:, None] * total[:, -1:], right=True
        )
        last = (ordered > 0).sum(
            -1, keepdim=True
        ) - 1  # rounding never leads to one that is left out
        return order.gather(-1, torch.minimum(places, last)).squeeze(-1)

    def chances(self, scores: torch.Tensor) -> torch.Tensor:
        """The probabilities from which is drawn, [rows, vocab] in float64."""
        scores = scores.double() / (self.temperature or 1.0)
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            kept = scores.topk(self.top_k, -1).indices  # so many, of equal ones too
            left = torch.full_like(scores, -torch.inf)
            scores = left.scatter(-1, kept, scores.gather(-1, kept))
        chances = scores.softmax(-1)
        if self.top_p is None or self.top_p == 1:
            return chances
        ordered, order = chances.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.masked_fill(before >= self.top_p, 0)
        chances = torch.zeros_like(chances).scatter(-1, order, ordered)
        return chances / chances.sum(-1, keepdim=True)


def stream_of(seed: int, prompt: Sequence[int], sample: int) -> np.random.Generator:
    """The numbers for one sample of one prompt: whatever else is decoded beside it."""
    return generator("decode", seed, ",".join(map(str, prompt)), sample)


def _wrong(message: str) -> Exception:
    return mistake(Slug.WRONG_ARGUMENTS, message)
