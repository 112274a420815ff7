"""Arrays as tables of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .. import labels

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray

MOST_ROWS: Final = 300
MOST_COLUMNS: Final = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, and what rows are sorted by: a number, or the text."""

    text: str
    key: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first `names` cells of a row say what it is. `note` says what is left out."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    names: int
    note: str = ""


def sheet(data: xarray.DataArray) -> Sheet:
    """An array as a table: of two axes one down and one across; of more, or of texts, a row for
    each entry."""
    title = str(data.name or "")
    dims = [_short(str(axis), title) for axis in data.dims]
    if data.dtype.kind in "US" or data.ndim != 2:
        return _entries(data, title, dims)
    return _grid(data, title, dims)


def summary(arrays: Iterable[xarray.DataArray]) -> Sheet:
    """All values: their axes, the least, mean and largest."""
    rows = []
    for data in arrays:
        title = str(data.name or "")
        axes = ", ".join(f"{_short(str(a), title)} = {size}" for a, size in data.sizes.items())
        found: list[object] = ["", "", ""]
        if data.size and data.dtype.kind in "biuf":
            values = data.values.astype(float)
            shown = values[np.isfinite(values)]
            if shown.size:
                found = [shown.min(), shown.mean(), shown.max()]
        rows.append((_text(title), _text(axes or "one number"), *map(cell, found)))
    head = ("value", "axes", "least", "mean", "largest")
    return Sheet("All values", head, tuple(rows), 1)


def cell(value: object) -> Cell:
    """A number to four digits, or a text."""
    if isinstance(value, bool | np.bool_ | int | float | np.integer | np.floating):
        return Cell(labels.number(value), repr(float(value)), is_number=True)
    return _text(labels.spelt(str(value)))


def _name(value: object) -> Cell:
    """What stands along an axis, in short."""
    if isinstance(value, str | bool | np.bool_):
        return cell(value)
    return Cell(labels.text(value), cell(value).key, is_number=True)


def _text(text: str) -> Cell:
    return Cell(text, text, is_number=False)


def _grid(data: xarray.DataArray, title: str, dims: list[str]) -> Sheet:
    down, across = (data[axis].values for axis in data.dims)
    head = (f"{dims[0]} \\ {dims[1]}", *map(labels.text, across[:MOST_COLUMNS]))
    rows = tuple(
        (_name(name), *map(cell, values[:MOST_COLUMNS]))
        for name, values in zip(down[:MOST_ROWS], data.values, strict=False)
    )
    left = [
        f"the first {most} of {len(along)} along {axis}"
        for axis, along, most in zip(dims, (down, across), (MOST_ROWS, MOST_COLUMNS), strict=True)
        if len(along) > most
    ]
    return Sheet(title, head, rows, 1, ", ".join(left))


def _entries(data: xarray.DataArray, title: str, dims: list[str]) -> Sheet:
    rows: list[tuple[Cell, ...]] = []
    for place in np.ndindex(data.shape):
        if len(rows) == MOST_ROWS:
            break
        names = [data[axis].values[at] for axis, at in zip(data.dims, place, strict=True)]
        rows.append((*map(_name, names), cell(data.values[place])))
    note = f"the first {MOST_ROWS} of {data.size} entries" if data.size > MOST_ROWS else ""
    return Sheet(title, (*dims, title or "value"), tuple(rows), len(dims), note)


def _short(axis: str, title: str) -> str:
    """An axis without the name of its array, which a file puts in front where axes clash."""
    return axis.removeprefix(f"{title}.")
