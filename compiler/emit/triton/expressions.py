"""Pointwise functions, reductions and running functions in Triton, for tiles and numbers alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.core import DType
from .tiles import HELD

OPERATORS: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "floordiv": "floored({}, {})",
    "mod": "modulo({}, {})",
    "pow": "power({}, {})",
    "max": "larger({}, {})",
    "min": "smaller({}, {})",
    "neg": "-{}",
    "abs": "tl.abs({})",
    "sign": "signum({})",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "log1p": "logarithm_1p({})",
    "expm1": "exponential_m1({})",
    "sqrt": "tl.sqrt_rn({})",
    "rsqrt": "1.0 / tl.sqrt_rn({})",
    "sin": "tl.sin({})",
    "cos": "tl.cos({})",
    "tan": "tangent({})",
    "tanh": "hyperbolic({})",
    "sigmoid": "sigmoid({})",
    "softplus": "softplus({})",
    "erf": "tl.erf({})",
    "log_sigmoid": "-softplus(-{})",
    "reciprocal": "1.0 / {}",
    "float": "{}",
    "floor": "tl.cast(tl.floor({}), tl.int64)",
    "ceil": "tl.cast(tl.ceil({}), tl.int64)",
    "round": "tl.cast(rounded({}), tl.int64)",
    "int": "tl.cast({}, tl.int64)",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "{} == 0",
    "isnan": "{0} != {0}",
    "isfinite": "tl.abs({}) < float('inf')",
    "where": "tl.where({}, {}, {})",
}
"""All of `MAPS` but `atan2`, which Triton lacks."""
BY_KIND = {"floordiv": "floored", "mod": "modulo"}
"""Functions that are others for ints."""
CALLED = frozenset(name for name, text in OPERATORS.items() if text[0].isalpha() and "(" in text)
"""What needs no parentheses around it, or around what it reads."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction along the axis {1} of {0}, and what elements count for that are not there."""

    text: str
    nothing: str


REDUCTIONS: dict[str, Reduction] = {
    "sum": Reduction("tl.sum({0}, {1})", "0"),
    "mean": Reduction("tl.sum({0}, {1})", "0"),
    "norm": Reduction("tl.sum({0}, {1})", "0"),
    "prod": Reduction("tl.reduce({0}, {1}, multiplied)", "1"),
    "max": Reduction("tl.max({0}, {1})", "float('-inf')"),
    "min": Reduction("tl.min({0}, {1})", "float('inf')"),
    "any": Reduction("tl.max({0}, {1})", "0"),
    "all": Reduction("tl.min({0}, {1})", "1"),
}
RUNNING: dict[str, str] = {
    "cumsum": "tl.cumsum({0}, {1})",
    "cumprod": "tl.cumprod({0}, {1})",
    "cummax": "tl.associative_scan({0}, {1}, larger)",
}


def literal(value: float | int | bool, dtype: DType) -> str:
    """A number as Triton writes it."""
    if dtype is DType.BOOL:
        return str(bool(value))
    if dtype is DType.INT:
        return str(int(value))
    if math.isnan(value):
        return "float('nan')"
    if abs(value) > 3.4028234e38:
        return f"float('{'-' if value < 0 else ''}inf')"
    return repr(float(value))


def converted(text: str, old: DType, new: DType) -> str:
    """A value in another dtype."""
    if old is new:
        return text
    return f"({text} != 0)" if new is DType.BOOL else f"tl.cast({text}, {HELD[new]})"
