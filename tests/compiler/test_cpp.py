"""Kernels as text: how axes are read, what shares a loop, and what has no kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.compiler.programs import graph_of

from neuraxis.compiler.context import Context
from neuraxis.compiler.costs import kernel_for
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit.cpp.kernel import Kernel
from neuraxis.dsl.ops import ScanAttrs

if TYPE_CHECKING:
    from tests.conftest import Golden

GATED = """
    model gated[k = 4, v = 16](q[b, t, k], key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, t, v]:
        scan t:
            carry S[k, v] = 0
            S = a * S + key * val
            o = dot[k](q, S)
        return o
"""
CORRECTED = """
    model corrected[k = 4, v = 16](key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, k, v]:
        scan t:
            carry S[k, v] = 0
            kept = a * S
            S = kept + key * (val - dot[k](key, kept))
        return S[t = -1]
"""


def found(text: str) -> Kernel | str:
    graph = compile_graph(graph_of(text), Context())
    scans = [graph.node(n).attrs for n in graph.in_order()]
    (scan,) = [attrs for attrs in scans if isinstance(attrs, ScanAttrs)]
    return kernel_for(scan)


def code(text: str) -> str:
    """A kernel without the prelude, which is the same in all."""
    made = found(text)
    assert isinstance(made, Kernel), made
    return made.source.partition("#endif\n\n")[2].replace(made.symbol, "scan_here")


def test_a_kernel_to_read(golden: Golden) -> None:
    golden("golden/emit/gated.cpp", code(GATED))


def test_the_same_recurrence_is_the_same_kernel() -> None:
    one, other = found(GATED), found(GATED.replace("model gated", "model other"))
    assert isinstance(one, Kernel)
    assert isinstance(other, Kernel)
    assert one.symbol == other.symbol


def test_a_state_is_read_and_written_in_one_pass() -> None:
    assert code(GATED).count("for (long i_k = 0") == 4  # in, kept for the way back, the step, out


def test_what_is_cheap_is_computed_again() -> None:
    """The decayed state is needed before and after the correction, and is not kept."""
    text = code(CORRECTED)
    assert text.count("const vec kept_") == 2
    assert "kept_0_kept" not in text


def test_what_does_not_vary_comes_out_of_a_sum() -> None:
    """The sum is over the old state, and the decayed one is needed once."""
    text = code(CORRECTED.replace("a[b, t, k]", "a[b, t]"))
    assert text.count("const vec kept_") == 1
    assert "kept_0_kept" not in text


def test_lanes_ride_along_and_the_vector_is_what_is_kept() -> None:
    made = found(GATED)
    assert isinstance(made, Kernel)
    step = next(border for border in made.borders if border.kind == "first")
    assert step.outer == ("b",)
    assert step.inner == ("k", "v")


def test_what_has_no_kernel() -> None:
    made = found("""
        model m[d = 2](x[b, t, d], at[b, t]: int) -> [b, t, d]:
            scan t:
                carry y[d] = 0
                y = x + y[d = at % 2]
            return y
    """)
    assert made == "a gather that may be out of range"
