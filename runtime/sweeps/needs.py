"""What running some members takes: memory, and products of numbers.

The emitted code itself says what it holds at the most: it is run on tensors that have shapes and
no numbers. That takes as long as Python takes, so it is left out where the graph alone says that
there is room enough.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ...compiler.sweeps import Footprint
from ...dsl.ops import SCAN
from .hollow import tried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...compiler.graph import Graph
    from ..lowering import Lowered

WORK = 1 << 40
"""Products of numbers in one part at the most: half a minute of a core, which is what is lost when
a sweep is stopped."""

SURELY = 3  # code holds at most so many times what its graph says: 1.0 to 1.7 in GPT-2 small,
LOOPS = (
    50  # and where PyTorch runs recurrences in parallel, of which the graph says little, 5 to 24
)
BESIDE = 1.05  # all that a part takes, over its tensors: its code, what products work with


class Needs:
    """Of a graph that `lower` makes code of, for any run-time sizes. The inputs `own` are made for
    each part; all others are there anyhow."""

    def __init__(
        self, graph: Graph, lower: Callable[[Graph], Lowered], own: tuple[str, ...] = ()
    ) -> None:
        self.graph, self.lower = graph, lower
        self.own = [name for name in own if name in graph]
        self.footprint = Footprint(graph)
        loops = any(graph.node(name).op is SCAN for name in graph.in_order())
        self.margin = LOOPS if loops else SURELY
        self._peaks: dict[tuple[tuple[str, int], ...], float] = {}

    def fits(self, known: Mapping[str, int], memory: float) -> bool:
        """Whether it can be run in so many bytes, and at once."""
        return self.footprint.work(known) <= WORK and self.has_room(known, memory)

    def has_room(self, known: Mapping[str, int], memory: float) -> bool:
        """Whether it can be run in so many bytes."""
        return self.surely_fits(known, memory) or self.peak(known) * BESIDE <= memory

    def surely_fits(self, known: Mapping[str, int], memory: float) -> bool:
        """Whether so many bytes are so much that nobody need look."""
        return self.footprint.peak(known) * self.margin <= memory

    def peak(self, known: Mapping[str, int]) -> float:
        """Bytes of the tensors that are held at the most. What looks at numbers cannot be tried: of
        that the graph says it, with a margin."""
        key = tuple(sorted(known.items()))
        if key not in self._peaks:
            self._peaks[key] = self.footprint.peak(known) * self.margin
            with suppress(RuntimeError, IndexError, KeyError):
                most = tried(self.lower(self.graph), known)
                self._peaks[key] = most + self.footprint.of(self.own, known)
        return self._peaks[key]
