"""Writes recurrences as Triton kernels."""

from __future__ import annotations
