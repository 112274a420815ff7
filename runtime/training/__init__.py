"""Training: a spec's `train` statement, run on lowered losses, with checkpoints to go on from."""

from __future__ import annotations

from .checkpoints import read_parameters
from .expectations import Expectation
from .inputs import Functions, Inputs, Lowered
from .loop import Trained, train
from .progress import SILENT, Progress, progress_on

__all__ = [
    "SILENT",
    "Expectation",
    "Functions",
    "Inputs",
    "Lowered",
    "Progress",
    "Trained",
    "progress_on",
    "read_parameters",
    "train",
]
