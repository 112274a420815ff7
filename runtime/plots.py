"""Results as pictures: heat maps, lines and bars, written as PNG."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as count_up
from types import MappingProxyType
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import labels
from .atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import xarray
    from matplotlib.axes import Axes

MOST_TICKS = 24
MOST_NUMBERS = 120  # so many cells of a heat map have their numbers written in
MOST_LINES = 8  # so many lines have a legend, more a colour bar


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axis goes across and which down, and what stands above."""

    x: str | None = None
    y: str | None = None
    title: str = ""


def plot(
    kind: str,
    data: xarray.DataArray,
    path: Path,
    *,
    x: str | None = None,
    y: str | None = None,
    title: str = "",
) -> None:
    """Draw an array of one or two axes and save it; `kind` is one of PLOTS.

    A ValueError says what is wrong with the axes.
    """
    PLOTS[kind](data, path, Layout(x, y, title))


def heatmap(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """Two axes as a picture, or one as a strip; colours are centred at 0 if signs differ."""
    across, down = _two_axes(data, layout)
    grid = data.transpose(*([down] if down else []), across)
    values = np.atleast_2d(grid.values.astype(float))
    rows, columns = values.shape
    size = (np.clip(2.2 + 0.34 * columns, 4, 11), np.clip(1.5 + 0.34 * rows, 2, 9))
    with _drawn(path, layout.title or labels.name(data), size) as axes:
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        low, high, colours = _colours(values)
        cmap = mpl.colormaps[colours].with_extremes(bad="0.85")
        image = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, aspect="auto")
        _ticks(axes, "x", across, labels.coordinates(grid, across))
        if down:
            _ticks(axes, "y", down, labels.coordinates(grid, down))
        else:
            axes.set_yticks([])
        bar = axes.figure.colorbar(image, ax=axes, label=labels.name(data))
        bar.outline.set_visible(False)
        if values.size <= MOST_NUMBERS and columns <= 12:
            _write_numbers(axes, values, low, high)


