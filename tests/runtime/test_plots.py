from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib.image import imread

from neuraxis.runtime.plots import PLOTS, Layout, _colours, _thinned, _two_axes, plot

if TYPE_CHECKING:
    from pathlib import Path


def grid(rows: int = 4, columns: int = 6) -> xarray.DataArray:
    values = np.random.default_rng(0).normal(size=(rows, columns))
    names = [f" ${place}$ 語\n" for place in range(columns)]
    return xarray.DataArray(values, dims=("layer", "p"), coords={"p": names}, name="effect")


@pytest.mark.parametrize("kind", list(PLOTS))
@pytest.mark.parametrize(
    "data",
    [
        grid(),
        grid(1, 1),
        grid(30, 60),
        grid()[0],
        grid()[:, 0],
        grid().where(grid() > 0),
        grid() * np.nan,
        grid() > 0,
        abs(grid()) + 5,
        xarray.DataArray(np.zeros(3), dims="t"),
        xarray.DataArray(np.arange(5), dims="gamma", coords={"gamma": [0, 0.5, 1, 65, 70]}),
    ],
    ids=lambda data: "x".join(map(str, data.shape)),
)
def test_any_numbers_are_drawn(tmp_path: Path, kind: str, data: xarray.DataArray) -> None:
    path = tmp_path / "plots" / "x.png"
    plot(kind, data, path, title="What is it? $x$")
    height, width, channels = imread(path).shape
    assert 200 < height < 2000
    assert 400 < width < 2000
    assert channels == 4
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


@pytest.mark.parametrize("kind", list(PLOTS))
def test_the_same_numbers_are_the_same_bytes(tmp_path: Path, kind: str) -> None:
    before = dict(mpl.rcParams)
    for name in "ab":
        plot(kind, grid(), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert dict(mpl.rcParams) == before


def test_axes_go_where_they_are_asked_to() -> None:
    assert _two_axes(grid(), Layout()) == ("p", "layer")
    assert _two_axes(grid(), Layout(x="layer")) == ("layer", "p")
    assert _two_axes(grid(), Layout(y="p")) == ("layer", "p")
    assert _two_axes(grid(), Layout(x="p", y="layer")) == ("p", "layer")
    assert _two_axes(grid()[0], Layout()) == ("p", None)
    assert _two_axes(grid()[0], Layout(y="p")) == ("p", None)


@pytest.mark.parametrize(
    ("data", "layout", "message"),
    [
        (grid(), Layout(x="q"), "no axis q to plot; there are layer, p"),
        (grid(), Layout(x="p", y="p"), "axis p cannot go both ways"),
        (xarray.DataArray(1.0), Layout(), r"not an array of \[\]"),
        (grid().expand_dims("s"), Layout(), "s = 1, layer = 4, p = 6"),
        (grid()[:0], Layout(), "layer = 0"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    tmp_path: Path, data: xarray.DataArray, layout: Layout, message: str
) -> None:
    for draw in PLOTS.values():
        with pytest.raises(ValueError, match=message):
            draw(data, tmp_path / "x.png", layout)
    assert not list(tmp_path.iterdir())


def test_colours_are_centred_where_signs_differ() -> None:
    assert _colours(np.array([-1.0, 3.0])) == (-3, 3, "RdBu_r")
    assert _colours(np.array([0.1, 3.0]))[:2] == (0, 3)
    assert _colours(np.array([10.0, 11.0]))[:2] == (10, 11)
    assert _colours(np.array([-2.0, -1.0]))[:2] == (-2, 0)
    assert _colours(np.array([np.nan]))[:2] == (0, 1)


def test_ticks_stand_a_round_number_apart() -> None:
    assert _thinned(5, 24) == [0, 1, 2, 3, 4]
    assert _thinned(200, 24) == list(range(0, 200, 10))
    assert _thinned(0, 24) == []
