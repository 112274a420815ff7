"""Lines and bars, with how far their numbers may be off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from .. import labels
from .canvas import FAINT, INK, drawn, width
from .layout import PLANE, Layout, along, placed, spread, thinned
from .ticks import MOST_LINES, MOST_TOKENS, line_colours, places, ticks

if TYPE_CHECKING:
    from pathlib import Path

    import xarray


def line(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """A line along `x`, the last axis if none is named; one for each entry of a second axis. How
    far numbers may be off is a band."""
    across, by, rows, bands = _rows(data, layout)
    with drawn(path, (6, 3.6)) as figure:
        axes = figure.subplots()
        axes.set_title(layout.title_of(data))
        at = places(axes, data, across, layout.tokens)
        marker = "o" if len(at) <= 24 else None
        names = labels.coordinates(data, by) if by else [""]
        colours = line_colours(len(rows))
        for turn, (values, colour) in enumerate(zip(rows, colours, strict=True)):
            axes.plot(at, values, color=colour, marker=marker, markersize=3.5, label=names[turn])
            if bands is not None:
                below, above = bands[0][turn], bands[1][turn]
                axes.fill_between(
                    at, values - below, values + above, color=colour, alpha=0.2, linewidth=0
                )
        axes.set_ylabel(layout.measured(data))
        axes.margins(x=0.02)
        if by and len(rows) <= MOST_LINES:
            axes.legend(title=by)
        elif by:
            scale = ScalarMappable(Normalize(0, len(rows) - 1), "viridis")
            bar = figure.colorbar(scale, ax=axes, label=by)
            shown = thinned(len(names), 8)
            bar.set_ticks(shown, labels=[names[place] for place in shown])


def bars(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """A bar for each entry along `x`, the last axis if none is named; of a second axis groups. How
    far numbers may be off is a whisker."""
    across, by, rows, bands = _rows(data, layout)
    many, count = rows.shape
    wide = 0.8 / max(many, 1)
    with drawn(path, (width(rows.size, 0.3, 4, 11), 3.6)) as figure:
        axes = figure.subplots()
        axes.set_title(layout.title_of(data))
        axes.grid(visible=False, axis="x")
        names = labels.coordinates(data, by) if by else [""]
        for turn, (values, colour) in enumerate(zip(rows, line_colours(many), strict=True)):
            at = np.arange(count) + (turn - (many - 1) / 2) * wide
            whiskers = None if bands is None else (bands[0][turn], bands[1][turn])
            axes.bar(
                at,
                values,
                wide,
                color=colour,
                label=names[turn],
                yerr=whiskers,
                error_kw={"ecolor": INK, "elinewidth": 1, "capsize": min(3.0, 12 * wide)},
            )
        axes.axhline(0, color=FAINT, linewidth=0.8)
        most = MOST_TOKENS if layout.tokens is not None else 24
        ticks(axes, "x", across, along(data, across, layout.tokens), most)
        axes.set_ylabel(layout.measured(data))
        if by:
            axes.legend(title=by, ncols=1 + many // 12)


def _rows(
    data: xarray.DataArray, layout: Layout
) -> tuple[str, str | None, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """The axis across and the other one, the numbers [other, across], and how far they are off."""
    axes = placed(data, layout, PLANE)
    across, by = axes["x"], axes.get("y")
    grid = data.transpose(*([by] if by else []), across).astype(float)
    off = spread(grid, layout)
    size = (-1, data.sizes[across])
    bands = None if off is None else (off[0].reshape(size), off[1].reshape(size))
    return across, by, grid.values.reshape(size), bands
