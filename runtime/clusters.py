"""k-means (Lloyd's iteration, 1982) over examples that come in batches, again and again.

In front of it is one pass that keeps a sample of the rows, drawn by the seed. It is where the
centres begin: of several k-means++ seedings (Arthur and Vassilvitskii, 2007), each improved on the
sample, the best. Then each pass over all rows keeps, for each centre, how many rows are nearest to
it and their sum, and moves it to their mean. So it does not matter how the examples are cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.draws import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    State = dict[str, Array]

SAMPLE = 4096  # rows to begin with, or so many for each centre:
EACH = 64
TRIES, TURNS = 8, 50


def sampled(rows: Array, lots: NDArray[np.uint64], count: int) -> State:
    """Those rows [row, d] whose lots are the smallest."""
    kept = np.argsort(lots, kind="stable")[: max(SAMPLE, EACH * count)]
    return {"rows": rows[kept], "lots": lots[kept]}


def resampled(one: State, other: State, count: int) -> State:
    """The sample of two samples."""
    rows, lots = (np.concatenate([one[name], other[name]]) for name in ("rows", "lots"))
    return sampled(rows, lots, count)


def begun(sample: State, count: int, seed: int) -> Array:
    """Centres [k, d] to begin with."""
    order = np.argsort(sample["lots"], kind="stable")
    rows, best, least = sample["rows"][order], None, np.inf
    for turn in range(TRIES):
        centre = _spread(rows, count, generator("clusters", seed, turn))
        for _ in range(TURNS):
            before, centre = centre, moved(counted(rows, centre))
            if np.array_equal(before, centre):
                break
        error = _distances(rows, centre).min(1).sum()
        if error < least:
            best, least = centre, error
    assert best is not None
    return best


def counted(rows: Array, centre: Array) -> State:
    """How many rows are nearest to each centre, and their sum."""
    near = _distances(rows, centre).argmin(1)
    n, total = np.zeros(len(centre)), np.zeros(centre.shape)
    np.add.at(n, near, 1)
    np.add.at(total, near, rows)
    return {"centre": centre, "n": n, "total": total}


def moved(state: State) -> Array:
    """The centres after a pass; one that no row is nearest to stays."""
    n = state["n"][:, None]
    return np.where(n > 0, state["total"] / np.maximum(n, 1), state["centre"])


def _spread(rows: Array, count: int, stream: np.random.Generator) -> Array:
    """Rows of which each is drawn by its squared distance from those drawn before."""
    found = [rows[stream.integers(len(rows))]]
    for _ in range(count - 1):
        far = _distances(rows, np.stack(found)).min(1)
        total = far.sum()
        share = far / total if total > 0 else np.full(len(rows), 1 / len(rows))
        found.append(rows[stream.choice(len(rows), p=share)])
    return np.stack(found)


def _distances(rows: Array, centre: Array) -> Array:
    """Squared distances [row, k]."""
    both = rows @ centre.T
    squares = (rows**2).sum(1)[:, None] - 2 * both + (centre**2).sum(1)
    return np.asarray(np.maximum(squares, 0))
