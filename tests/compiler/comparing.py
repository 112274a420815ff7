"""How results of the oracle are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.compiler.reference import NamedArray


def assert_same(
    found: Sequence[NamedArray], wanted: Sequence[NamedArray], tolerance: float = 1e-9
) -> None:
    """Equal axes, dtypes and numbers, up to rounding relative to the largest."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.sizes == other.sizes
        assert one.array.dtype == other.array.dtype
        want = other.arranged(one.axes).astype(float)
        largest = np.max(np.abs(want[np.isfinite(want)]), initial=1e-30)
        np.testing.assert_allclose(one.array.astype(float), want, 0, tolerance * largest)
