"""Programs on which a law once did not hold, with the law."""

from __future__ import annotations

import textwrap

import pytest

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program
from neuraxis.testing import (
    check_decoding,
    check_downstream_free,
    check_lowering,
    check_ragged,
    check_types,
)


def program(text: str) -> Program:
    return Program.from_text(textwrap.dedent(text).lstrip("\n"))


def test_a_recurrence_that_is_the_same_in_several_turns_has_its_results_beside_it() -> None:
    check_types(
        program("""
        model drawn[d = 2](x[b, t, d], y[b]) -> [b]:
            repeat layer * 2:
                repeat inner * 2:
                    scan t:
                        carry s = y
                        s = 0.5 * s
                        seen = tanh(s)
                    x = x + seen
                y = y + tanh(mean[t, d](x))
            return y
        """)
    )


def test_what_is_written_below_names_nothing_above() -> None:
    """A linear map's result has two addresses, of which the shorter is written."""
    made = program("""
    model drawn[d = 2](x[b, t, d], y[b]) -> [b, t, d]:
        v1 = rmsnorm[d](x)
        v2 = tanh(v1)
        v3 = gated_delta[h = 1, k = 2, v = 2](v2)
        return v3
    """)
    check_downstream_free(made, site="v3.q_in.y", seed=2869)


def test_a_gradient_of_what_nearly_cancels_is_told_no_finer_than_it_is_rounded() -> None:
    check_lowering(
        program("""
        model drawn[d = 2](x[b, t, d]) -> [d]:
            v1 = tanh(dot[b, t](x, x))
            v6 = 1 - v1
            return v6
        """)
    )


def test_a_number_may_be_added_to_scores() -> None:
    check_lowering(
        program("""
        model drawn[d = 4](x[b, t, d], strength[]) -> [b, t, g]:
            q = linear[d -> g = 2](x)
            scores = dot[g](q, x[t -> a, d = 0..2][d -> g]) + strength
            return dot[a](softmax[a](scores), q[t -> a])
        """)
    )


def test_a_carry_that_begins_with_all_positions_is_not_causal() -> None:
    """It was gone on from, as if what it began with were known."""
    text = """
model m[d = 2](x[b, t, d]) -> [b, t, d]:
    whole = sum[t](x)
    scan t:
        carry s[d] = whole
        s = 0.5 * s + x
    return s
"""
    with pytest.raises(SpecError, match="not-causal"):
        Program.from_text(text).model().stepper()
    first = text.replace("sum[t](x)", "x[t = 0]")
    check_decoding(Program.from_text(first), parts=[2, 1, 2])


def test_a_step_may_have_axes_that_nothing_it_reads_has() -> None:
    made = program("""
        model drawn[d = 2](x[b, t, d], at[b, t]: int, y[]) -> [b, t]:
            return tanh(where(at > 0, y, y))
    """)
    check_decoding(made, parts=[1, 1])


def test_what_all_examples_share_has_no_end_of_its_own() -> None:
    made = program("""
        model drawn[d = 2](x[b, t of b, d], y[t]) -> [], [t]:
            scan t:
                carry S = 0
                S = 0.5 * S + y
            return sum[t](tanh(y)), tanh(S)
    """)
    check_ragged(made)


def test_a_value_may_be_two_results_of_a_step() -> None:
    """It was made twice, and an input the second time had no name to be given by."""
    text = "model drawn[d = 2](x[b, t, d], y[b]) -> [b], [b], [b, t, d]:\n    return y, y, x\n"
    check_decoding(Program.from_text(text), parts=[2, 1, 1], axis="t")


def test_a_few_positions_alone_have_no_step() -> None:
    """Those of the new part were read in their place."""
    text = (
        "model m[d = 2](x[b, t, d]) -> [b, e, d], [b, t, d]:\n    return x[t = 0..1][t -> e], x\n"
    )
    with pytest.raises(SpecError, match=r"reads positions 0\.\.1 of `t` alone"):
        Program.from_text(text).model().stepper("t")


def test_a_cache_that_nothing_reads_is_not_kept() -> None:
    """Attention feeds a carry that is in no result, but beside one that is: its keys were put behind
    those before as if there were a cache."""
    text = """
model m[d = 4](x[b, t, d]) -> [g, b, t, d]:
    v = scored_attention[h = 2, k = 2](x)
    scan g * 2:
        carry s[b, t, d] = 0
        carry r[b, t, d] = 0.5
        s = sigmoid(x) * s + x
        r = sigmoid(v) * r + tanh(v)
    return s
"""
    check_decoding(Program.from_text(text), parts=[2, 2, 1, 3], axis="t")


def test_a_product_of_numbers_is_summed_over_nothing() -> None:
    """It was written as one of matrices, and a number is none."""
    made = program("""
        model drawn[d = 2](x[b, d]) -> [], [b, d]:
            param w ~ uniform(-1, 1)
            return dot[](w, abs(0.0)), dot[](x, w, 2.0)
    """)
    check_lowering(made)


@pytest.mark.cxx
def test_an_output_of_a_recurrence_may_call_an_axis_otherwise() -> None:
    """Nothing that the kernel reads has an axis of that name, and how long it is was not found."""
    made = program("""
        model drawn(x[b, t]) -> [t, a], [t, a]:
            scan t:
                carry s = 0
                s = 0.5 * s + tanh(x)
                renamed = s[b -> a]
            return renamed, renamed + sum[b](s)
    """)
    check_lowering(made)


@pytest.mark.cxx
def test_recurrences_of_two_lengths_are_two_calls() -> None:
    """They were one call, and what PyTorch ran in its place had the length of the first."""
    known: set[str] = set()
    for size in (2, 3):
        made = program(f"""
            model drawn[d = {size}](x[b, t, d]) -> [t, d]:
                scan d:
                    carry s = 0
                    s = sigmoid(x) * s + (1 - sigmoid(x)) * x
                scan t:
                    carry r = 0
                    r = 0.5 * r + tanh(s)
                    middle = quantile[b](r, 0.5)
                return middle
        """)
        check_lowering(made)
        own = {call.name for call in made.model("drawn")._artifact.kernels}
        assert own.isdisjoint(known)
        known |= own
