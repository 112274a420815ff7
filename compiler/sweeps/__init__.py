"""Sweeps: members are computed together, each from where it differs, and only there.

A sweep comes as a graph in which the swept axes ride along from the first write down. `pack`
turns it into one in which every value is kept as rows: one for each member and position at which
it differs from the run without the write, which is computed once.
"""

from __future__ import annotations

from .footprint import Footprint
from .pack import Packed, pack
from .shared import Contents, Held, apart, held_as

__all__ = ["Contents", "Footprint", "Held", "Packed", "apart", "held_as", "pack"]
