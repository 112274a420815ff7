"""How a training went: its measures by step."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np

from ..figures.canvas import drawn
from ..training.history import RATE
from .tables import Sheet, cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray

HELD: Final = "held."
MOST_POINTS: Final = 1500


def curves(history: xarray.Dataset) -> Iterator[tuple[str, str]]:
    """A figure for each measure, with its title: at every step, and on the held-out part."""
    on = "held out" if history.attrs.get("evaluated_on") == "held" else "all data"
    for name in _measures(history):
        steps, values = history["step"].values, history[name].values
        every = max(len(steps) // MOST_POINTS, 1)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "curve"
            with drawn(path, (5, 3)) as figure:
                axes = figure.subplots()
                axes.set_title(name)
                axes.plot(steps[::every], values[::every], linewidth=1, label="batches")
                held = HELD + name
                if held in history and history[held].size:
                    at = history["evaluated"].values
                    axes.plot(at, history[held].values, marker="o", markersize=3.5, label=on)
                axes.set_xlabel("step")
                if np.isfinite(values).any():
                    axes.legend()
            yield name, path.with_suffix(".svg").read_text(encoding="utf-8")


def last_values(history: xarray.Dataset) -> Sheet:
    """Each measure at the last step, and on the held-out part."""
    rows = []
    for name in [*_measures(history), RATE]:
        values = history[name].values if name in history else np.array([])
        held = history[HELD + name].values if HELD + name in history else np.array([])
        ends = [cell(found[-1]) if found.size else cell("") for found in (values, held)]
        rows.append((cell(name), *ends))
    return Sheet(
        f"After {history.sizes.get('step', 0)} steps",
        ("measure", "last batch", "held out"),
        tuple(rows),
        1,
    )


def _measures(history: xarray.Dataset) -> list[str]:
    return [
        name for name in map(str, history.data_vars) if name != RATE and not name.startswith(HELD)
    ]
