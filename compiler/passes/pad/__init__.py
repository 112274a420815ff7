"""Gives ragged axes their lengths: a batch of examples of several lengths stands in one array, and
what lies behind an example's end is not seen by reductions, softmax, windows and recurrences."""

from __future__ import annotations

from .walk import pad, pad_counted

__all__ = ["pad", "pad_counted"]
