"""Results on disk: arrays with named axes, as netCDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xarray

from .atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

ENGINE: Final = "h5netcdf"


def save(dataset: xarray.Dataset, path: Path) -> None:
    """Write a data set to a netCDF file, which is there whole or not at all."""
    with replacing(path) as file:
        dataset.to_netcdf(file, engine=ENGINE)


def load(path: Path) -> xarray.Dataset:
    """Read a data set into memory; the file may change afterwards."""
    with xarray.open_dataset(path, engine=ENGINE) as opened:
        return opened.load()
