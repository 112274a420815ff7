"""Results as figures, for the eye: each is saved as SVG and as PNG."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from .canvas import INK, PAPER, RULE
from .circuits import circuit
from .curves import bars, line
from .grids import heads, heatmap, pattern
from .layout import Layout, layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray

__all__ = ["DRAW", "INK", "PAPER", "RULE", "Layout", "draw", "layout_of"]

DRAW: Mapping[str, Callable[[xarray.DataArray, Path, Layout], None]] = MappingProxyType(
    {
        "heatmap": heatmap,
        "pattern": pattern,
        "heads": heads,
        "line": line,
        "bars": bars,
        "circuit": circuit,
    }
)
"""What draws each kind of `neuraxis.dsl.figures.FIGURES`."""


def draw(
    kind: str, data: xarray.DataArray, path: Path, layout: Layout | None = None
) -> tuple[Path, Path]:
    """Draw an array; `kind` is one of DRAW. Returns the files: `path` with `.svg` and with `.png`.

    A ValueError says what is wrong with the axes or the sizes.
    """
    DRAW[kind](data, path, layout or Layout())
    return path.with_suffix(".svg"), path.with_suffix(".png")
