"""Results on disk: arrays with named axes, as netCDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xarray

from .atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENGINE: Final = "h5netcdf"


def together(arrays: Mapping[str, xarray.DataArray]) -> xarray.Dataset:
    """Arrays as one data set. An axis that is another in an earlier array, by its size or by what
    stands along it, or is called like an array, has the name of its own array in front."""
    labels = [in_file(label) for label in arrays]
    known: dict[str, list[object]] = {}
    found = {}
    for label, array in zip(labels, arrays.values(), strict=True):
        clash = {}
        for axis in map(str, array.dims):
            along = array[axis].values.tolist()
            if axis in labels or known.setdefault(axis, along) != along:
                clash[axis] = f"{label}.{axis}"
        found[label] = array.rename(clash).rename(label)
    return xarray.Dataset(found)


def in_file(label: str) -> str:
    """What an array is called in a file, which takes `/` for a folder."""
    return label.replace("/", " over ")


def in_text(text: str) -> str:
    """A text as a file can hold it, which ends one at a byte 0."""
    return text.replace("\0", "\ufffd")


def save(dataset: xarray.Dataset, path: Path) -> None:
    """Write a data set to a netCDF file, which is there whole or not at all."""
    with replacing(path) as file:
        dataset.to_netcdf(file, engine=ENGINE)


def load(path: Path) -> xarray.Dataset:
    """Read a data set into memory; the file may change afterwards."""
    with xarray.open_dataset(path, engine=ENGINE) as opened:
        return opened.load()
