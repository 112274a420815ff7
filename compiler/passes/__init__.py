"""The passes, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..context import Context
from .batch import batch
from .contract import contract
from .fold import fold
from .hoist import hoist
from .narrow import narrow
from .parallelise import parallelise
from .prune import prune
from .regroup import regroup
from .share import share
from .sink import sink

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..graph import Graph


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite of the graph that keeps what it computes."""

    name: str
    function: Callable[[Graph, Context], Graph]


PASSES = (
    Pass("fold", fold),
    Pass("prune", prune),
    Pass("share", share),
    Pass("sink", sink),
    Pass("narrow", narrow),
    Pass("tidy", prune),
    Pass("contract", contract),
    Pass("regroup", regroup),
    Pass("batch", batch),
    Pass("hoist", hoist),
    Pass("parallelise", parallelise),
)

__all__ = [
    "PASSES",
    "Context",
    "Pass",
    "batch",
    "contract",
    "fold",
    "hoist",
    "narrow",
    "parallelise",
    "prune",
    "regroup",
    "share",
    "sink",
]
