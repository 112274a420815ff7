"""Heat maps: one, that of an attention pattern, and one for each head."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np

from .. import labels
from .canvas import drawn, width
from .layout import PANELS, PLANE, Layout, along, placed
from .ticks import MOST_TICKS, MOST_TOKENS, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

MOST_NUMBERS: Final = 120  # so many cells of a heat map have their numbers written in
MOST_PANELS: Final = 576  # 24 layers of 24 heads
IN_A_ROW: Final = 6  # so many panels of one axis stand beside each other, more in several rows
LABELLED: Final = 20  # so many entries along a panel have their labels


@dataclass(frozen=True, slots=True)
class Colours:
    """The range of colours and their map."""

    low: float
    high: float
    map: str


def heatmap(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """Two axes as a picture, or one as a strip; colours are centred at 0 if signs differ."""
    slots = placed(data, layout, PLANE)
    across, down = slots["x"], slots.get("y")
    grid = data.transpose(*([down] if down else []), across)
    values = np.atleast_2d(grid.values.astype(float))
    rows, columns = values.shape
    colours = colours_of(values)
    with drawn(path, (width(columns, 0.34, 4, 11), width(rows, 0.34, 2, 9))) as figure:
        axes = figure.subplots()
        axes.set_title(layout.title_of(data))
        image = _image(axes, values, colours)
        most = MOST_TICKS if layout.tokens is None else MOST_TOKENS
        ticks(axes, "x", across, along(grid, across, layout.tokens), most)
        if down:
            ticks(axes, "y", down, along(grid, down, layout.queries))
        else:
            axes.set_yticks([])
        figure.colorbar(image, ax=axes, label=layout.measured(data)).outline.set_visible(False)
        if values.size <= MOST_NUMBERS and columns <= 12:
            _write_numbers(axes, image, values)


def pattern(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """An attention pattern: queries down, keys across, with the texts of tokens along both."""
    if data.ndim != 2:
        raise ValueError(f"a pattern is of queries and keys, not an array of {data.ndim} axes")
    slots = placed(data, layout, PLANE)
    across, down = slots["x"], slots["y"]
    values = data.transpose(down, across).values.astype(float)
    rows, columns = values.shape
    keys, queries = _texts(data, across, down, layout)
    each = 0.22 if max(rows, columns) > 12 else 0.34
    with drawn(path, (width(columns, each, 3.6, 12), width(rows, each, 3, 11.4))) as figure:
        axes = figure.subplots()
        axes.set_title(layout.title_of(data))
        image = _image(axes, values, _weights(values))
        axes.set_aspect("equal")
        for side, axis, names in (("x", across, keys), ("y", down, queries)):
            ticks(axes, side, axis, names, MOST_TICKS if layout.tokens is None else MOST_TOKENS)
        if layout.tokens is not None:
            axes.tick_params("x", rotation=90)
        bar = figure.colorbar(image, ax=axes, label=layout.measured(data), shrink=0.7)
        bar.outline.set_visible(False)


def heads(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """A heat map for each entry of one or two further axes, all in the same colours: a row of
    panels for each of `rows`, a column for each of `columns`."""
    slots = placed(data, layout, PANELS)
    across, down = slots["x"], slots.get("y")
    rows, columns = slots.get("rows"), slots.get("columns")
    outer = [axis for axis in (rows, columns) if axis is not None]
    inner = [axis for axis in (down, across) if axis is not None]
    grid = data.transpose(*outer, *inner)
    values = grid.values.astype(float).reshape(
        -1, data.sizes[down] if down else 1, data.sizes[across]
    )
    if len(values) > MOST_PANELS:
        raise ValueError(f"at most {MOST_PANELS} panels can be seen, and these are {len(values)}")
    many = data.sizes[outer[-1]]
    if len(outer) == 1 and many > IN_A_ROW:
        many = ceil(sqrt(many * 1.6))
    deep = ceil(len(values) / many)
    keys, queries = _texts(data, across, down, layout)
    each = min(1.5, 11 / many)
    names = [labels.coordinates(data, axis) for axis in outer]
    colours = _weights(values)
    with drawn(path, (max(1.0 + each * many, 4), 0.9 + (each + 0.12) * deep)) as figure:
        panels = figure.subplots(deep, many, squeeze=False)
        figure.suptitle(layout.title_of(data), x=0.01, ha="left", weight="bold", size="large")
        image = None
        for place, axes in enumerate(panels.flat):
            if place >= len(values):
                axes.set_visible(False)
                continue
            image = _image(axes, values[place], colours)
            row, column = divmod(place, many)
            _panel(axes, keys, queries, bottom=place + many >= len(values), left=column == 0)
            if len(outer) == 1:
                axes.set_title(f"{outer[0]} {names[0][place]}", size=6.5, pad=2, weight="normal")
            else:
                if row == 0:
                    heading = f"{columns} {names[1][column]}"
                    axes.set_title(heading, size=6.5, pad=2, weight="normal", loc="center")
                if column == 0:
                    axes.set_ylabel(f"{rows} {names[0][row]}", size=6.5, rotation=90)
        assert image is not None
        bar = figure.colorbar(image, ax=panels, label=layout.measured(data), shrink=0.6, aspect=30)
        bar.outline.set_visible(False)
        figure.supxlabel(f"{across} across, {down} down" if down else across, size=8)


def colours_of(values: np.ndarray) -> Colours:
    """The range of colours and their map: diverging from 0 where signs differ."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0 < high:
        most = max(-low, high)
        return Colours(-most, most, "RdBu_r")
    if high <= 0 and low < 0:
        return Colours(low, 0.0, "Blues_r")
    return Colours(0.0 if low < 0.5 * high else low, high, "magma")


def _weights(values: np.ndarray) -> Colours:
    """Of weights: from white at 0, where none is negative."""
    found = colours_of(values)
    if found.map == "magma":
        return Colours(0.0, max(found.high, 1e-12), "Blues")
    return found


def _texts(
    data: xarray.DataArray, across: str, down: str | None, layout: Layout
) -> tuple[list[str], list[str]]:
    """What stands along the keys and along the queries: tokens are along both."""
    keys = along(data, across, layout.tokens)
    queries = layout.tokens if layout.queries is None else layout.queries
    return keys, along(data, down, queries) if down else [""]


def _image(axes: Axes, values: np.ndarray, colours: Colours) -> AxesImage:
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    cmap = mpl.colormaps[colours.map].with_extremes(bad="0.85")
    return axes.imshow(
        values,
        cmap=cmap,
        vmin=colours.low,
        vmax=colours.high,
        aspect="auto",
        interpolation="none",  # cells stay sharp at any size
    )


def _panel(
    axes: Axes, keys: Sequence[str], queries: Sequence[str], *, bottom: bool, left: bool
) -> None:
    """Labels at the outer panels alone, and only where they can be read."""
    axes.spines[:].set(visible=True, linewidth=0.4)
    for side, names, shown in (("x", keys, bottom), ("y", queries, left)):
        put = axes.set_xticks if side == "x" else axes.set_yticks
        if shown and len(names) <= LABELLED and names != [""]:
            put(range(len(names)), names, fontsize=5)
        else:
            put([])
    axes.tick_params(length=1.5, width=0.4, pad=1)
    axes.tick_params("x", rotation=90)


def _write_numbers(axes: Axes, image: AxesImage, values: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        shown = f"{value:.3g}" if np.isfinite(value) else ""
        colour = "white" if dark else "black"
        axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=6.5)
