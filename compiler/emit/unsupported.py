"""What no kernel is written for."""

from __future__ import annotations


class UnsupportedError(Exception):
    """Why a recurrence has no kernel, in words that go on after `no kernel: `."""