def line(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """A line along `x`, the last axis if none is named; one for each entry of a second axis."""
    across, by = _two_axes(data, layout)
    with _drawn(path, layout.title or labels.name(data), (6, 3.6)) as axes:
        places = _places(axes, data, across)
        marker = "o" if len(places) <= 24 else None
        lines = data.transpose(*([by] if by else []), across).values.reshape(-1, len(places))
        colours = _line_colours(len(lines))
        names = labels.coordinates(data, by) if by else [""]
        for values, colour, name in zip(lines, colours, names, strict=True):
            axes.plot(places, values, color=colour, marker=marker, markersize=3.5, label=name)
        axes.set_ylabel(labels.name(data))
        axes.margins(x=0.02)
        if by and len(lines) <= MOST_LINES:
            axes.legend(title=by)
        elif by:
            scale = ScalarMappable(Normalize(0, len(lines) - 1), "viridis")
            bar = axes.figure.colorbar(scale, ax=axes, label=by)
            shown = _thinned(len(names), 8)
            bar.set_ticks(shown, labels=[names[place] for place in shown])


def bars(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """A bar for each entry along `x`, the last axis if none is named; of a second axis groups."""
    across, by = _two_axes(data, layout)
    groups = data.transpose(*([by] if by else []), across).values.reshape(-1, data.sizes[across])
    many, count = groups.shape
    width = 0.8 / max(many, 1)
    with _drawn(
        path, layout.title or labels.name(data), (np.clip(2 + 0.3 * groups.size, 4, 11), 3.6)
    ) as axes:
        axes.grid(visible=False, axis="x")
        names = labels.coordinates(data, by) if by else [""]
        for turn, (values, colour) in enumerate(zip(groups, _line_colours(many), strict=True)):
            places = np.arange(count) + (turn - (many - 1) / 2) * width
            axes.bar(places, values.astype(float), width, color=colour, label=names[turn])
        axes.axhline(0, color="0.3", linewidth=0.8)
        _ticks(axes, "x", across, labels.coordinates(data, across))
        axes.set_ylabel(labels.name(data))
        if by:
            axes.legend(title=by, ncols=1 + many // 12)


PLOTS: Mapping[str, Callable[[xarray.DataArray, Path, Layout], None]] = MappingProxyType(
    {"heatmap": heatmap, "line": line, "bars": bars}
)
"""Every kind of plot that a spec may ask for."""


@contextmanager
def _drawn(path: Path, title: str, size: tuple[float, float]) -> Iterator[Axes]:
    """An empty plot to draw in, saved at the end; no window, and nothing left behind."""
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # tokens hold any character there is
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        yield axes
        with replacing(path) as file:
            figure.savefig(file, format="png", metadata={"Software": None})


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlepad": 10,
            "axes.titlesize": "large",
            "axes.titleweight": "bold",
            "figure.dpi": 150,
            "font.size": 9,
            "grid.alpha": 0.4,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "text.parse_math": False,  # a token may be a dollar sign
            "xtick.major.size": 3,
            "ytick.major.size": 3,
        }
    )


def _two_axes(data: xarray.DataArray, layout: Layout) -> tuple[str, str | None]:
    """Which axis goes across, and the other one, if there is one."""
    x, y = layout.x, layout.y
    dims = [str(axis) for axis in data.dims]
    for axis in (x, y):
        if axis is not None and axis not in dims:
            raise ValueError(f"no axis {axis} to plot; there are {', '.join(dims) or 'none'}")
    if x is not None and x == y:
        raise ValueError(f"axis {x} cannot go both ways")
    if not 1 <= len(dims) <= 2 or not data.size:
        shape = ", ".join(f"{axis} = {size}" for axis, size in data.sizes.items())
        raise ValueError(f"a plot shows one or two axes, not an array of [{shape}]")
    rest = [axis for axis in dims if axis not in (x, y)]
    across = x or rest.pop() if x or rest else dims[0]
    others = [axis for axis in dims if axis != across]
    return across, others[0] if others else None


def _colours(values: np.ndarray) -> tuple[float, float, str]:
    """The range of colours and their map: diverging from 0 where signs differ."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0 < high:
        most = max(-low, high)
        return -most, most, "RdBu_r"
    if high <= 0 and low < 0:
        return low, 0.0, "Blues_r"
    return (0.0 if low < 0.5 * high else low), high, "magma"


def _write_numbers(axes: Axes, values: np.ndarray, low: float, high: float) -> None:
    colours = axes.images[0]
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = colours.cmap(colours.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        shown = f"{value:.3g}" if np.isfinite(value) else ""
        colour = "white" if dark else "black"
        axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=6.5)


def _ticks(axes: Axes, side: str, axis: str, names: list[str]) -> None:
    """An axis's name, and as many of its labels as can be read."""
    shown = _thinned(len(names), MOST_TICKS)
    texts = [names[place] for place in shown]
    if side == "x":
        turned = len(shown) * max(map(len, texts)) > 60
        axes.set_xticks(shown, texts, rotation=90 if turned else 0)
        axes.set_xlabel(axis)
    else:
        axes.set_yticks(shown, texts)
        axes.set_ylabel(axis)


def _places(axes: Axes, data: xarray.DataArray, axis: str) -> np.ndarray:
    """Where along x the entries of an axis stand: at their numbers, if they are numbers."""
    values = data[axis].values
    if np.issubdtype(values.dtype, np.number):
        axes.set_xlabel(axis)
        if np.issubdtype(values.dtype, np.integer):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return values
    _ticks(axes, "x", axis, labels.coordinates(data, axis))
    return np.arange(len(values))


def _thinned(count: int, most: int) -> list[int]:
    """At most so many places, a round number of entries apart."""
    steps = (digit * 10**power for power in count_up() for digit in (1, 2, 5))
    step = next(step for step in steps if count <= most * step)
    return list(range(0, count, step))


def _line_colours(count: int) -> list[object]:
    if count <= MOST_LINES:
        return [f"C{place}" for place in range(count)]
    return [mpl.colormaps["viridis"](place / (count - 1)) for place in range(count)]
