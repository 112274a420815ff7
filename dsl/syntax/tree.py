"""What every construct has."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..source import GENERATED, Span


@dataclass(frozen=True, slots=True)
class Tree:
    """What every construct has."""

    span: Span = field(default=GENERATED, compare=False, repr=False, kw_only=True)
