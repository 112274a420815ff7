"""Decoding: a model position after position, by the step function that is derived from it."""

from __future__ import annotations

from .decode import Decoded, decode, stream
from .stepper import Stepper

__all__ = ["Decoded", "Stepper", "decode", "stream"]
