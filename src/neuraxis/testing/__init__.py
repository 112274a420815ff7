"""Property tests of one's own specs: Hypothesis strategies, tolerances, and the laws.

from neuraxis.testing import check_lowering

def test_my_model() -> None:
    check_lowering(neuraxis.load("my.nax"), "gpt")
"""

from __future__ import annotations

from .changes import (
    check_disjoint_commute,
    check_downstream_free,
    check_noop,
    check_patch_all,
)
from .comparing import assert_close
from .graphs import graphs
from .interventions import interventions
from .lowering import check_graph, check_lowering
from .recurrent import check_parallel
from .specs import recurrences, specs

__all__ = [
    "assert_close",
    "check_disjoint_commute",
    "check_downstream_free",
    "check_graph",
    "check_lowering",
    "check_noop",
    "check_parallel",
    "check_patch_all",
    "graphs",
    "interventions",
    "recurrences",
    "specs",
]
