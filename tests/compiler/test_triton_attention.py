"""Triton kernels of attention as text; and compiled ahead for GPUs that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.compiler.ahead import SHARED, attention, used
from tests.compiler.test_attention import HEAD, found, masked, of

from neuraxis.compiler.costs import gpu_contraction_for
from neuraxis.compiler.emit.triton.attention.kernel import (
    ContractionKernel,
    backward,
    forward,
)
from neuraxis.compiler.emit.triton.attention.plans import planned
from neuraxis.dsl.core import DType

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Golden

    from neuraxis.compiler.attention import Contraction

CAPPED = "softmax[s](where(s <= t and t - s < 256, 20 * tanh(dot[k](q, key) / 20) - slope, -inf))"


def code(kernel: ContractionKernel) -> str:
    """A kernel without the functions that are the same in all."""
    start = kernel.source.index("@triton.jit(do_not_specialize")
    return kernel.source[start:].replace(kernel.symbol, "contraction_here")


def contracted(weights: str, more: str = "") -> Contraction:
    own = of(weights, more)
    assert own is not None
    return own.contraction


def kernels(made: Contraction) -> list[ContractionKernel]:
    """There, and back to all floats."""
    floats = [node.name for node in made.more if node.dtype is DType.FLOAT]
    return [forward(made), *backward(made, floats).kernels]


def test_a_window_to_read(golden: Golden) -> None:
    made = masked("s <= t and t - s < 9")
    golden("golden/emit/window.triton.py", "\n\n".join(map(code, kernels(made))))


def test_the_same_contraction_is_the_same_kernel() -> None:
    one, other = (contracted(f"softmax[s](dot[k](q, key) - {x})", f", {x}[h, t]") for x in "ac")
    assert forward(one).symbol == forward(other).symbol


def test_what_a_mask_does_not_bound_is_looked_at() -> None:
    text = code(
        forward(contracted("softmax[s](where(seen, dot[k](q, key), -inf))", ", seen[t, s]: bool"))
    )
    assert "if tl.max((there & " in text
    assert "if tl.max(" not in code(forward(masked("s <= t")))


def test_masks_end_the_loop() -> None:
    """Keys before a window are not visited; without one there is nothing before."""
    assert "tl.static_range(0, 3)" in code(forward(masked("s <= t and t - s < 9")))
    assert "tl.static_range(1, 3)" in code(forward(masked("s <= t")))
    assert "tl.static_range(0, 3)" in code(backward(masked("s <= t"), ()).kernels[1])


def test_what_has_no_kernel_says_why() -> None:
    made = contracted("softmax[s](dot[k](q, key) + float(t // max(s, 1)))")
    assert gpu_contraction_for(made) == "floordiv of ints may divide by 0"


def test_more_features_than_a_program_holds() -> None:
    for kernel in kernels(masked("s <= t")):
        for width, most in ((2, 256), (4, 128)):
            assert planned(kernel, most, most, width) is not None
            assert planned(kernel, most + 1, 16, width) is None


def test_compiled_ahead_for_gpus(tmp_path: Path) -> None:
    """All fits the shared memory, and nothing spills but what makes room for one program more."""
    pytest.importorskip("triton")
    capped = contracted(CAPPED, ", slope[h, t]")
    there = "softmax[s](where(doc == seg, dot[k](q, key) + w[n = min(abs(t - s), |n| - 1)], -inf))"
    head = f"model m[h = 2, k = 3, e = 4, n = 32]{HEAD}, doc[t]: int, seg[s]: int, w[n, h])"
    text = f"{head} -> [b, h, t, e]:\n    w1 = {there}\n    return dot[s](w1, v)\n"
    (documents,) = (own.contraction for own in found(text))
    rows = [attention(own, 64, "float32", 90) for own in kernels(capped)]
    rows += [attention(own, 128, "bfloat16", 80) for own in kernels(documents)]
    for row, taken in used(rows, tmp_path):
        assert taken["registers"] <= 255
        assert taken["shared"] <= SHARED[row.arch], taken
        assert taken["spilled"] <= 16, (row.symbol, row.arch, row.fixed, taken)
