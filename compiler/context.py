"""What passes are told besides the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Context:
    """The options of one compilation.

    `keep` are addresses whose values stay at a node of their own. `without` are passes not to run.
    `recurrences` says whether scans are run step by step, or in the parallel forms that they have,
    in chunks of so many steps. `sizes` are the run-time sizes, where they are known.
    """

    keep: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    verify: bool = True
    recurrences: Literal["steps", "parallel"] = "steps"
    chunk: int = 32
    sizes: Mapping[str, int] | None = None
