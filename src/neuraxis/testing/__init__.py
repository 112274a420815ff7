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
from .clamping import check_clamps
from .comparing import assert_close
from .experiments import sweeps
from .fitting import check_fitting, trainings
from .graphs import graphs
from .interventions import interventions
from .lowering import check_graph, check_lowering
from .pointwise import chains
from .reading import check_any_text, check_formatting
from .recurrent import check_parallel
from .returning import check_gains, check_nothing, check_reroute
from .riding import check_lifting, check_ragged
from .selecting import check_parts, check_selectors
from .shapes import check_types
from .specs import recurrences, specs
from .splicing import check_splices
from .steering import steerings
from .stepping import check_decoding, check_steering
from .sweeping import check_scan_steps, check_sweep_members

__all__ = [
    "assert_close",
    "chains",
    "check_any_text",
    "check_clamps",
    "check_decoding",
    "check_disjoint_commute",
    "check_downstream_free",
    "check_fitting",
    "check_formatting",
    "check_gains",
    "check_graph",
    "check_lifting",
    "check_lowering",
    "check_noop",
    "check_nothing",
    "check_parallel",
    "check_parts",
    "check_patch_all",
    "check_ragged",
    "check_reroute",
    "check_scan_steps",
    "check_selectors",
    "check_splices",
    "check_steering",
    "check_sweep_members",
    "check_types",
    "graphs",
    "interventions",
    "recurrences",
    "specs",
    "steerings",
    "sweeps",
    "trainings",
]
