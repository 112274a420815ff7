"""Programs on which a law once did not hold, with the law."""

from __future__ import annotations

import textwrap

import pytest

from neuraxis.runtime.program import Program
from neuraxis.testing import check_downstream_free, check_lowering, check_types


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


@pytest.mark.parametrize("site", ["lin.y", "lin"])
def test_what_is_written_below_names_nothing_above(site: str) -> None:
    """A linear map's result has two addresses, of which the shorter is written."""
    made = program("""
    model drawn[d = 2](x[b, d]) -> [b, d, h]:
        lin = linear[d -> h = 1](tanh(x), bias = false)
        return lin * x
    """)
    check_downstream_free(made, site=site)


def test_a_gradient_of_what_nearly_cancels_is_told_no_finer_than_it_is_rounded() -> None:
    check_lowering(
        program("""
        model drawn[d = 2](x[b, d]) -> [b]:
            return 1 - tanh(11 + 0.1 * tanh(sum[d](x)))
        """)
    )
