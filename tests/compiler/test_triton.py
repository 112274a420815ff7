"""Triton kernels as text: in which form, what has none; and compiled ahead for GPUs that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.compiler.ahead import SHARED, recurrence, used
from tests.compiler.programs import graph_of

from neuraxis.compiler.context import Context
from neuraxis.compiler.costs import gpu_kernel_for
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit.triton.adjoint import adjoint
from neuraxis.compiler.emit.triton.kernel import Kernel
from neuraxis.dsl.ops import ScanAttrs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Golden

ELEMENTWISE = """
    model m[d = 64](a[b, t, d], x[b, t, d]) -> [b, t, d]:
        scan t:
            carry s[d] = 0
            s = a * s + x
        return s
"""
RETENTION = """
    model m[h = 4, k = 64, v = 64](q[b, t, h, k], key[b, t, h, k], val[b, t, h, v], a[h]) -> [b, t, h, v]:
        scan t:
            carry S[h, k, v] = 0
            S = a * S + key * val
            o = dot[k](q, S)
        return o
"""
GATED = RETENTION.replace("a[h]", "a[b, t, h, k]")
CORRECTED = """
    model m[k = 64, v = 64](q[b, t, k], key[b, t, k], val[b, t, v], beta[b, t]) -> [b, t, v]:
        scan t:
            carry S[k, v] = 0
            S = S + beta * key * (val - dot[k](key, S))
            o = dot[k](q, S)
        return o
"""
GATED_DELTA = """
    model m[k = 64, v = 64](q[b, t, k], key[b, t, k], val[b, t, v], beta[b, t], a[b, t]) -> [b, t, v]:
        scan t:
            carry S[k, v] = 0
            kept = a * S
            S = kept + beta * key * (val - dot[k](key, kept))
            o = dot[k](q, S)
        return o
"""
CELL = """
    model m[d = 64](x[b, t, d]) -> [b, t, n]:
        y = gru[n = 64](x)
        return y
"""


def found(text: str) -> Kernel | str:
    graph = compile_graph(graph_of(text), Context())
    (scan,) = [a for n in graph.in_order() if isinstance(a := graph.node(n).attrs, ScanAttrs)]
    return gpu_kernel_for(scan)


def made(text: str) -> Kernel:
    kernel = found(text)
    assert isinstance(kernel, Kernel), kernel
    return kernel


def code(kernel: Kernel) -> str:
    """A kernel without the functions that are the same in all."""
    start = kernel.source.index("@triton.jit(do_not_specialize")
    return kernel.source[start:].replace(kernel.symbol, "scan_here")


def test_a_step_to_read(golden: Golden) -> None:
    kernel = made(ELEMENTWISE)
    golden("golden/emit/elementwise.triton.py", code(kernel) + code(adjoint(kernel.plan).kernel))


def test_the_same_recurrence_is_the_same_kernel() -> None:
    assert made(ELEMENTWISE).symbol == made(ELEMENTWISE.replace("model m", "model other")).symbol


@pytest.mark.parametrize(
    ("text", "rows", "block"),
    [
        (ELEMENTWISE, None, "d"),
        (RETENTION, 16, "v"),
        (GATED, 16, "v"),
        (CORRECTED, 16, "v"),
        (GATED_DELTA, 16, "v"),
        (CELL, None, None),
    ],
)
def test_the_form_that_takes_less_time(text: str, rows: int | None, block: str | None) -> None:
    plan = made(text).plan
    assert (plan.rows and plan.rows.size, plan.block and plan.block.name) == (rows, block)


def test_what_does_not_stay_in_registers_goes_by_steps() -> None:
    for text, rows in ((RETENTION, 16), (GATED, None), (GATED_DELTA, None)):
        plan = made(text.replace("64", "128")).plan
        assert (plan.rows and plan.rows.size) == rows


def test_chunks_are_products_of_matrices() -> None:
    kernel = made(GATED)
    assert kernel.source.count("tl.dot(") == kernel.dots > 4
    assert "tl.log" not in code(kernel)


def test_a_correction_is_solved_for_with_what_comes_in() -> None:
    """Keys by keys, queries by keys, five products with a block of values, six for an inverse; and
    an inverse that is not differentiated."""
    there, back = ways(GATED_DELTA)
    assert there.dots == 15
    assert back.dots == 32


def test_what_has_no_kernel() -> None:
    assert "may be out of range" in found("""
        model m[d = 2](x[b, t, d], at[b, t]: int) -> [b, t, d]:
            scan t:
                carry y[d] = 0
                y = x + y[d = at % 2]
            return y
    """)
    assert "known only when it runs" in found("""
        model m(x[b, t, d]) -> [b, t, d]:
            scan t:
                carry y[d] = 0
                y = x + 0.1 * sum[d](y)
            return y
    """)


def ways(text: str) -> list[Kernel]:
    """The kernels of a recurrence, there and back."""
    kernel = made(text)
    return [kernel, adjoint(kernel.plan).kernel]


SPILLED = {
    "elementwise": {80: (0, 0), 90: (0, 0)},
    "cell": {80: (0, 0), 90: (0, 0)},
    "retention": {80: (0, 176), 90: (0, 88)},
    "gated": {90: (56, 408)},
    "gated delta": {90: (0, 728)},
}
"""Bytes of a thread that may lie in memory, for an A100 and an H100: there, and back. In float32 each
product of matrices is three, whose operands are held in two parts."""
TEXTS = {
    "elementwise": ELEMENTWISE,
    "cell": CELL,
    "retention": RETENTION,
    "gated": GATED,
    "gated delta": GATED_DELTA,
}


def test_compiled_ahead_for_gpus(tmp_path: Path) -> None:
    """As exact as they are run, all fits the shared memory, and little or nothing spills."""
    pytest.importorskip("triton")
    rows, most = [], []
    for name, archs in SPILLED.items():
        for arch, spilled in archs.items():
            rows += [recurrence(kernel, "float32", arch) for kernel in ways(TEXTS[name])]
            most += spilled
    for bytes_, (row, found) in zip(most, used(rows, tmp_path), strict=True):
        assert found["registers"] <= 255
        assert found["shared"] <= SHARED[row.arch], found
        assert found["spilled"] <= bytes_, (row.symbol, row.arch, found)
