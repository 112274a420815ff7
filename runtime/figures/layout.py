"""What goes where in a figure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count as count_up
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.figures import RECEIVERS, SENDERS
from .. import labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray

PLANE = ("x", "y")
PANELS = ("x", "y", "columns", "rows")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axes go across and down, and in panels beside and below each other; the title; texts of
    tokens along `x`, and `queries` along `y`; how far numbers may be off; of a circuit the axes of
    its senders and receivers, how many edges are shown at most, and of what weight at least.

    `written` is the axis along which the tokens stand in the data: it goes down in a pattern.
    """

    x: str | None = None
    y: str | None = None
    columns: str | None = None
    rows: str | None = None
    title: str = ""
    tokens: Sequence[str] | None = None
    queries: Sequence[str] | None = None
    written: str | None = None
    error: xarray.DataArray | None = None
    low: xarray.DataArray | None = None
    high: xarray.DataArray | None = None
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    most: int | None = None
    least: float = 0.0

    def title_of(self, data: xarray.DataArray) -> str:
        """What stands above: the title, or what the array is called."""
        return self.title or labels.name(data)

    def measured(self, data: xarray.DataArray) -> str:
        """What the numbers are, where the title does not say it."""
        return "" if data.name == self.title else labels.name(data)


def layout_of(
    options: Mapping[str, str], values: Mapping[str, xarray.DataArray], title: str
) -> Layout:
    """The layout that the options of a plot say; `values` are those that they name."""
    texts = {
        role: [str(text) for text in values[options[role]].values]
        for role in ("tokens", "queries")
        if role in options
    }
    written = values[options["queries" if "queries" in options else "tokens"]] if texts else None
    return Layout(
        x=options.get("x"),
        y=options.get("y"),
        columns=options.get("columns"),
        rows=options.get("rows"),
        title=options.get("title", title),
        tokens=texts.get("tokens"),
        queries=texts.get("queries"),
        written=None if written is None else str(written.dims[0]),
        error=values.get(options.get("error", "")),
        low=values.get(options.get("low", "")),
        high=values.get(options.get("high", "")),
        senders=tuple(options.get(SENDERS, "").split()),
        receivers=tuple(options.get(RECEIVERS, "").split()),
        most=int(float(options["most"])) if "most" in options else None,
        least=float(options.get("least", 0)),
    )


def placed(data: xarray.DataArray, layout: Layout, slots: Sequence[str]) -> dict[str, str]:
    """The axis in each slot, of PLANE or PANELS; slots that no axis is named for take the last axes
    that are left. Raises ValueError."""
    dims = [str(axis) for axis in data.dims]
    found = {slot: axis for slot in slots if (axis := getattr(layout, slot)) is not None}
    for axis in found.values():
        if axis not in dims:
            raise ValueError(f"no axis {axis} to plot; there are {', '.join(dims) or 'none'}")
    if len(set(found.values())) < len(found):
        twice = next(axis for axis in found.values() if list(found.values()).count(axis) > 1)
        raise ValueError(f"axis {twice} cannot go both ways")
    if not len(slots) - 1 <= len(dims) <= len(slots) or not data.size:
        shape = ", ".join(f"{axis} = {size}" for axis, size in data.sizes.items())
        wanted = "one or two" if len(slots) == len(PLANE) else "three or four"
        raise ValueError(f"a plot shows {wanted} axes, not an array of [{shape}]")
    if "y" not in found and layout.written in dims and layout.written not in found.values():
        found["y"] = layout.written
    rest = [axis for axis in dims if axis not in found.values()]
    for slot in slots:
        if slot not in found and rest:
            found[slot] = rest.pop()
    if "x" not in found:  # the one axis that there is goes across
        found["x"] = found.pop("y")
    return found


def along(data: xarray.DataArray, axis: str, texts: Sequence[str] | None) -> list[str]:
    """What stands along an axis: the texts of tokens, its labels, or the positions. Raises
    ValueError."""
    if texts is None:
        return labels.coordinates(data, axis)
    if len(texts) != data.sizes[axis]:
        there = f"{data.sizes[axis]} positions of {axis}"
        raise ValueError(f"there are {len(texts)} tokens for {there}")
    return [labels.token(text) for text in texts]


def spread(data: xarray.DataArray, layout: Layout) -> tuple[np.ndarray, np.ndarray] | None:
    """How far each number may be off, below and above; None if nothing is said."""
    if layout.error is None and layout.low is None and layout.high is None:
        return None
    error = 0.0 if layout.error is None else abs(layout.error)
    below = data - layout.low if layout.low is not None else error + 0 * data
    above = layout.high - data if layout.high is not None else error + 0 * data
    low, high = (end.transpose(*data.dims).values.astype(float) for end in (below, above))
    return np.maximum(low, 0), np.maximum(high, 0)


def thinned(count: int, most: int) -> list[int]:
    """At most so many places, a round number of entries apart."""
    steps = (digit * 10**power for power in count_up() for digit in (1, 2, 5))
    step = next(step for step in steps if count <= most * step)
    return list(range(0, count, step))
