"""Contractions shaped like attention: what they are, where they are, and what their masks say."""

from __future__ import annotations

from .contraction import Contraction
from .describe import describe
from .recognise import Found, contraction

__all__ = ["Contraction", "Found", "contraction", "describe"]
