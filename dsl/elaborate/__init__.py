"""Elaboration: a model, with all its sizes, becomes a program over the core language.

Expressions are run on types instead of numbers. What is checked is therefore what is built, and
nothing about a construct is said twice.
"""

from __future__ import annotations

from .models import ModelRequest, elaborate_model

__all__ = ["ModelRequest", "elaborate_model"]
