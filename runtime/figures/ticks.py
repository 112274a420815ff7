"""What stands along the axes of a figure, and colours for its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator

from .layout import along, thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray
    from matplotlib.axes import Axes

MOST_TICKS: Final = 24
MOST_TOKENS: Final = 64  # tokens are not a number apart, so all are shown that can be
MOST_LINES: Final = 8  # so many lines have a legend, more a colour bar


def ticks(axes: Axes, side: str, axis: str, names: Sequence[str], most: int = MOST_TICKS) -> None:
    """An axis's name, and as many of its labels as can be read."""
    shown = thinned(len(names), most)
    texts = [names[place] for place in shown]
    small = 6.5 if len(shown) > MOST_TICKS else None
    if side == "x":
        turned = len(shown) * max(map(len, texts)) > 60
        axes.set_xticks(shown, texts, rotation=90 if turned else 0, fontsize=small)
        axes.set_xlabel(axis)
    else:
        axes.set_yticks(shown, texts, fontsize=small)
        axes.set_ylabel(axis)


def places(
    axes: Axes, data: xarray.DataArray, axis: str, texts: Sequence[str] | None
) -> np.ndarray:
    """Where along x the entries of an axis stand: at their numbers, if they are numbers."""
    values = data[axis].values
    if texts is None and np.issubdtype(values.dtype, np.number):
        axes.set_xlabel(axis)
        if np.issubdtype(values.dtype, np.integer):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return values
    most = MOST_TICKS if texts is None else MOST_TOKENS
    ticks(axes, "x", axis, along(data, axis, texts), most)
    return np.arange(len(values))


def line_colours(count: int) -> list[object]:
    """A colour for each of so many lines; of many from one end of a scale to the other."""
    if count <= MOST_LINES:
        return [f"C{place}" for place in range(count)]
    return [mpl.colormaps["viridis"](place / (count - 1)) for place in range(count)]
