"""Parts of a sweep on disk: arrays with named axes, each there whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import xarray

from ..lowering import part_of
from ..parts import Folder
from ..results import load, save
from ..training.fingerprint import digest, digest_of, plain

if TYPE_CHECKING:
    from pathlib import Path

    from .members import Box
    from .work import Work


@dataclass(frozen=True)
class Kept:
    """The folder of one sweep's parts."""

    folder: Path
    work: Work

    def open(self, *, resume: bool) -> None:
        """Get ready to keep parts; those of before go, unless the sweep is to go on from them.

        Raises SpecError if those are of another sweep.
        """
        plan = self.work.sweep.plan
        what = f"the sweep `{plan.name}`"
        Folder(self.folder, what, fingerprint(self.work), plan.span).open(resume=resume)

    def read(self, box: Box) -> torch.Tensor | None:
        """A part, if it is there."""
        path = self._path(box)
        if not path.exists():
            return None
        found = load(path)[self.work.sweep.plan.name]
        return torch.from_numpy(found.transpose(*self.work.axes).values)

    def write(self, box: Box, values: torch.Tensor) -> None:
        """Keep a part."""
        chosen = self.work.sweep.values(self.work.inputs, box)
        array = xarray.DataArray(
            values.cpu().contiguous().numpy(),
            dims=self.work.axes,
            coords=dict(zip(self.work.swept, chosen, strict=True)),
            name=self.work.sweep.plan.name,
        )
        save(array.to_dataset(), self._path(box))

    def _path(self, box: Box) -> Path:
        named = zip(self.work.swept, box, strict=True)
        ranges = [f"{axis}={start}..{stop}" for axis, (start, stop) in named]
        return self.folder / f"{','.join(ranges) or 'all'}.nc"


def fingerprint(work: Work) -> dict[str, str]:
    """Short texts, each equal only for a sweep that means the same, on equal data and weights, with
    an equal seed."""
    body = part_of(work.sweep.study.body, (work.sweep.plan.result,)).to_body()
    return {
        "spec": digest(plain(body)),
        "data": digest([(name, digest_of(value)) for name, value in sorted(work.inputs.items())]),
        "weights": digest([(name, digest_of(value)) for name, value in work.weights()]),
        "seed": str(work.seed),
    }
