"""Kernels in C++ for recurrences: one function that runs a scan over all its steps."""

from __future__ import annotations
