"""Parts of a sweep on disk: arrays with named axes, each there whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
import xarray

from ...dsl.diagnostics import Diagnostic, Note, Slug, SpecError
from ..atomic import write_text
from ..lowering import part_of
from ..results import load, save
from ..training.fingerprint import digest, digest_of, plain

if TYPE_CHECKING:
    from pathlib import Path

    from .members import Box
    from .work import Work

ABOUT: Final = "sweep.json"


@dataclass(frozen=True)
class Kept:
    """The folder of one sweep's parts."""

    folder: Path
    work: Work

    def open(self, *, resume: bool) -> None:
        """Get ready to keep parts; those of before go, unless the sweep is to go on from them.

        Raises SpecError if those are of another sweep.
        """
        about = self.folder / ABOUT
        own = fingerprint(self.work)
        if resume and about.exists():
            found = json.loads(about.read_text(encoding="utf-8"))
            if differ := [part for part in own if found.get(part) != own[part]]:
                raise self._other(differ)
            return
        for old in self.folder.glob("*.nc"):
            old.unlink()
        write_text(about, json.dumps(own, indent=1))

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

    def _other(self, differ: list[str]) -> SpecError:
        names = {"spec": "another spec", "data": "other data", "seed": "another seed"}
        names["weights"] = "other weights"
        what = " and ".join(names[part] for part in differ)
        plan = self.work.sweep.plan
        message = f"what was kept of the sweep `{plan.name}` was computed with {what}"
        notes = (Note("only the very same sweep can be taken up where it was left"),)
        hint = "without `--resume` the sweep starts anew"
        return SpecError([Diagnostic(Slug.BAD_FILE, message, plan.span, notes=notes, hint=hint)])


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
