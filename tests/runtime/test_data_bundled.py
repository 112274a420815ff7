from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuraxis.runtime.data import load_data


def test_digits_are_images_from_0_to_1() -> None:
    data = load_data("digits", {"held": 0.2}, Path(), 0)
    assert data.held is not None
    assert (len(data), len(data.held)) == (1438, 359)
    image = data["image"].values
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0, 1)
    assert set(data["label"].values) == set(range(10))


@pytest.mark.parametrize(
    ("source", "examples", "classes"),
    [("iris", 150, 3), ("wine", 178, 3), ("breast_cancer", 569, 2)],
)
def test_tables_have_features_and_a_label(source: str, examples: int, classes: int) -> None:
    data = load_data(source, {"held": 0.0}, Path(), 0)
    assert len(data) == examples
    assert set(data["label"].values) == set(range(classes))


def test_what_is_standardised_by_is_not_learnt_from_what_is_held() -> None:
    plain = load_data("wine", {}, Path(), 0)
    data = load_data("wine", {"standard": True}, Path(), 0)
    assert plain.held is not None
    assert data.held is not None
    assert np.allclose(data["x"].values.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(data["x"].values.std(axis=0), 1, atol=1e-5)
    assert not np.allclose(data.held["x"].values.mean(axis=0), 0, atol=1e-2)
    mean, deviation = plain["x"].values.mean(axis=0), plain["x"].values.std(axis=0)
    expected = (plain.held["x"].values - mean) / deviation
    assert np.allclose(data.held["x"].values, expected, atol=1e-3)
