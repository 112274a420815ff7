"""How far a calibration is, and its file: what is known so far and, once it is all, the result."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from .statistics import packed, unpacked
from .training.fingerprint import digest, plain
from .weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from ..dsl.program import CheckedCalibration
    from .data import Dataset
    from .statistics import State

KEY = "neuraxis"


@dataclass(frozen=True)
class Progress:
    """What is known, by the number of the statistic, of as many examples as are `done` in a `turn`
    through them; and what the turn `before` ended with."""

    states: dict[int, State] = field(default_factory=dict)
    done: int = 0
    turn: int = 0
    before: dict[int, State] = field(default_factory=dict)
    over: bool = False


@dataclass(frozen=True)
class Kept:
    """The file of a calibration; `of` tells which one it is."""

    path: Path
    of: str

    @classmethod
    def at(
        cls,
        path: Path,
        calibration: CheckedCalibration,
        shared: nn.Module,
        values: Mapping[str, torch.Tensor],
        data: Dataset,
        seed: int,
    ) -> Kept:
        """The file of a calibration of that model with those values of further inputs, on data."""
        numbers = [
            (name, digest(value.detach().cpu().float().numpy().tobytes()))
            for name, value in (*shared.named_parameters(), *sorted(values.items()))
        ]
        fields = [
            (
                name,
                column.axes,
                column.values.shape,
                digest(column.values.tobytes()),
                sorted((axis, digest(n.tobytes())) for axis, n in column.lengths.items()),
            )
            for name, column in data.columns.items()
        ]
        return cls(path, digest((plain(calibration), numbers, fields, seed)))

    def write(self, progress: Progress, found: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Keep how far it is, and what was found."""
        arrays = {f"kept/{name}": array for name, array in packed(progress.states).items()}
        arrays |= {f"before/{name}": array for name, array in packed(progress.before).items()}
        about = {"done": progress.done, "turn": progress.turn, "over": progress.over}
        save_weights(
            self.path,
            {n: np.ascontiguousarray(a) for n, a in {**arrays, **(found or {})}.items()},
            about={KEY: json.dumps({**about, "of": self.of})},
        )

    def read(self) -> Progress:
        """How far an earlier run of the very same calibration was."""
        if not self.path.exists():
            return Progress()
        try:
            with safe_open(self.path, framework="np") as file:
                about = json.loads((file.metadata() or {}).get(KEY, "{}"))
                arrays = {
                    name: file.get_tensor(name)
                    for name in file.keys()  # noqa: SIM118  # no dict
                }
        except (SafetensorError, OSError, ValueError):
            return Progress()
        if about.get("of") != self.of:
            return Progress()
        kept, before = (
            unpacked({n.removeprefix(part): a for n, a in arrays.items() if n.startswith(part)})
            for part in ("kept/", "before/")
        )
        return Progress(kept, int(about["done"]), int(about["turn"]), before, bool(about["over"]))
