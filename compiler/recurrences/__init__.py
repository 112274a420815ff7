"""How carries depend on their old values, and the parallel forms that follow from it."""

from __future__ import annotations

from .classify import Group, Kind, Obstacle, Recurrence, classify
from .describe import describe, priced
from .forms import Choice, Form, choices
from .parallel import parallel

__all__ = [
    "Choice",
    "Form",
    "Group",
    "Kind",
    "Obstacle",
    "Recurrence",
    "choices",
    "classify",
    "describe",
    "parallel",
    "priced",
]
