from __future__ import annotations

import io
import re

import numpy as np
import pytest
import xarray
from rich.console import Console

from neuraxis.runtime.tables import table


def shown(data: xarray.DataArray, *, width: int = 80, title: str = "", most_rows: int = 24) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table(data, title=title, width=width, most_rows=most_rows))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def test_one_number() -> None:
    assert shown(xarray.DataArray(0.12345, name="loss")) == "loss   0.1235\n"


def test_a_column() -> None:
    data = xarray.DataArray([1.5, -2.0], dims="t", coords={"t": ["[b]x", "\n"]}, name="effect")
    assert shown(data) == (
        "effect\n"  # the name
        "t      effect\n"
        "─────────────\n"
        "[b]x    1.500\n"
        "\\n     -2.000\n"
    )


def test_texts_are_shown_whole() -> None:
    data = xarray.DataArray(["def f():\n    return 1", "[b]"], dims="b", name="text(a)")
    assert shown(data, width=60).splitlines() == [
        "text(a)",
        "b   text",
        "─" * 26,
        "0   def f():\\n    return 1",
        "1   [b]",
    ]
    assert shown(xarray.DataArray("one", name="text(a)")) == "text(a)   one\n"
    many = xarray.DataArray(np.full((3, 3), "x"), dims=["b", "p"])
    assert [line.split()[0] for line in shown(many, most_rows=4).splitlines()[-4:]] == [
        "0",
        "0",
        "…",
        "2",
    ]


def test_a_long_column_is_cut_in_the_middle() -> None:
    text = shown(xarray.DataArray(np.arange(100), dims="t"), most_rows=5)
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["0", "1", "…", "98", "99"]


def test_rows_by_columns() -> None:
    data = xarray.DataArray(
        [[1, 2], [3, 4]], dims=("layer", "h"), coords={"layer": [5, 6]}, name="n"
    )
    assert shown(data, title="Heads") == (
        "Heads\nlayer \\ h   0   1\n─────────────────\n5           1   2\n6           3   4\n"
    )


@pytest.mark.parametrize("width", [40, 57, 80, 200])
@pytest.mark.parametrize("columns", [3, 12, 1000])
def test_a_wide_table_fits(width: int, columns: int) -> None:
    values = np.random.default_rng(0).normal(size=(40, columns)) * 1e-5
    text = shown(xarray.DataArray(values, dims=("row", "column")), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[-1].split()[0] == "39"
    cells = {cell for line in lines[2:] for cell in line.split()[1:]}
    assert all(cell == "…" or "e-" in cell for cell in cells)  # no number is cut


def test_more_axes_are_summed_up() -> None:
    data = xarray.DataArray(np.arange(24.0).reshape(2, 3, 4), dims=("a", "b", "c"))
    line = shown(data).splitlines()[-1]
    assert re.split(r"\s{2,}", line) == ["a = 2, b = 3, c = 4", "0", "11.50", "23.00"]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 1, 2)])
def test_nothing_is_a_table_too(shape: tuple[int, ...]) -> None:
    assert shown(xarray.DataArray(np.zeros(shape), name="none"))
