"""What is worth it: which of two ways to run the same is taken, and what that was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.items import body_inputs
from .emit.cpp.kernel import kernel
from .emit.cpp.unsupported import UnsupportedError

if TYPE_CHECKING:
    from ..dsl.ops import ScanAttrs
    from .emit.cpp.kernel import Kernel


def kernel_for(scan: ScanAttrs) -> Kernel | str:
    """The kernel of a recurrence, or why there is none.

    Wherever there is a kernel it is taken. On one thread, against the loop in PyTorch, forward and
    with backward: 0.05 to 0.08 of its time for a matrix carry of 64 x 64 in 4 heads, 0.2 for an
    elementwise carry of 4 x 512, 0.3 to 0.4 for a GRU of 4 x 256 (`bench/recurrences.py`, 512
    steps). A step of the loop costs PyTorch microseconds for each operation, whatever its size.
    """
    try:
        made = kernel(scan)
    except UnsupportedError as reason:
        return str(reason)
    known = {axis.size for node in body_inputs(scan.body) for axis in node.axes}
    if scan.steps == 0 and not isinstance(scan.axis.size, int):
        return "how many steps there are is not known from what it reads"
    if any(size not in known for size in made.sizes):
        return "a size is not that of something it reads"
    return made
