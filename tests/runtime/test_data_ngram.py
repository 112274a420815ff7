from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.runtime.data import NGram, load_data, ngram_bits

if TYPE_CHECKING:
    from pathlib import Path

texts = st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=8)


def by_hand(
    train: list[list[int]], context: tuple[int, ...], token: int, n: int, vocab: int
) -> float:
    """Modified Kneser-Ney as in the paper, one probability at a time."""
    context = context[-(n - 1) :] if n > 1 else ()
    found: dict[int, Counter[tuple[int, ...]]] = {n: Counter()}
    for row in train:
        found[n].update(tuple(row[i : i + n]) for i in range(len(row) - n + 1))
    for k in range(n - 1, 0, -1):
        before = defaultdict(set)
        for gram in found[k + 1]:
            before[gram[1:]].add(gram[0])
        for row in train:
            before[tuple(row[:k])].add("start")
        found[k] = Counter({gram: len(tokens) for gram, tokens in before.items()})

    def discount(k: int, count: int) -> float:
        times = [max(sum(c == j for c in found[k].values()), 1) for j in range(1, 5)]
        unit = times[0] / (times[0] + 2 * times[1])
        j = min(count, 3)
        return min(max(j - (j + 1) * unit * times[j] / times[j - 1], 0.1), j - 0.1)

    def chance(k: int) -> float:
        if k == 0:
            return 1 / vocab
        if len(context) < k - 1:
            return chance(k - 1)
        history = context[len(context) - k + 1 :]
        counts = {gram[-1]: c for gram, c in found[k].items() if gram[:-1] == history}
        if not counts:
            return chance(k - 1)
        freed = sum(discount(k, c) for c in counts.values())
        kept = counts[token] - discount(k, counts[token]) if token in counts else 0
        return (kept + freed * chance(k - 1)) / sum(counts.values())

    return chance(n)


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 4))
def test_probabilities_are_those_of_the_paper(
    train: list[list[int]], tokens: list[int], n: int
) -> None:
    found = NGram(train, n, vocab=4).probabilities(tokens)
    expected = [by_hand(train, tuple(tokens[:i]), tokens[i], n, 4) for i in range(len(tokens))]
    assert np.allclose(found, expected, rtol=1e-9, atol=0)


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 4), max_size=5), st.integers(1, 5))
def test_probabilities_after_any_context_add_up_to_one(
    train: list[list[int]], context: list[int], n: int
) -> None:
    model = NGram(train, n, vocab=5)
    following = model.probabilities([[*context, token] for token in range(5)])[:, -1]
    assert abs(following.sum() - 1) < 1e-9
    assert (following > 0).all()


def test_rows_know_nothing_of_each_other() -> None:
    model = NGram([[0, 1, 2, 3]], n=3, vocab=4)
    rows = model.probabilities([[0, 1], [2, 3]])
    assert np.array_equal(rows[1], model.probabilities([2, 3]))


def test_random_tokens_cost_what_they_hold() -> None:
    draw = np.random.default_rng(0)
    train, held = draw.integers(0, 8, (2, 20_000))
    assert abs(ngram_bits(train, held, n=2, vocab=8) - 3) < 0.02


def test_a_text_seen_before_costs_little() -> None:
    text = np.frombuffer(b"the cat sat on the mat, and the dog on the log. " * 50, np.uint8)
    assert ngram_bits(text, text) < 0.3
    assert ngram_bits(text, text, n=1) > 3


def test_real_text_costs_less_the_more_is_known_of_it(tmp_path: Path) -> None:
    data = load_data("stdlib", {"limit": 500_000}, tmp_path, 0)
    assert data.held is not None
    train, held = data["tokens"].values, data.held["tokens"].values
    bits = [ngram_bits(train, held, n) for n in (1, 2, 3, 5)]
    assert bits == sorted(bits, reverse=True)
    assert 4 < bits[0] < 5
    assert 1.5 < bits[-1] < 2.5


def test_what_cannot_be_counted_is_said() -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        NGram([1, 2], n=8, vocab=256)
    with pytest.raises(ValueError, match="numbers from 0 to 3"):
        NGram([1, 4], n=2, vocab=4)
