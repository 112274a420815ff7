"""Token tasks that are made up: each has one thing to learn, and chance is known exactly."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from .dataset import Dataset, full, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .request import Request


def make_repeats(request: Request) -> Dataset:
    """Random tokens, twice: the second half can be read off the first."""
    half = _random(request, 0, request.whole("vocab"), request.whole("n"), request.whole("t"))
    return Dataset({"tokens": full(np.concatenate([half, half], axis=1), "t")})


def make_recall(request: Request) -> Dataset:
    """Keys (the lower half of the tokens) each with a value (the upper half), then a key asked."""
    n, pairs, vocab = (request.whole(option) for option in ("n", "pairs", "vocab"))
    stream = generator(request.seed, request.source)
    keys = stream.permuted(np.tile(np.arange(vocab // 2), (n, 1)), axis=1)[:, :pairs]
    values = stream.integers(vocab // 2, vocab, (n, pairs))
    asked = stream.integers(0, pairs, n)
    rows = np.arange(n)
    told = np.stack([keys, values], axis=2).reshape(n, 2 * pairs)
    return Dataset(
        {
            "tokens": full(np.concatenate([told, keys[rows, asked, None]], axis=1), "t"),
            "answer": full(values[rows, asked]),
            "source": full(2 * asked + 1),
        }
    )


def make_modular(request: Request) -> Dataset:
    """`a op b` modulo p for all a and b; one divides only by what has an inverse."""
    p, op = request.whole("p"), request.text("op")
    a, b = (side.ravel() for side in np.indices((p, p)))
    match op:
        case "add":
            answer = (a + b) % p
        case "subtract":
            answer = (a - b) % p
        case "multiply":
            answer = a * b % p
        case _:
            inverse = np.array([pow(k, -1, p) if gcd(k, p) == 1 else 0 for k in range(p)])
            a, b = (side[np.gcd(b, p) == 1] for side in (a, b))
            answer = a * inverse[b] % p
    tokens = np.stack([a, b, np.full_like(a, p)], axis=1)
    return Dataset({"tokens": full(tokens, "t"), "answer": full(answer)})


def make_copying(request: Request) -> Dataset:
    """Random tokens from 2 on, blanks (0), a mark (1), the tokens again."""
    n, t, delay = (request.whole(option) for option in ("n", "t", "delay"))
    symbols = _random(request, 2, request.whole("vocab"), n, t)
    blanks, mark = np.zeros((n, delay), np.int64), np.ones((n, 1), np.int64)
    return Dataset({"tokens": full(np.concatenate([symbols, blanks, mark, symbols], axis=1), "t")})


def _random(request: Request, low: int, high: int, *shape: int) -> NDArray[np.int64]:
    return generator(request.seed, request.source).integers(low, high, shape)
