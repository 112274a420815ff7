"""A declarative language for neural architectures and interventions, with a compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dsl.diagnostics import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from .runtime.program import Program

__version__ = "0.1.0"
__all__ = ["SpecError", "__version__", "load"]


def load(path: str | Path) -> Program:
    """Read and check a spec; what is wrong in it is raised as one SpecError."""
    from .runtime.program import Program  # brings torch, which checking does without

    return Program.load(path)
