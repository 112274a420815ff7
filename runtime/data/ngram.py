"""The baseline for language models: an n-gram model with interpolated, modified Kneser-Ney.

Chen and Goodman, An empirical study of smoothing techniques for language modeling, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Order:
    """The counts of one order. A gram is its tokens as the digits of a number."""

    grams: Tokens  # sorted
    left: NDArray[np.float64]  # what a gram's count keeps after the discount
    contexts: Tokens  # the grams without their last token, sorted
    totals: NDArray[np.float64]  # the counts of a context's grams together
    freed: NDArray[np.float64]  # what the discounts of a context's grams come to


class NGram:
    """Probabilities of tokens after the n - 1 before them, for any text over the same tokens.

    A row of a 2-d array is a text of its own: nothing is known where it starts.
    """

    def __init__(self, train: ArrayLike, n: int = 5, vocab: int = 256):
        """Count the grams of up to `n` tokens in the training text."""
        if n < 1 or vocab**n > 2**63:
            raise ValueError(f"grams of {n} out of {vocab} tokens cannot be counted")
        rows = _rows(train, vocab)
        self.n, self.vocab = n, vocab
        self._orders: list[_Order] = []
        grams, counts = np.unique(_grams(rows, n, vocab), return_counts=True)
        for order in range(n, 0, -1):
            self._orders.insert(0, _discount(grams, counts, vocab))
            if order > 1:
                # Below the top a gram counts once for each thing found in front of it, whether
                # that is a token or the start of a text.
                ends = grams % vocab ** (order - 1)
                starts = np.unique(_grams(rows[:, : order - 1], order - 1, vocab))
                grams, counts = np.unique(np.concatenate([ends, starts]), return_counts=True)

    def probabilities(self, tokens: ArrayLike) -> NDArray[np.float64]:
        """The probability of every token, given those before it in its row; of the same shape."""
        rows = _rows(tokens, self.vocab)
        result = np.full(rows.shape, 1 / self.vocab)
        for order, table in enumerate(self._orders, start=1):
            if rows.shape[1] >= order:
                grams = _grams(rows, order, self.vocab)
                tail = result[:, order - 1 :]
                tail[...] = _refine(table, grams, self.vocab, tail.ravel()).reshape(tail.shape)
        return result.reshape(np.shape(tokens))


def ngram_bits(
    train_tokens: ArrayLike, held_tokens: ArrayLike, n: int = 5, vocab: int = 256
) -> float:
    """Bits for each held-out token; the first of each row is given, as to a language model."""
    rows = np.atleast_2d(np.asarray(held_tokens))
    chances = NGram(train_tokens, n, vocab).probabilities(rows)[:, 1:]
    return float(-np.log2(chances).mean())


def _rows(tokens: ArrayLike, vocab: int) -> Tokens:
    rows = np.atleast_2d(np.asarray(tokens))
    if rows.ndim != 2 or (rows.size and (rows.min() < 0 or rows.max() >= vocab)):
        raise ValueError(f"tokens are numbers from 0 to {vocab - 1} in one or two dimensions")
    return rows.astype(np.int64)


def _grams(rows: Tokens, n: int, vocab: int) -> Tokens:
    """All grams of `n` tokens in each row, one row after the other."""
    count = max(rows.shape[1] - n + 1, 0)
    grams = np.zeros((len(rows), count), dtype=np.int64)
    for place in range(n):
        grams = grams * vocab + rows[:, place : place + count]
    return grams.ravel()


def _discount(grams: Tokens, counts: Tokens, vocab: int) -> _Order:
    ones, twos, threes, fours = (max(int(np.sum(counts == k)), 1) for k in (1, 2, 3, 4))
    unit = ones / (ones + 2 * twos)
    ratios = np.array([twos / ones, threes / twos, fours / threes])
    most = np.array([1, 2, 3])
    steps = np.clip(most - (most + 1) * unit * ratios, 0.1, most - 0.1)
    discounts = steps[np.minimum(counts, 3) - 1]
    starts = np.flatnonzero(np.diff(grams // vocab, prepend=-1))
    return _Order(
        grams,
        counts - discounts,
        (grams // vocab)[starts],
        np.add.reduceat(counts, starts).astype(np.float64) if len(grams) else np.zeros(0),
        np.add.reduceat(discounts, starts) if len(grams) else np.zeros(0),
    )


def _refine(
    table: _Order, grams: Tokens, vocab: int, shorter: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities by this order where the context is known, of a shorter one elsewhere."""
    if not len(table.grams):
        return shorter
    context = np.minimum(np.searchsorted(table.contexts, grams // vocab), len(table.contexts) - 1)
    known = table.contexts[context] == grams // vocab
    gram = np.minimum(np.searchsorted(table.grams, grams), len(table.grams) - 1)
    left = np.where(table.grams[gram] == grams, table.left[gram], 0)
    refined = (left + table.freed[context] * shorter) / table.totals[context]
    return np.where(known, refined, shorter)
