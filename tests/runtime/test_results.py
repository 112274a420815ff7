from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuraxis.runtime.atomic import replacing
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load, save

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = [np.float32, np.float64, np.int64, np.int32, np.bool_]


def example() -> xarray.Dataset:
    effect = xarray.DataArray(
        np.arange(6.0).reshape(2, 3),
        dims=("layer", "n'"),
        coords={"layer": [3, 7], "n'": [" Mary", "née\n", "$"]},
        attrs={"spec": "tour", "seed": 0},
    )
    return xarray.Dataset({"effect": effect, "layer[3].attn.z": ("t", [True, False])})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(example(), tmp_path / "new" / "result.nc")
    xarray.testing.assert_identical(load(tmp_path / "new" / "result.nc"), example())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_dims=3))
    )
)
def test_any_numbers_come_back_as_they_were(tmp_path: Path, values: np.ndarray) -> None:
    dataset = xarray.Dataset({"x": ([f"a{place}" for place in range(values.ndim)], values)})
    save(dataset, tmp_path / "x.nc")
    back = load(tmp_path / "x.nc")["x"]
    assert back.dtype == values.dtype
    assert np.array_equal(back.values, values, equal_nan=values.dtype.kind == "f")


def test_a_result_can_be_replaced_while_it_is_in_use(tmp_path: Path) -> None:
    save(example(), tmp_path / "x.nc")
    loaded = load(tmp_path / "x.nc")
    save(example() + 1, tmp_path / "x.nc")
    assert loaded["effect"].values[0, 0] == 0


def test_a_result_is_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    save(example(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="bad"):
        save(example().assign(bad=((), object())), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "x.txt") as file:
            file.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_text_with_a_byte_0_is_kept(tmp_path: Path) -> None:
    text = """
data words = npz("words.npz"): tokens[t]: int

experiment e on words:
    show text(words.tokens)
"""
    np.savez(tmp_path / "words.npz", tokens=np.array([[104, 0, 105], [0, 0, 0]]))
    Program.from_text(text, folder=tmp_path).run("e", folder=tmp_path)
    kept = load(tmp_path / "e" / "e.nc")["text(words.tokens)"]
    assert kept.values.tolist() == ["h\ufffdi", "\ufffd" * 3]
