"""How numbers are compared: the one place that knows how much rounding is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler.reference import NamedArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Values = Any  # an array, a tensor, a NamedArray, a trace's value, or a sequence of these

TOLERANCES: dict[str, float] = {
    "float64": 1e-9,
    "float32": 2e-4,
    "float16": 2e-2,
    "bfloat16": 1e-1,
}
"""The largest difference that is rounding, as a part of the oracle's largest number."""

SLOPES = 1e-5
"""The same for a gradient against finite differences in float64."""

FLOOR = 1e-30  # so that zeros may be compared

ROUNDINGS = 8
"""How often a number as large as any that was met on the way may be rounded: what should be 0 may be
a sum that cancels."""

MASKS = 1e6  # larger numbers stand for infinity, as in a mask


def assert_close(
    found: Values,
    oracle: Values,
    dtype: str | torch.dtype | None = None,
    *,
    tolerance: float | None = None,
    met: float = 0.0,
    what: str = "the value",
) -> None:
    """What was found is what the oracle says: max|a - b| / max|oracle| for each tensor.

    Axes and shapes are equal, ints and bools are the same, and what is not finite stands at the
    same places. `dtype` is what was computed in, by default what `found` holds; the oracle must have
    been fed inputs as `rounded` to it. `met` is the largest number on the way (`largest`), if the
    values may be sums that cancel: its rounding is no difference.
    """
    if isinstance(oracle, Sequence) and not isinstance(oracle, np.ndarray):
        assert len(found) == len(oracle), f"{what}: {len(found)} values, not {len(oracle)}"
        for place, (one, other) in enumerate(zip(found, oracle, strict=True)):
            assert_close(one, other, dtype, tolerance=tolerance, met=met, what=f"{what} {place}")
        return
    if isinstance(oracle, NamedArray):
        if isinstance(found, NamedArray):
            assert found.sizes == oracle.sizes, f"{what} has {found.sizes}, not {oracle.sizes}"
            found = found.arranged(oracle.axes)
        oracle = oracle.array
    if dtype is None:
        dtype = found.dtype if isinstance(found, torch.Tensor) else str(np.asarray(found).dtype)
    one, other = _array(found), _array(oracle)
    assert one.shape == other.shape, f"{what} has shape {one.shape}, not {other.shape}"
    kinds = one.dtype.kind, other.dtype.kind
    assert kinds[0] == kinds[1], f"{what} holds {one.dtype}, not {other.dtype}"
    if kinds[1] in "iub":
        wrong = int(np.sum(one != other))
        assert not wrong, f"{what}: {wrong} of {one.size} differ\n{one}\n{other}"
        return
    limit = TOLERANCES[_name(dtype)] if tolerance is None else tolerance
    rounding = ROUNDINGS * torch.finfo(getattr(torch, _name(dtype))).eps * met
    far = distance(one, other, rounding / limit if limit else FLOOR)
    assert far <= limit, (
        f"{what} is off by {far:.3g} of the largest; {limit:.3g} is rounding\n{one}\n{other}"
    )


def distance(found: Array, oracle: Array, floor: float = FLOOR) -> float:
    """max|a - b| / max|oracle|; infinite where one is finite and the other is not."""
    finite = np.isfinite(oracle)
    if not np.array_equal(found[~finite], oracle[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(found[finite]).all():
        return float("inf")
    gap = np.max(np.abs(found[finite] - oracle[finite]), initial=0.0)
    return float(gap / max(np.max(np.abs(oracle[finite]), initial=0.0), floor, FLOOR))


def largest(values: Iterable[NamedArray]) -> float:
    """The largest finite number among floats, but for those that stand for infinity."""
    found = 0.0
    for value in values:
        if value.array.dtype.kind == "f":
            sizes = np.abs(value.array)
            found = max(found, float(np.max(sizes, initial=0.0, where=sizes < MASKS)))
    return found


def rounded(array: Any, dtype: str | torch.dtype) -> Array:
    """The numbers as they are once they are held in that dtype; ints and bools stay."""
    values = _array(array)
    if values.dtype.kind != "f":
        return values
    held = torch.from_numpy(np.array(values, np.float64)).to(getattr(torch, _name(dtype)))
    return held.double().numpy()


def _name(dtype: str | torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _array(value: Any) -> Array:
    """The numbers, floats in float64."""
    if hasattr(value, "tensor"):  # of a trace
        value = value.tensor
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double().numpy() if value.is_floating_point() else value.numpy()
    if isinstance(value, NamedArray):
        value = value.array
    found: Array = np.asarray(value)
    return found.astype(np.float64) if found.dtype.kind == "f" else found
