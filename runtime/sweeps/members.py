"""What a sweep is told and what it gives: which members, within which limits, and their values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from .progress import Progress

MEMORY = 1 << 30
"""Bytes that the values of a sweep may take, if nothing else is said."""

Box = tuple[tuple[int, int], ...]
"""Some members: of each variable those from a place on, up to another."""


@dataclass(frozen=True, slots=True)
class Running:
    """How sweeps are run: in so many bytes, on what (`here`, `ray`), keeping their parts below a
    folder, where `resume` finds them again."""

    memory: int = MEMORY
    on: str = "here"
    folder: Path | None = None
    resume: bool = False
    progress: Progress = SILENT


@dataclass(frozen=True)
class Members:
    """The result of a sweep: its axes, the swept ones first, and how it was run."""

    axes: tuple[str, ...]
    values: torch.Tensor
    how: tuple[str, ...]


def count(box: Box) -> int:
    """How many members are in a box."""
    return math.prod(stop - start for start, stop in box)


def whole(counts: Sequence[int]) -> Box:
    """All members."""
    return tuple((0, most) for most in counts)
