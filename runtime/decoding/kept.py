"""What members of a sweep have decoded, on disk: so many at once, each part there whole or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import xarray

from ..parts import Folder
from ..results import load, save
from ..training.fingerprint import digest, digest_of, plain

if TYPE_CHECKING:
    from pathlib import Path

    from ..model import SpecModel
    from .members import Read

TOKENS = "tokens"


class KeptTokens:
    """The folder of the parts of one run that decodes."""

    def __init__(self, path: Path, read: Read, model: SpecModel, *, resume: bool) -> None:
        self.path = path
        plan = read.plan
        Folder(path, f"the run `{plan.name}`", _about(read, model), plan.span).open(resume=resume)

    def read(self, number: int) -> torch.Tensor | None:
        """A part, if it is there."""
        path = self._path(number)
        return torch.from_numpy(load(path)[TOKENS].values) if path.exists() else None

    def write(self, number: int, tokens: torch.Tensor) -> None:
        """Keep a part."""
        dims = ("row", *(f"axis{place}" for place in range(1, tokens.dim())))
        array = xarray.DataArray(tokens.cpu().contiguous().numpy(), dims=dims, name=TOKENS)
        save(array.to_dataset(), self._path(number))

    def _path(self, number: int) -> Path:
        return self.path / f"{number}.nc"


def _about(read: Read, model: SpecModel) -> dict[str, str]:
    """What the parts depend on."""
    plan = read.plan
    values = sorted((name, digest_of(value.tensor)) for name, value in read.values.items())
    said = (plan.model.body, dict(plan.options), dict(plan.given), dict(plan.values), plan.members)
    return {
        "spec": digest(plain(said)),
        "data": digest([*values, digest_of(read.prompt.tensor), read.lengths]),
        "weights": digest(
            [(name, digest_of(value)) for name, value in sorted(model.state_dict().items())]
        ),
        "seed": str(read.seed),
    }
