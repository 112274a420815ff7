"""Statistics over examples that come in batches: what is kept of each batch, and how two are
joined.

All of it is in float64 and kept by sums, means and counts, so that the result does not depend on
how the examples are cut into batches, but for rounding. Of single values nothing is kept, except
for the largest few of `topk`, and the sample that `kmeans` begins with.
"""

from __future__ import annotations

from math import ceil, log, prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from . import clusters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..dsl.program import Fold
    from .rows import Batch

Array = NDArray[Any]
State = dict[str, Array]

ERROR: Final = 0.005
"""How far a quantile may be from the true one, relative to it."""
_BASE = log((1 + ERROR) / (1 - ERROR))
_HALF = ceil(log(1e12) / _BASE)  # sizes from 1e-12 to 1e12


def kept(fold: Fold, batch: Batch, seed: int = 0, before: State | None = None) -> State | None:
    """What is kept of a batch; nothing, if no example has a place. `before` is what the pass
    over all examples before this one ended with."""
    rows = batch.rows(0, fold.over)
    if not len(rows):
        return None
    match fold.statistic:
        case "mean":
            return {"n": np.array(len(rows)), "mean": rows.mean(0)}
        case "var":
            mean = rows.mean(0)
            return {"n": np.array(len(rows)), "mean": mean, "around": ((rows - mean) ** 2).sum(0)}
        case "covariance" | "gram":
            last = _primed_last(fold, rows, batch.axes[0])
            mean = last.mean(0) * (fold.statistic == "covariance")
            around = np.einsum("n...i,n...j->...ij", last - mean, last - mean)
            return {"n": np.array(len(rows)), "mean": mean, "around": around}
        case "mean_by":
            keys, size = batch.keys(1, fold.over), key_size(fold)
            if not 0 <= keys.min() <= keys.max() < size:
                raise ValueError(f"a key is {keys.min()} to {keys.max()}, and there are {size}")
            n, total = np.zeros(size), np.zeros((size, *rows.shape[1:]))
            np.add.at(n, keys, 1)
            np.add.at(total, keys, rows)
            return {"n": n, "total": total}
        case "quantile":
            return {"counts": _sketch(rows)}
        case "histogram":
            (low, high), size = fold.numbers, key_size(fold)
            place = np.floor((rows - low) / (high - low) * size).astype(np.int64)
            inside = (rows >= low) & (rows <= high)
            return {"counts": _counted(np.clip(place, 0, size - 1), size, inside)}
        case "topk":
            examples = batch.examples(fold.over)
            return _largest({"value": rows, "at": _like(examples, rows)}, fold)
        case "kmeans":
            flat = rows.reshape(len(rows), -1)
            if before is not None:
                return clusters.counted(flat, before["centre"])
            return clusters.sampled(flat, batch.lots(fold.over, seed), key_size(fold))
        case "least_squares":
            x = rows.reshape(len(rows), -1)
            y = batch.rows(1, fold.over).reshape(len(rows), -1)
            both = np.concatenate([x, y], 1)
            mean = both.mean(0)
            around = both - mean
            return {"n": np.array(len(rows)), "mean": mean, "around": around.T @ around}
    raise TypeError(fold.statistic)


def joined(fold: Fold, one: State, other: State) -> State:
    """What is kept of the examples of both."""
    match fold.statistic:
        case "mean_by" | "quantile" | "histogram":
            return {name: one[name] + other[name] for name in one}
        case "topk":
            both = {name: np.concatenate([one[name], other[name]]) for name in one}
            return _largest(both, fold)
        case "kmeans" if "lots" in one:
            return clusters.resampled(one, other, key_size(fold))
        case "kmeans":
            return {**one, **{name: one[name] + other[name] for name in ("n", "total")}}
    n = one["n"] + other["n"]
    apart = other["mean"] - one["mean"]
    found = {"n": n, "mean": one["mean"] + apart * (other["n"] / n)}
    if "around" in one:
        weight = one["n"] * other["n"] / n
        moved = apart**2 * weight
        if fold.statistic == "least_squares":
            moved = np.multiply.outer(apart, apart) * weight
        elif fold.statistic in ("covariance", "gram"):
            moved = apart[..., :, None] * apart[..., None, :] * weight
        found["around"] = one["around"] + other["around"] + moved
    return found


def passes(fold: Fold) -> int:
    """How often the examples are read again."""
    return int(fold.numbers[0]) if fold.statistic == "kmeans" else 0


def ended(fold: Fold, state: State, seed: int) -> State:
    """What the next pass is told of the one that ended with a state."""
    if "lots" in state:
        return {"centre": clusters.begun(state, key_size(fold), seed)}
    return {"centre": clusters.moved(state)}


def key_size(fold: Fold) -> int:
    """The size of the axis of a result that its values lack."""
    size = next(a.size for _, own in fold.results for a in own if a.name in fold.keys)
    assert isinstance(size, int)
    return size


