"""What each pointwise function computes.

A division of ints rounds down as in Python, and by zero is an error; of floats it gives inf or nan.
What is not finite has no int: converting it gives any number. `round` takes halves to even.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.functions import MAPS
from .values import NUMPY, NamedArray, aligned, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...dsl.core import DType
    from .values import Array

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _divisible(b: Array) -> Array:
    if b.dtype == np.int64 and not b.all():
        raise ZeroDivisionError("integer division by zero")
    return b


def _floordiv(a: Array, b: Array) -> Array:
    return np.floor_divide(number(a), _divisible(number(b)))


def _mod(a: Array, b: Array) -> Array:
    return np.mod(number(a), _divisible(number(b)))


def _where(condition: Array, a: Array, b: Array) -> Array:
    chosen: Array = np.where(condition.astype(np.bool_), a, b)
    return chosen


SCALARS: dict[str, Callable[..., Array]] = {
    "add": lambda a, b: number(a) + number(b),
    "sub": lambda a, b: number(a) - number(b),
    "mul": lambda a, b: number(a) * number(b),
    "floordiv": _floordiv,
    "mod": _mod,
    "max": lambda a, b: np.maximum(number(a), number(b)),
    "min": lambda a, b: np.minimum(number(a), number(b)),
    "pow": lambda a, b: np.power(number(a), number(b)),
    "div": lambda a, b: np.true_divide(a, b),
    "atan2": lambda a, b: np.arctan2(number(a), number(b)),
    "neg": lambda a: -number(a),
    "abs": lambda a: np.abs(number(a)),
    "sign": lambda a: np.sign(number(a)),
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "softplus": lambda a: np.logaddexp(0, a),
    "log_sigmoid": lambda a: -np.logaddexp(0, -a),
    "erf": lambda a: _erf(a) if a.size else a,
    "reciprocal": lambda a: 1 / a,
    "float": lambda a: a,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "int": np.trunc,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "where": _where,
}

_OF_FLOATS = "exp log log1p expm1 sqrt rsqrt sin cos tan tanh sigmoid softplus log_sigmoid erf"
_FLOATS = frozenset([*_OF_FLOATS.split(), "reciprocal", "float"])


def apply(fn: str, operands: Sequence[NamedArray], dtype: DType) -> NamedArray:
    """A pointwise function of operands that are broadcast by name."""
    if len(operands) != MAPS[fn].arity:
        raise ValueError(f"{fn} of {len(operands)} operands")
    axes, arrays = aligned(operands)
    if fn in _FLOATS:
        arrays = [array.astype(np.float64) for array in arrays]
    with np.errstate(all="ignore"):
        result: Array = np.asarray(SCALARS[fn](*arrays)).astype(NUMPY[dtype])
    return NamedArray(axes, result)
