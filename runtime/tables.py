"""Results as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from . import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray

GAP = "…"
BETWEEN = 3  # characters from one column to the next


def table(
    data: xarray.DataArray, *, title: str = "", width: int = 80, most_rows: int = 24
) -> Table:
    """A table of an array: one number, a column, or rows by columns; of more axes a summary.

    What is too long for `most_rows` or too wide for `width` characters is left out in the middle.
    """
    name = labels.name(data)
    title = title or (name if data.ndim else "")
    if data.dtype.kind == "U":
        return _texts(data, name, most_rows)
    match data.ndim:
        case 0:
            lines = [["", "value"], [name, labels.number(data.item())]]
        case 1:
            lines = _column(data, most_rows)
        case 2:
            lines = _grid(data, most_rows, width)
        case _:
            lines = _summary(data)
    made = Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=data.ndim > 0,
    )
    first, *others = lines[0]
    made.add_column(Text(first), no_wrap=True, style="bold")
    for label in others:
        made.add_column(Text(label), no_wrap=True, justify="right")
    for line in lines[1:]:
        made.add_row(*map(Text, line))
    return made


def _texts(data: xarray.DataArray, title: str, most: int) -> Table:
    """A row for each text: where it stands, and the whole of it."""
    made = Table(
        title=Text(title, style="bold") if data.ndim else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=data.ndim > 0,
    )
    for axis in map(str, data.dims or ("",)):
        made.add_column(Text(axis), no_wrap=True, style="bold")
    made.add_column(Text("text"))
    if not data.ndim:
        made.add_row(Text(title), Text(labels.spelt(str(data.item()))))
        return made
    places = list(np.ndindex(data.shape))
    for row in _shown(len(places), most):
        if row is None:
            made.add_row(*[GAP] * (data.ndim + 1))
            continue
        names = [
            labels.text(data[axis].values[at])
            for axis, at in zip(data.dims, places[row], strict=True)
        ]
        made.add_row(*map(Text, [*names, labels.spelt(str(data.values[places[row]]))]))
    return made


def _column(data: xarray.DataArray, most: int) -> list[list[str]]:
    (axis,) = map(str, data.dims)
    lines = [[axis, labels.name(data) or "value"]]
    for place in _shown(data.size, most):
        if place is None:
            lines.append([GAP, GAP])
        else:
            name, value = data[axis].values[place], data.values[place]
            lines.append([labels.text(name), labels.number(value)])
    return lines


def _grid(data: xarray.DataArray, most_rows: int, width: int) -> list[list[str]]:
    rows = _shown(data.shape[0], most_rows)
    most = min(data.shape[1], max(width // (1 + BETWEEN), 2))
    while True:
        lines = _cells(data, rows, _shown(data.shape[1], most))
        widths = [max(map(len, column)) + BETWEEN for column in zip(*lines, strict=True)]
        if sum(widths) - BETWEEN <= width or most <= 2:
            return lines
        most -= 1


def _cells(
    data: xarray.DataArray, rows: Sequence[int | None], columns: Sequence[int | None]
) -> list[list[str]]:
    down, across = map(str, data.dims)
    row_names, column_names = data[down].values, data[across].values
    header = [GAP if column is None else labels.text(column_names[column]) for column in columns]
    lines = [[f"{down} \\ {across}", *header]]
    for row in rows:
        if row is None:
            lines.append([GAP] * (len(columns) + 1))
        else:
            lines.append([labels.text(row_names[row]), *_numbers(data.values[row], columns)])
    return lines


def _numbers(values: np.ndarray, columns: Sequence[int | None]) -> list[str]:
    return [GAP if column is None else labels.number(values[column]) for column in columns]


def _summary(data: xarray.DataArray) -> list[list[str]]:
    shape = ", ".join(f"{axis} = {size}" for axis, size in data.sizes.items())
    values = {"min": data.min(), "mean": data.mean(), "max": data.max()} if data.size else {}
    return [["axes", *values], [shape, *(labels.number(value.item()) for value in values.values())]]


def _shown(count: int, most: int) -> list[int | None]:
    """Which of so many to show; None where the others are left out."""
    if count <= most:
        return list(range(count))
    first = most // 2
    return [*range(first), None, *range(count - (most - first - 1), count)]
