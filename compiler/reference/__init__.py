"""The oracle: what a program means, in NumPy float64, slow and obvious."""

from __future__ import annotations

from .evaluate import Draw, evaluate, evaluate_nodes, finite_gradient, value_of
from .values import NamedArray

__all__ = ["Draw", "NamedArray", "evaluate", "evaluate_nodes", "finite_gradient", "value_of"]
