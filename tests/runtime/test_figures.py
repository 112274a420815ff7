from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib.image import imread

from neuraxis.dsl.figures import FIGURES
from neuraxis.runtime.figures import DRAW, Layout, draw, layout_of
from neuraxis.runtime.figures.grids import Colours, colours_of
from neuraxis.runtime.figures.layout import PANELS, PLANE, placed, spread, thinned

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def grid(rows: int = 4, columns: int = 6) -> xarray.DataArray:
    values = np.random.default_rng(0).normal(size=(rows, columns))
    names = [f" ${place}$ 語\n" for place in range(columns)]
    return xarray.DataArray(values, dims=("layer", "p"), coords={"p": names}, name="effect")


def deep(*sizes: int) -> xarray.DataArray:
    values = np.random.default_rng(1).random(sizes)
    return xarray.DataArray(values, dims=("layer", "h", "t", "s")[-len(sizes) :], name="pattern")


def texts(file: Path) -> list[str]:
    """All texts of an SVG."""
    found = ElementTree.parse(file).getroot().iter(f"{SVG}text")
    return ["".join(text.itertext()).strip() for text in found]


def looks_well(path: Path) -> None:
    """Both files are there, and nothing else; the picture is of a size that can be seen."""
    assert sorted(file.name for file in path.parent.iterdir()) == [
        f"{path.name}.png",
        f"{path.name}.svg",
    ]
    height, width, channels = imread(path.with_suffix(".png")).shape
    assert 200 < height < 2200
    assert 400 < width < 2200
    assert channels == 4
    root = ElementTree.parse(path.with_suffix(".svg")).getroot()
    assert root.tag == f"{SVG}svg"


FLAT = ["heatmap", "line", "bars"]
SHAPES = {
    "heatmap": grid(),
    "line": grid(),
    "bars": grid(),
    "pattern": deep(5, 6),
    "heads": deep(2, 3, 5, 6),
    "circuit": grid(),
}


def layout(kind: str, title: str = "") -> Layout:
    sides = (("layer",), ("p",)) if kind == "circuit" else ((), ())
    return Layout(title=title, senders=sides[0], receivers=sides[1])


def test_every_kind_that_a_spec_may_ask_for_is_drawn() -> None:
    assert list(DRAW) == list(FIGURES) == [*sorted(SHAPES, key=list(FIGURES).index)]


@pytest.mark.parametrize("kind", FLAT)
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
    path = tmp_path / "plots" / "x"
    assert draw(kind, data, path, Layout(title="What is it? $x$")) == (
        path.with_suffix(".svg"),
        path.with_suffix(".png"),
    )
    looks_well(path)


@pytest.mark.parametrize("kind", list(DRAW))
def test_the_same_numbers_are_the_same_bytes(tmp_path: Path, kind: str) -> None:
    before = dict(mpl.rcParams)
    for name in "ab":
        draw(kind, SHAPES[kind], tmp_path / name, layout(kind, "<What>?"))
    for suffix in ("png", "svg"):
        files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab"]
        assert files[0] == files[1]
    assert "<What>?" in texts(tmp_path / "a.svg")
    assert dict(mpl.rcParams) == before


def test_axes_go_where_they_are_asked_to() -> None:
    def two(data: xarray.DataArray, layout: Layout) -> tuple[str, str | None]:
        slots = placed(data, layout, PLANE)
        return slots["x"], slots.get("y")

    assert two(grid(), Layout()) == ("p", "layer")
    assert two(grid(), Layout(x="layer")) == ("layer", "p")
    assert two(grid(), Layout(y="p")) == ("layer", "p")
    assert two(grid(), Layout(x="p", y="layer")) == ("p", "layer")
    assert two(grid()[0], Layout()) == ("p", None)
    assert two(grid()[0], Layout(y="p")) == ("p", None)
    assert two(grid(), Layout(written="p")) == ("layer", "p")  # queries go down
    four = placed(deep(2, 3, 5, 6), Layout(columns="layer", x="t"), PANELS)
    assert four == {"x": "t", "y": "s", "columns": "layer", "rows": "h"}
    assert placed(deep(3, 5, 6), Layout(), PANELS) == {"x": "s", "y": "t", "columns": "h"}


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
    for kind in FLAT:
        with pytest.raises(ValueError, match=message):
            DRAW[kind](data, tmp_path / "x", layout)
    assert not list(tmp_path.iterdir())


def test_colours_are_centred_where_signs_differ() -> None:
    assert colours_of(np.array([-1.0, 3.0])) == Colours(-3, 3, "RdBu_r")
    found = [colours_of(np.array(values)) for values in ([0.1, 3], [10, 11], [-2, -1], [np.nan])]
    assert [(own.low, own.high) for own in found] == [(0, 3), (10, 11), (-2, 0), (0, 1)]


