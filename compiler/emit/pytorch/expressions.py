"""Pointwise functions in PyTorch: how each is written, and what it wants of its operands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ....dsl.core import DType
from .layout import ADDED, ATOM, BOTH, COMPARED, EITHER, MULTIPLIED, RAISED, SIGNED, Value


@dataclass(frozen=True, slots=True)
class Operator:
    """`a + b`, or a call: the format, and how strongly the operands and the whole hold together."""

    format: str
    rank: int = ATOM
    operands: tuple[int, ...] = (0, 0, 0)


def _infix(symbol: str, rank: int) -> Operator:
    return Operator(f"{{}} {symbol} {{}}", rank, (rank + (rank == COMPARED), rank + 1))


OPERATORS: dict[str, Operator] = {
    "add": _infix("+", ADDED),
    "sub": _infix("-", ADDED),
    "mul": _infix("*", MULTIPLIED),
    "div": _infix("/", MULTIPLIED),
    "floordiv": _infix("//", MULTIPLIED),
    "mod": _infix("%", MULTIPLIED),
    "pow": Operator("{} ** {}", RAISED, (ATOM, RAISED)),
    "max": Operator("torch.maximum({}, {})"),
    "min": Operator("torch.minimum({}, {})"),
    "atan2": Operator("torch.atan2({}, {})"),
    "neg": Operator("-{}", SIGNED, (SIGNED,)),
    "abs": Operator("{}.abs()", ATOM, (ATOM,)),
    "sign": Operator("{}.sign()", ATOM, (ATOM,)),
    "exp": Operator("torch.exp({})"),
    "log": Operator("torch.log({})"),
    "log1p": Operator("torch.log1p({})"),
    "expm1": Operator("torch.expm1({})"),
    "sqrt": Operator("torch.sqrt({})"),
    "rsqrt": Operator("torch.rsqrt({})"),
    "sin": Operator("torch.sin({})"),
    "cos": Operator("torch.cos({})"),
    "tan": Operator("torch.tan({})"),
    "tanh": Operator("torch.tanh({})"),
    "sigmoid": Operator("torch.sigmoid({})"),
    "softplus": Operator("F.softplus({})"),
    "erf": Operator("torch.erf({})"),
    "log_sigmoid": Operator("F.logsigmoid({})"),
    "reciprocal": Operator("1 / {}", MULTIPLIED, (SIGNED,)),
    "float": Operator("{}"),
    "floor": Operator("torch.floor({}).long()"),
    "ceil": Operator("torch.ceil({}).long()"),
    "round": Operator("torch.round({}).long()"),
    "int": Operator("{}.long()", ATOM, (ATOM,)),
    "eq": _infix("==", COMPARED),
    "ne": _infix("!=", COMPARED),
    "lt": _infix("<", COMPARED),
    "le": _infix("<=", COMPARED),
    "gt": _infix(">", COMPARED),
    "ge": _infix(">=", COMPARED),
    "and": _infix("&", BOTH),
    "or": _infix("|", EITHER),
    "not": Operator("~{}", SIGNED, (SIGNED,)),
    "isnan": Operator("torch.isnan({})"),
    "isfinite": Operator("torch.isfinite({})"),
    "where": Operator("torch.where({}, {}, {})"),
}
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
BOUNDS = {"max": "clamp(min={})", "min": "clamp(max={})"}  # against a number
INFIX = frozenset(fn for fn, row in OPERATORS.items() if row.rank not in (ATOM, SIGNED))


def literal(value: float | int | bool) -> Value:
    """A number as Python writes it."""
    if isinstance(value, bool):
        return Value(str(value), dtype=DType.BOOL, plain=True)
    dtype = DType.INT if isinstance(value, int) else DType.FLOAT
    if isinstance(value, float) and not math.isfinite(value):
        text = "torch.nan" if math.isnan(value) else "torch.inf" if value > 0 else "-torch.inf"
    else:
        text = repr(value)
    return Value(text, dtype=dtype, rank=SIGNED if text.startswith("-") else ATOM, plain=True)


def operator(fn: str, operands: list[Value]) -> Value:
    """The function of operands that broadcast, without a layout."""
    row = OPERATORS[fn]
    if fn in BOUNDS and any(value.plain for value in operands):
        value, bound = sorted(operands, key=lambda value: value.plain)
        return Value(f"{value.atom}.{BOUNDS[fn].format(bound.text)}")
    texts = [value.at(rank) for value, rank in zip(operands, row.operands, strict=False)]
    return Value(row.format.format(*texts), rank=row.rank)
