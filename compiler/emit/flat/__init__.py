"""Emitted source as one function, with weights bound."""

from __future__ import annotations

from .flat import flat

__all__ = ["flat"]