def test_ticks_stand_a_round_number_apart() -> None:
    assert thinned(5, 24) == [0, 1, 2, 3, 4]
    assert thinned(200, 24) == list(range(0, 200, 10))
    assert thinned(0, 24) == []


# ---- how far numbers may be off


def test_how_far_numbers_may_be_off() -> None:
    data, error = grid(), abs(grid()[0])
    assert spread(data, Layout()) is None
    below, above = spread(data, Layout(error=error)) or ()
    assert np.array_equal(below, above)
    assert np.array_equal(below, np.broadcast_to(error, data.shape))
    below, above = spread(data, Layout(low=data - 1, high=data + 2)) or ()
    np.testing.assert_allclose(below, 1)
    np.testing.assert_allclose(above, 2)
    below, above = spread(data, Layout(low=data + 1)) or ()  # an end on the wrong side is none
    assert not below.any()
    assert not above.any()


@pytest.mark.parametrize("kind", ["line", "bars"])
@pytest.mark.parametrize("data", [grid(), grid()[0]], ids=["two", "one"])
def test_errors_are_drawn(tmp_path: Path, kind: str, data: xarray.DataArray) -> None:
    draw(kind, data, tmp_path / "with" / "x", Layout(error=abs(data) / 3))
    draw(kind, data, tmp_path / "without" / "x", Layout())
    looks_well(tmp_path / "with" / "x")
    sizes = [(tmp_path / at / "x.svg").stat().st_size for at in ("with", "without")]
    assert sizes[0] > sizes[1]


# ---- tokens


WORDS = ["The", " cat", " ", "<b>", "$x$", "\n"]
SHOWN = ["The", "␣cat", "␣", "<b>", "$x$", "\\n"]


def test_tokens_stand_along_both_axes_of_a_pattern(tmp_path: Path) -> None:
    data = deep(6, 6)
    draw("pattern", data, tmp_path / "x", Layout(tokens=WORDS, written="t", title="Head"))
    looks_well(tmp_path / "x")
    found = texts(tmp_path / "x.svg")
    assert all(found.count(text) == 2 for text in SHOWN)
    layout = Layout(tokens=WORDS, queries=["one", "two"])
    draw("pattern", data[:2], tmp_path / "x", layout)
    found = texts(tmp_path / "x.svg")
    assert all(found.count(text) == 1 for text in [*SHOWN, "one", "two"])
    with pytest.raises(ValueError, match="there are 6 tokens for 2 positions of t"):
        draw("pattern", data[:2], tmp_path / "x", Layout(tokens=WORDS))


def test_tokens_stand_across_other_figures(tmp_path: Path) -> None:
    data = grid().drop_vars("p")
    for kind in FLAT:
        draw(kind, data, tmp_path / "x", Layout(tokens=WORDS))
        assert [text for text in texts(tmp_path / "x.svg") if text in SHOWN] == SHOWN


def test_an_attention_of_many_tokens_is_drawn(tmp_path: Path) -> None:
    words = [f" w{place}" for place in range(300)]
    draw("pattern", deep(300, 300), tmp_path / "x", Layout(tokens=words, written="t"))
    looks_well(tmp_path / "x")


# ---- panels


@pytest.mark.parametrize("sizes", [(2, 3, 5, 6), (8, 9, 4, 4), (7, 5, 5), (2, 1, 30, 40)])
def test_heads_have_a_panel_each(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    data = deep(*sizes)
    draw("heads", data, tmp_path / "x", Layout(title="Heads"))
    looks_well(tmp_path / "x")
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    assert len(list(root.iter(f"{SVG}image"))) == np.prod(sizes[:-2]) + 1  # and the colour bar


def test_what_has_too_few_axes_or_too_many_panels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a plot shows three or four axes"):
        draw("heads", deep(3, 4), tmp_path / "x")
    with pytest.raises(ValueError, match="at most 576 panels can be seen, and these are 600"):
        draw("heads", deep(20, 30, 2, 2), tmp_path / "x")
    with pytest.raises(ValueError, match="a pattern is of queries and keys"):
        draw("pattern", deep(2, 3, 4), tmp_path / "x")


def test_options_of_a_spec_are_a_layout() -> None:
    values = {"e": grid(), "text(w)": xarray.DataArray(["a", "b"], dims="t")}
    options = {"kind": "line", "x": "p", "error": "e", "tokens": "text(w)", "most": "3.0"}
    found = layout_of(options, values, "label")
    assert (found.x, found.y, found.title, found.most) == ("p", None, "label", 3)
    assert found.error is values["e"]
    assert (found.tokens, found.written) == (["a", "b"], "t")
