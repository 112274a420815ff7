"""The step function of a causal model, derived: prefill and step are rewrites of its graph."""

from __future__ import annotations

from .derive import derive
from .parts import Decoding, NotCausalError, State

__all__ = ["Decoding", "NotCausalError", "State", "derive"]
