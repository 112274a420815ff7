"""The scalar functions behind `map`, `reduce` and `along`: arity and dtype of each.

What they compute is said once, by the oracle (`compiler/reference.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .core import DType

DTypeRule = Callable[[Sequence[DType]], DType]
_RANK = {DType.BOOL: 0, DType.INT: 1, DType.FLOAT: 2}


def _widest(dtypes: Sequence[DType]) -> DType:
    return max(dtypes, key=_RANK.__getitem__)


def _number(dtypes: Sequence[DType]) -> DType:
    """A bool counts as 0 and 1."""
    return max((DType.INT, *dtypes), key=_RANK.__getitem__)


def _chosen(dtypes: Sequence[DType]) -> DType:
    return _widest(dtypes[1:])


def _float(_: Sequence[DType]) -> DType:
    return DType.FLOAT


def _int(_: Sequence[DType]) -> DType:
    return DType.INT


def _bool(_: Sequence[DType]) -> DType:
    return DType.BOOL


@dataclass(frozen=True, slots=True)
class Function:
    """Arity, and the dtype of the result from those of the operands."""

    arity: int
    dtype: DTypeRule


def _table(rule: DTypeRule, arity: int, names: str) -> dict[str, Function]:
    return {name: Function(arity, rule) for name in names.split()}


MAPS: dict[str, Function] = {
    **_table(_number, 2, "add sub mul floordiv mod max min pow"),
    **_table(_float, 2, "div atan2"),
    **_table(_number, 1, "neg abs sign"),
    **_table(_float, 1, "exp log log1p expm1 sqrt rsqrt sin cos tan tanh sigmoid softplus erf"),
    **_table(_float, 1, "log_sigmoid reciprocal float"),
    **_table(_int, 1, "floor ceil round int"),
    **_table(_bool, 2, "eq ne lt le gt ge and or"),
    **_table(_bool, 1, "not isnan isfinite"),
    **_table(_chosen, 3, "where"),
}

REDUCTIONS: dict[str, Function] = {
    **_table(_number, 1, "sum prod"),
    **_table(_widest, 1, "max min"),
    **_table(_float, 1, "mean var norm logsumexp quantile"),
    **_table(_int, 1, "argmax argmin"),
    **_table(_bool, 1, "any all"),
}

ALONG: dict[str, Function] = {
    **_table(_float, 1, "softmax log_softmax"),
    **_table(_number, 1, "cumsum cumprod"),
    **_table(_widest, 1, "sort flip cummax"),
    **_table(_int, 1, "argsort rank"),
    **_table(_float, 1, "fft_re fft_im"),
}
