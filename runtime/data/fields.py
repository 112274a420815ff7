"""Fields as a spec declares them: whether an array is one, and whether several go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...dsl.core import DType
from ...dsl.diagnostics import Slug
from ...dsl.files import DataError
from .dataset import Dataset, aligned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.signatures import FieldSignature
    from .dataset import Array, Column

_STORED = {DType.INT: np.int64, DType.FLOAT: np.float32, DType.BOOL: np.bool_}


def fitting(field: FieldSignature, array: Array, dimensions: int) -> Array | None:
    """The array as the field's dtype; None if it holds something else or has other dimensions.

    An int does for a float; a bool does for nothing else, and nothing is rounded.
    """
    match field.dtype:
        case DType.INT:
            fits = array.dtype != np.uint64 and np.issubdtype(array.dtype, np.integer)
        case DType.FLOAT:
            fits = np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)
        case DType.BOOL:
            fits = array.dtype == np.bool_
    empty = array.size == 0 and array.dtype == np.float64  # what an empty list becomes
    if array.ndim != dimensions or not (fits or empty):
        return None
    try:
        with np.errstate(over="raise"):
            return array.astype(_STORED[field.dtype])
    except FloatingPointError:  # beyond what a float32 holds
        return None


def together(columns: Mapping[str, Column]) -> Dataset:
    """Fields as a data set, those that share a ragged axis padded to one length."""
    try:
        return Dataset(aligned(columns))
    except ValueError as error:
        raise DataError(str(error), slug=Slug.INPUT_MISMATCH) from None