def results(fold: Fold, state: State, axes: Sequence[tuple[str, ...]]) -> dict[str, Array]:
    """The statistic itself, by the names of its results, with their axes as written."""
    rest = tuple(axis for axis in axes[0] if axis not in fold.over)
    names = [name for name, _ in fold.results]
    match fold.statistic:
        case "mean":
            made = [(state["mean"], rest)]
        case "var":
            made = [(state["around"] / state["n"], rest)]
        case "covariance" | "gram":
            key = fold.keys[0]
            others = tuple(axis for axis in rest if axis != key.rstrip("'"))
            made = [(state["around"] / state["n"], (*others, key.rstrip("'"), key))]
        case "mean_by":
            n = state["n"].reshape(-1, *[1] * (state["total"].ndim - 1))
            mean = np.divide(state["total"], n, out=np.zeros_like(state["total"]), where=n > 0)
            made = [(mean, (fold.keys[0], *rest))]
        case "quantile":
            made = [(_quantile(state["counts"], fold.numbers[0]), rest)]
        case "histogram":
            made = [(state["counts"], (*rest, fold.keys[0]))]
        case "topk":
            own = (fold.keys[0], *rest)
            made = [(state["value"], own), (state["at"], own)]
        case "kmeans":
            sizes = {axis.name: axis.size for axis in fold.results[0][1]}
            shape = [int(sizes[axis]) for axis in (fold.keys[0], *rest)]  # type: ignore[arg-type]
            centre = clusters.moved(state).reshape(shape)
            made = [(centre, (fold.keys[0], *rest)), (state["n"], (fold.keys[0],))]
        case "least_squares":
            made = _solved(fold, state, rest, axes[1])
        case _:
            raise TypeError(fold.statistic)
    return {
        name: value.transpose([own.index(axis.name) for axis in wanted])
        for name, (value, own), (_, wanted) in zip(names, made, fold.results, strict=False)
    }


def _like(examples: NDArray[np.int64], rows: Array) -> Array:
    wide = examples.reshape(-1, *[1] * (rows.ndim - 1))
    return np.broadcast_to(wide, rows.shape).copy()


def _primed_last(fold: Fold, rows: Array, axes: tuple[str, ...]) -> Array:
    """The rows with the axis last that a result has twice."""
    rest = [axis for axis in axes if axis not in fold.over]
    return np.moveaxis(rows, rest.index(fold.keys[0].rstrip("'")) + 1, -1)


# ---- quantiles: counts of sizes on a scale of equal ratios


def _sketch(rows: Array) -> Array:
    """How many values of each place of a row are in each part of the scale: negative ones, the
    largest first, then what is nearly 0, then positive ones."""
    with np.errstate(divide="ignore"):
        size = np.ceil(np.log(np.abs(rows)) / _BASE)
    size = np.clip(np.nan_to_num(size, neginf=-_HALF - 1), -_HALF - 1, _HALF).astype(np.int64)
    level = size + _HALF + 1  # 0 for what is nearly 0
    place = np.sign(rows).astype(np.int64) * level + 2 * _HALF + 1
    return _counted(place, 4 * _HALF + 3, np.ones(rows.shape, bool))


def _counted(place: NDArray[np.int64], size: int, inside: NDArray[np.bool_]) -> Array:
    """How often each number below `size` stands at each place of a row, along a last axis."""
    shape = place.shape[1:]
    width = prod(shape)
    own = (np.arange(width) * size).reshape(shape)
    flat = (place + own)[inside]
    return np.bincount(flat.reshape(-1), minlength=width * size).reshape(*shape, size)


def _quantile(counts: Array, level: float) -> Array:
    total = counts.sum(-1, keepdims=True)
    below = np.cumsum(counts, -1)
    place = (below <= np.floor(level * (total - 1))).sum(-1) - (2 * _HALF + 1)
    size = np.abs(place) - _HALF - 1
    middle = 2 * np.exp(size * _BASE) / (np.exp(_BASE) + 1)
    return np.where(place == 0, 0.0, np.sign(place) * middle)


# ---- the largest, and lines through points


def _largest(state: State, fold: Fold) -> State:
    """The largest values with the examples that they are of; the earlier first where they are
    equal."""
    order = np.lexsort((state["at"], -state["value"]), axis=0)[: key_size(fold)]
    return {name: np.take_along_axis(value, order, 0) for name, value in state.items()}


def _solved(
    fold: Fold, state: State, rest: tuple[str, ...], other: tuple[str, ...]
) -> list[tuple[Array, tuple[str, ...]]]:
    """The weights with the least squared error, and with them what is added; the smallest weights
    where several are best."""
    sizes = {axis.name: axis.size for axis in fold.results[0][1]}
    wanted = tuple(axis for axis in other if axis not in fold.over)
    into = [int(sizes[axis]) for axis in rest]  # type: ignore[arg-type]  # a number, checked
    out = [int(sizes[axis]) for axis in wanted]  # type: ignore[arg-type]
    width = prod(into)
    around, mean = state["around"], state["mean"]
    if len(fold.results) == 1:  # through the origin
        around = around + np.multiply.outer(mean, mean) * state["n"]
    w = np.linalg.lstsq(around[:width, :width], around[:width, width:], rcond=None)[0]
    shift = mean[width:] - mean[:width] @ w
    return [(w.reshape(*into, *out), (*rest, *wanted)), (shift.reshape(out), wanted)]


def packed(states: Mapping[int, State]) -> dict[str, Array]:
    """States by number, as arrays of a file."""
    return {f"{at}/{name}": value for at, state in states.items() for name, value in state.items()}


def unpacked(arrays: Mapping[str, Array]) -> dict[int, State]:
    """What `packed` was given."""
    found: dict[int, State] = {}
    for name, value in arrays.items():
        at, _, inner = name.partition("/")
        found.setdefault(int(at), {})[inner] = value
    return found
