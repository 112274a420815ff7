from __future__ import annotations

import numpy as np
import pytest
import xarray

from neuraxis.runtime import labels


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.1235"),
        (1.0, "1.000"),
        (1234.6, "1235"),
        (np.float32(0.5), "0.5000"),
        (-0.00001234, "-1.234e-05"),
        (1.5e20, "1.500e+20"),
        (0.0, "0"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (12345678, "12345678"),
        (np.int64(3), "3"),
        (True, "true"),
        (np.bool_(False), "false"),
        ("text", "text"),
    ],
)
def test_numbers_have_four_digits(value: object, shown: str) -> None:
    assert labels.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\nb\t", "a\\nb\\t"), (" Mary", " Mary"), (0.25, "0.25"), ("x" * 30, "x" * 19 + "…")],
)
def test_texts_stand_on_one_line(value: object, shown: str) -> None:
    assert labels.text(value) == shown


def test_an_axis_without_labels_has_positions() -> None:
    data = xarray.DataArray(np.zeros((2, 2)), dims=("t", "d"), coords={"d": ["x", "y"]})
    assert labels.coordinates(data, "t") == ["0", "1"]
    assert labels.coordinates(data, "d") == ["x", "y"]
    assert labels.name(data) == ""
