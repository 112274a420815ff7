"""Pointwise functions and reductions in C++, for one number and for a vector of them alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.core import DType

OPERATORS: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "floordiv": "floored({}, {})",
    "mod": "modulo({}, {})",
    "pow": "power({}, {})",
    "max": "largest({}, {})",
    "min": "smallest({}, {})",
    "atan2": "arctangent({}, {})",
    "neg": "-{}",
    "abs": "magnitude({})",
    "sign": "signum({})",
    "exp": "exponential({})",
    "log": "logarithm({})",
    "log1p": "logarithm_1p({})",
    "expm1": "exponential_m1({})",
    "sqrt": "root({})",
    "rsqrt": "number(1) / root({})",
    "sin": "sine({})",
    "cos": "cosine({})",
    "tan": "tangent({})",
    "tanh": "hyperbolic({})",
    "sigmoid": "sigmoid({})",
    "softplus": "softplus({})",
    "erf": "error_function({})",
    "log_sigmoid": "-softplus(-{})",
    "reciprocal": "number(1) / {}",
    "float": "{}",
    "floor": "int64_t(std::floor({}))",
    "ceil": "int64_t(std::ceil({}))",
    "round": "int64_t(std::nearbyint({}))",
    "int": "int64_t({})",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "negated({})",
    "isnan": "{0} != {0}",
    "isfinite": "magnitude({}) < number(INFINITY)",
    "where": "chosen({}, {}, {})",
}
CHEAP = frozenset(["add", "sub", "mul", "neg", "where", "max", "min", "abs", "float"])
"""What is rather computed again than kept."""
LOGICAL = frozenset(["and", "or", "not"])
COMPARED = frozenset(["eq", "ne", "lt", "le", "gt", "ge", "isnan", "isfinite"])


@dataclass(frozen=True, slots=True)
class Reduction:
    """How one more number is taken in, what nothing comes to, and what is done at the end."""

    start: str
    step: str
    finish: str = "{0}"


REDUCTIONS: dict[str, Reduction] = {
    "sum": Reduction("0", "{0} + {1}"),
    "prod": Reduction("1", "{0} * {1}"),
    "max": Reduction("LEAST", "largest({0}, {1})"),
    "min": Reduction("MOST", "smallest({0}, {1})"),
    "mean": Reduction("0", "{0} + {1}", "{0} / number({1})"),
    "norm": Reduction("0", "{0} + {1} * {1}", "root({0})"),
    "any": Reduction("0", "{0} | {1}"),
    "all": Reduction("1", "{0} & {1}"),
}

LINES = frozenset(
    ["argmax", "argmin", "cumsum", "cumprod", "cummax", "sort", "argsort", "rank", "flip"]
)
"""What a function of the prelude does to a line of numbers."""


def literal(value: float | int | bool, dtype: DType) -> str:
    """A number as C++ writes it."""
    if dtype is DType.BOOL:
        return "true" if value else "false"
    if dtype is DType.INT:
        return f"int64_t({int(value)})"
    if math.isnan(value):
        return "number(NAN)"
    if math.isinf(value):
        return f"number({'-' if value < 0 else ''}INFINITY)"
    return f"number({float(value)!r})"


def computed_in(fn: str, operands: list[DType], result: DType) -> list[DType]:
    """The dtype that each operand is brought to."""
    if fn in LOGICAL:
        return [DType.BOOL] * len(operands)
    if fn == "where":
        return [DType.BOOL, result, result]
    if fn in ("floor", "ceil", "round", "int", "isnan", "isfinite"):
        return [DType.FLOAT] if fn != "int" or operands == [DType.FLOAT] else operands
    if result is DType.FLOAT or DType.FLOAT in operands:
        return [DType.FLOAT] * len(operands)
    return [DType.INT] * len(operands)
