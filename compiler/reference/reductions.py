"""What each reduction, and each function along axes, computes.

Several axes are taken as one, the first as major. What has no elements sums to 0, multiplies to 1,
and has the float maximum -inf and minimum inf. Softmax of nothing but -inf is 0 (its log -inf).
Ties go to the first. `rank` 0 is the largest. The sort is ascending, nan last. `var` is biased.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .values import NUMPY, NamedArray, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...dsl.core import DType
    from .values import Array


# ---- reductions of the last axis


def _max(x: Array) -> Array:
    if x.dtype == np.float64:
        return np.asarray(np.max(x, axis=-1, initial=-np.inf))
    return np.asarray(np.max(x, axis=-1))


def _min(x: Array) -> Array:
    if x.dtype == np.float64:
        return np.asarray(np.min(x, axis=-1, initial=np.inf))
    return np.asarray(np.min(x, axis=-1))


def _top(x: Array) -> Array:
    """What is taken off before an exponential, so that it stays finite."""
    top = _max(x.astype(np.float64))
    return np.where(np.isfinite(top), top, 0)


def _logsumexp(x: Array) -> Array:
    top = _top(x)
    return np.asarray(np.log(np.sum(np.exp(x - top[..., None]), axis=-1)) + top)


def _norm(x: Array, p: float) -> Array:
    size = np.abs(x.astype(np.float64))
    if math.isinf(p):
        return np.asarray(np.max(size, axis=-1, initial=0))
    return np.asarray(np.sum(size**p, axis=-1) ** (1 / p))


REDUCTIONS: dict[str, Callable[[Array], Array]] = {
    "sum": lambda x: np.sum(number(x), axis=-1),
    "prod": lambda x: np.prod(number(x), axis=-1),
    "max": _max,
    "min": _min,
    "mean": lambda x: np.sum(number(x), axis=-1) / x.shape[-1],
    "var": lambda x: np.var(x.astype(np.float64), axis=-1),
    "logsumexp": _logsumexp,
    "argmax": lambda x: np.argmax(x, axis=-1),
    "argmin": lambda x: np.argmin(x, axis=-1),
    "any": lambda x: np.any(x, axis=-1),
    "all": lambda x: np.all(x, axis=-1),
}


def reduce(
    fn: str, value: NamedArray, axes: Sequence[str], argument: float | None, dtype: DType
) -> NamedArray:
    """The value without these axes. `argument` is the q of a quantile, the p of a norm (2)."""
    rest, joined = _joined(value, axes)
    with np.errstate(all="ignore"):
        if fn == "norm":
            result = _norm(joined, 2 if argument is None else argument)
        elif fn == "quantile" and argument is not None:
            result = np.quantile(joined.astype(np.float64), argument, axis=-1)
        else:
            result = REDUCTIONS[fn](joined)
    return NamedArray(rest, np.asarray(result).astype(NUMPY[dtype]))


def _joined(value: NamedArray, axes: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """The other axes, and the array with these as one axis, the last."""
    rest = tuple(name for name in value.axes if name not in axes)
    count = math.prod(value.sizes[name] for name in axes)
    return rest, value.arranged((*rest, *axes)).reshape(*(value.sizes[n] for n in rest), count)


# ---- along the last axis


def _softmax(x: Array) -> Array:
    above = np.exp(x - _top(x)[..., None])
    total = np.sum(above, axis=-1, keepdims=True)
    return np.asarray(above / np.where(total == 0, 1, total))


def _log_softmax(x: Array) -> Array:
    above = x - _top(x)[..., None]
    total = np.sum(np.exp(above), axis=-1, keepdims=True)
    return np.asarray(above - np.log(np.where(total == 0, 1, total)))


def _rank(x: Array) -> Array:
    return np.argsort(np.argsort(-number(x), axis=-1, kind="stable"), axis=-1)


ALONG: dict[str, Callable[[Array], Array]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "cumsum": lambda x: np.cumsum(number(x), axis=-1),
    "cumprod": lambda x: np.cumprod(number(x), axis=-1),
    "cummax": lambda x: np.maximum.accumulate(x, axis=-1),
    "sort": lambda x: np.sort(x, axis=-1),
    "flip": lambda x: np.flip(x, axis=-1),
    "argsort": lambda x: np.argsort(x, axis=-1, kind="stable"),
    "rank": _rank,
}


def along(fn: str, value: NamedArray, axes: Sequence[str], dtype: DType) -> NamedArray:
    """The value with the same axes, changed along these. A transform is taken along each."""
    rest, joined = _joined(value, axes)
    order = (*rest, *axes)
    shape = [value.sizes[name] for name in order]
    with np.errstate(all="ignore"):
        if fn in ("fft_re", "fft_im"):
            last = tuple(range(len(rest), len(order)))
            complex_ = np.fft.fftn(joined.reshape(shape), axes=last) if last else joined + 0j
            result = complex_.real if fn == "fft_re" else complex_.imag
        else:
            result = ALONG[fn](joined).reshape(shape)
    return NamedArray(order, result.astype(NUMPY[dtype]))
