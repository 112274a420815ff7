"""What passes are told besides the graph."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Context:
    """The options of one compilation.

    `keep` are addresses whose values stay at a node of their own. `without` are passes not to run.
    """

    keep: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    verify: bool = True
