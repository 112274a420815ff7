"""How carries depend on their old values, and the parallel forms that follow from it."""

from __future__ import annotations

from .classify import Group, Kind, Obstacle, Recurrence, classify
from .describe import describe, priced
from .forms import Choice, Form, choices
from .newton import Turn, newton, solvable
from .parallel import parallel

__all__ = [
    "Choice",
    "Form",
    "Group",
    "Kind",
    "Obstacle",
    "Recurrence",
    "Turn",
    "choices",
    "classify",
    "describe",
    "newton",
    "parallel",
    "priced",
    "solvable",
]
