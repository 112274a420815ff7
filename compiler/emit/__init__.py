"""From a graph to source that a person would have written."""

from __future__ import annotations

from .emit import emit

__all__ = ["emit"]
