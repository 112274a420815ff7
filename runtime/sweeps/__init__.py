"""Sweeps: all members in one graph, in parts that fit into memory, kept while they come."""

from __future__ import annotations

from .members import MEMORY, Members, Running
from .run import run, run_work
from .sweep import Sweep, settled
from .work import Work

__all__ = ["MEMORY", "Members", "Running", "Sweep", "Work", "run", "run_work", "settled"]
