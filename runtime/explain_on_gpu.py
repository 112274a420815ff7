"""What runs a recurrence or an attention on the GPU of this machine, said without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..compiler.costs import (
    FEWEST_GPU_QUERIES,
    gpu_contraction_for,
    gpu_kernel_for,
    plain_form,
)
from . import gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..compiler.attention import Contraction
    from ..dsl.ops import ScanAttrs

PLAIN = {"newton": "by Newton's method", "parallel": "in parallel", "steps": "step by step"}


def recurrence(scan: ScanAttrs) -> Iterator[str]:
    """What is said of a recurrence, if there is a GPU."""
    if not gpu.runs_here():
        return
    found = gpu_kernel_for(scan)
    if isinstance(found, str):
        yield f"PyTorch, {PLAIN[plain_form(scan)]}; no kernel: {found}"
        return
    plan = found.plan
    form = "step by step" if plan.rows is None else f"in chunks of {plan.turn} steps"
    block = "" if plan.block is None else f", {plan.width} of {plan.block.name} in a program"
    products = f", {found.dots} products of matrices a chunk" if found.dots else ""
    yield f"a Triton kernel, {form}{block}{products}"


def attention(made: Contraction, *, is_usual: bool) -> Iterator[str]:
    """What is said of a contraction, if there is a GPU."""
    if not gpu.runs_here():
        return
    found = gpu_contraction_for(made)
    if is_usual:
        yield "F.scaled_dot_product_attention"
    elif isinstance(found, str):
        yield f"PyTorch alone; no kernel: {found}"
    else:
        yield f"a Triton kernel, from {FEWEST_GPU_QUERIES} queries on"
