"""An empty figure to draw in: its style, and how it is saved."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

INK: Final = "#1c2024"  # texts and axes
RULE: Final = "#d5d9de"  # lines of the grid
FAINT: Final = "#8b929a"
PAPER: Final = "#fefefe"  # what covers lines under a text


@contextmanager
def drawn(path: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of so many inches to draw in, saved at the end as `path` with `.svg` and with
    `.png`; no window, and nothing left behind.

    The SVG has no ground and keeps texts as texts, so that it goes on any page.
    """
    with _style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # tokens hold any character there is
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        svg, png = (path.with_name(f"{path.name}.{kind}") for kind in ("svg", "png"))
        with replacing(svg) as vectors, replacing(png) as pixels:
            figure.savefig(
                vectors, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
            )
            figure.savefig(pixels, format="png", metadata={"Software": None})


def width(count: float, each: float, least: float, most: float) -> float:
    """Inches for so many entries, within bounds."""
    return float(np.clip(1.8 + each * count, least, most))


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "axes.axisbelow": True,
            "axes.edgecolor": INK,
            "axes.grid": True,
            "axes.labelcolor": INK,
            "axes.linewidth": 0.8,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlecolor": INK,
            "axes.titlelocation": "left",
            "axes.titlepad": 10,
            "axes.titlesize": "large",
            "axes.titleweight": "bold",
            "figure.dpi": 150,
            "font.size": 9,
            "font.sans-serif": ["DejaVu Sans"],
            "grid.color": RULE,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "legend.labelcolor": INK,
            "lines.linewidth": 1.8,
            "svg.fonttype": "none",
            "svg.hashsalt": "neuraxis",  # the same numbers are the same bytes
            "text.color": INK,
            "text.parse_math": False,  # a token may be a dollar sign
            "xtick.color": INK,
            "xtick.major.size": 3,
            "ytick.color": INK,
            "ytick.major.size": 3,
        }
    )
