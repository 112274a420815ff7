from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuraxis.runtime.data import Dataset, load_data


def made(source: str, seed: int = 0, **options: int | float | str) -> Dataset:
    return load_data(source, {"held": 0.0, **options}, Path(), seed)


def test_repeats_say_everything_twice() -> None:
    tokens = made("repeats", n=50, t=7, vocab=5)["tokens"].values
    assert tokens.shape == (50, 14)
    assert np.array_equal(tokens[:, :7], tokens[:, 7:])
    assert set(np.unique(tokens)) == set(range(5))


def test_recall_can_be_answered_from_what_was_told() -> None:
    data = made("recall", n=200, pairs=4, vocab=16)
    tokens, source = data["tokens"].values, data["source"].values
    rows = np.arange(200)
    assert tokens.shape == (200, 9)
    assert np.array_equal(tokens[rows, source], data["answer"].values)
    assert np.array_equal(tokens[rows, source - 1], tokens[:, -1])
    keys, values = tokens[:, 0:8:2], tokens[:, 1:8:2]
    assert keys.max() < 8 <= values.min()
    assert all(len(set(row)) == 4 for row in keys)
    assert set(source) == {1, 3, 5, 7}


@pytest.mark.parametrize(
    ("op", "back"),
    [
        ("add", lambda c, b, p: (c - b) % p),
        ("subtract", lambda c, b, p: (c + b) % p),
        ("divide", lambda c, b, p: c * b % p),
    ],
)
@pytest.mark.parametrize("p", [2, 7, 12])
def test_modular_arithmetic_can_be_undone(op: str, back, p: int) -> None:  # type: ignore[no-untyped-def]
    data = made("modular", p=p, op=op)
    a, b, mark = data["tokens"].values.T
    assert (mark == p).all()
    assert np.array_equal(back(data["answer"].values, b, p), a)
    if op != "divide":
        assert len({*zip(a, b, strict=True)}) == p * p


def test_products_are_products() -> None:
    data = made("modular", p=5, op="multiply")
    a, b, _ = data["tokens"].values.T
    assert np.array_equal(data["answer"].values, a * b % 5)
    assert len(data) == 25


def test_copying_waits_and_then_says_it_again() -> None:
    tokens = made("copying", n=20, t=3, vocab=6, delay=4)["tokens"].values
    assert tokens.shape == (20, 11)
    assert np.array_equal(tokens[:, :3], tokens[:, 8:])
    assert tokens[:, :3].min() == 2
    assert (tokens[:, 3:7] == 0).all()
    assert (tokens[:, 7] == 1).all()


@pytest.mark.parametrize("source", ["repeats", "recall", "copying"])
def test_what_is_made_up_follows_the_seed(source: str) -> None:
    one, same, other = (made(source, seed)["tokens"].values for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_examples_are_held_back() -> None:
    data = load_data("modular", {"p": 10, "held": 0.3}, Path(), 0)
    assert data.held is not None
    assert (len(data), len(data.held)) == (70, 30)
    pairs = [{tuple(row) for row in part["tokens"].values.tolist()} for part in (data, data.held)]
    assert not pairs[0] & pairs[1]
