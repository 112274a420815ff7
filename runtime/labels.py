"""Numbers and coordinates as short text, for plots and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray

LONGEST = 20


def number(value: object) -> str:
    """A value to four significant digits."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and np.isfinite(value) and value != 0:
        digits = f"{value:#.4g}"
        return digits.removesuffix(".").replace(".e", "e")
    return text(value)


def text(value: object) -> str:
    """Anything on one line, cut where it is long; white space that would not be seen is spelt."""
    shown = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    shown = spelt(shown)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def spelt(text: str) -> str:
    """A text on one line: what would not be seen is spelt."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def token(text: str) -> str:
    """The text of a token on one line; a blank in front is seen."""
    return "".join("␣" if c == " " else c for c in spelt(text)) or "∅"


def coordinates(data: xarray.DataArray, axis: str) -> list[str]:
    """What stands along an axis: its labels, or the positions if it has none."""
    return [text(value) for value in data[axis].values]


def name(data: xarray.DataArray) -> str:
    """What an array is called."""
    return "" if data.name is None else text(data.name)
