"""Derivatives of programs, as programs.

`pullback` is reverse mode: from cotangents of the results to cotangents of inputs and parameters.
`pushforward` is forward mode: from tangents of these to tangents of the results. Both keep the
program, append to it, and know every operation (`ops.OPS`) and every function (`functions.py`) by
one row in a table. The result is a program of the same operations: it can be differentiated again.

What is zero is not built, and what is repeated along an axis is not stored; dead and trivial steps
are left to `prune`, `fold` and `share`. Where there is a kink, the slope is that of PyTorch.
"""

from __future__ import annotations

from .forward import OneWayError
from .programs import pullback, pushforward
from .requests import NoFloatError, worked_out
from .rules import without_rules

__all__ = [
    "NoFloatError",
    "OneWayError",
    "pullback",
    "pushforward",
    "without_rules",
    "worked_out",
]
