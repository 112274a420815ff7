"""How large the blocks of a contraction are, and how many warps a program has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....attention.contraction import QUERY
from ..tiles import rounded

if TYPE_CHECKING:
    from .kernel import ContractionKernel

LEAST = 16  # features of a product of matrices
MOST_NARROW, MOST_WIDE = 256, 128  # features that a program holds, of 16 bits and of 32
# rows, columns, warps, and for how many turns of the loop loads are under way, there and back by
# queries and by keys: large blocks of which nothing much spills, compiled for sm_80 and sm_90,
# for so many features at the most. In float32 a product is three, whose operands are held in parts
NARROW = {
    64: ((128, 64, 8, 3), (64, 32, 4, 2), (64, 32, 4, 2)),
    128: ((64, 64, 8, 2), (64, 16, 8, 2), (64, 16, 8, 2)),
    256: ((64, 32, 8, 2), (32, 64, 8, 2), (32, 32, 8, 2)),
    512: ((32, 32, 8, 2), (32, 32, 8, 2), (32, 16, 8, 2)),
}
WIDE = {
    64: ((64, 16, 4, 2), (16, 32, 4, 2), (16, 32, 4, 2)),
    128: ((16, 64, 8, 2), (16, 32, 8, 2), (16, 32, 8, 2)),
    256: ((16, 32, 8, 2), (16, 16, 8, 2), (16, 16, 8, 2)),
}


@dataclass(frozen=True)
class Plan:
    """Rows and columns of a block, features as tiles have them, warps, and for how many turns of
    the loop loads are under way."""

    rows: int
    columns: int
    dot: int
    value: int
    warps: int
    stages: int


def planned(kernel: ContractionKernel, dot: int, value: int, width: int) -> Plan | None:
    """The plan for so many features of keys and of values, of floats that are so many bytes wide;
    None where a program would hold too much.

    What holds more than its blocks, such as where in a table it reads, has those of twice the
    features.
    """
    keys, values = (max(rounded(size), LEAST) for size in (dot, value))
    if max(keys, values) > (MOST_WIDE if width > 2 else MOST_NARROW):
        return None
    held = max(keys, values) * (2 if kernel.holds_more else 1)
    most = next(most for most in NARROW if most >= held)
    place = 0 if not kernel.is_back else 1 if kernel.rows == QUERY else 2
    rows, columns, warps, stages = (WIDE if width > 2 else NARROW)[most][place]
    return Plan(rows, columns, keys, values, warps, stages)
