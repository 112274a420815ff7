from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from neuraxis.dsl.core import Axis
from neuraxis.dsl.diagnostics import Slug
from neuraxis.dsl.signatures import FieldSignature
from neuraxis.dsl.sizes import symbol
from neuraxis.runtime.data import DataError, load_data

if TYPE_CHECKING:
    from pathlib import Path


def field(name: str, kind: str, *axes: str) -> FieldSignature:
    return FieldSignature(name, tuple(Axis(axis, symbol(axis)) for axis in ("b", *axes)), kind)


X = field("x", "float", "t", "n")
LABEL = field("label", "int")
ARRAYS = {
    "x": np.arange(24, dtype=np.float64).reshape(4, 3, 2),
    "label": np.arange(4, dtype=np.int16),
    "other": np.zeros(3),
}


def test_npy_is_the_one_field(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAYS["x"])
    data = load_data("npy", {"path": "x.npy"}, tmp_path, 0, [X])
    assert data["x"].axes == ("b", "t", "n")
    assert data["x"].values.dtype == np.float32
    assert np.array_equal(data["x"].values, ARRAYS["x"])
    with pytest.raises(DataError, match="one field"):
        load_data("npy", {"path": "x.npy"}, tmp_path, 0, [X, LABEL])


@pytest.mark.parametrize("source", ["npz", "safetensors"])
def test_arrays_are_found_by_name(tmp_path: Path, source: str) -> None:
    if source == "npz":
        np.savez(tmp_path / "x.npz", **ARRAYS)
    else:
        save_file(ARRAYS, tmp_path / "x.safetensors")
    options = {"path": f"x.{source}"}
    data = load_data(source, options, tmp_path, 0, [X, LABEL])
    assert set(data.columns) == {"x", "label"}
    assert data["label"].values.dtype == np.int64
    with pytest.raises(DataError, match="holds no `labels`") as caught:
        load_data(source, options, tmp_path, 0, [field("labels", "int")])
    assert caught.value.slug is Slug.UNKNOWN_FIELD
    assert caught.value.hint == "did you mean `label`?"
    with pytest.raises(DataError, match="`x` is float with axes b, t, not float64 of shape"):
        load_data(source, options, tmp_path, 0, [field("x", "float", "t")])
    with pytest.raises(DataError, match="`x` is int"):
        load_data(source, options, tmp_path, 0, [field("x", "int", "t", "n")])
    with pytest.raises(DataError, match="axis b has size 3 in other, 4 elsewhere"):
        load_data(source, options, tmp_path, 0, [LABEL, field("other", "float")])


def test_no_array_of_objects_is_unpacked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    for source in ("npy", "npz"):
        with pytest.raises(DataError, match="file of numbers"):
            load_data(source, {"path": f"x.{source}"}, tmp_path, 0, [field("x", "float")])


@pytest.mark.parametrize("source", ["npy", "npz", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 torn", b"\x93NUMPY torn"])
def test_a_torn_file_is_said_plainly(tmp_path: Path, source: str, content: bytes) -> None:
    (tmp_path / f"x.{source}").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_data(source, {"path": f"x.{source}"}, tmp_path, 0, [field("x", "float")])
    assert caught.value.slug is Slug.BAD_FILE


def test_a_header_that_promises_too_much_is_said_plainly(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    torn = (tmp_path / "x.npy").read_bytes().replace(b"(3,)", b"(9999999999999,)", 1)
    (tmp_path / "x.npy").write_bytes(torn)
    with pytest.raises(DataError, match=r"no \.npy file"):
        load_data("npy", {"path": "x.npy"}, tmp_path, 0, [field("x", "float")])


def test_npz_and_npy_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "many.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="holds several arrays"):
        load_data("npy", {"path": "many.npz"}, tmp_path, 0, [field("x", "float")])
    with pytest.raises(DataError, match="holds one array"):
        load_data("npz", {"path": "one.npy"}, tmp_path, 0, [field("x", "float")])
