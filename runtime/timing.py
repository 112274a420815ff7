"""Timing on a machine that others use too: interleaved pairs in one process, and their ratios.

One thread is timed by process CPU time. Two or more are timed by the wall clock, for CPU time does
not say whether work was shared out well; the CPU time is given beside it.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """The median of ours / theirs over pairs, with the 95 % bootstrap interval of that median."""

    median: float
    low: float
    high: float
    pairs: int
    ours: float
    theirs: float

    def __str__(self) -> str:
        times = f"{1e3 * self.ours:.1f} / {1e3 * self.theirs:.1f} ms"
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]  {times}  {self.pairs} pairs"


@dataclass(frozen=True)
class Pairing:
    """Ours against theirs by both clocks, and theirs against itself."""

    cpu: Ratio
    wall: Ratio
    control_cpu: Ratio
    control_wall: Ratio

    def show(self, label: str) -> None:
        """Print the ratios by both clocks, and those of the control."""
        for clock in ("cpu", "wall"):
            print(f"{label:32} {clock:4} {getattr(self, clock)}", flush=True)
            control = getattr(self, f"control_{clock}")
            print(f"{'':32} A/A  {control.median:.3f} [{control.low:.3f}, {control.high:.3f}]")


def pairs(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    count: int,
    said: Callable[[], object] = int,
) -> Pairing:
    """Time ours and theirs in pairs, then theirs and theirs as a control.

    Each is as often first as second, and as often comes after itself, with its data in the cache.
    `said` is called after each pair.
    """
    ours()
    theirs()
    ratios = []
    for one in (ours, theirs):
        times: list[list[tuple[float, float]]] = [[], []]
        for turn in range(count):
            for place in (0, 1) if turn % 2 else (1, 0):
                times[place].append(_timed((one, theirs)[place]))
            said()
        ratios += [_ratio(*([pair[clock] for pair in side] for side in times)) for clock in (0, 1)]
    return Pairing(*ratios)


def _timed(function: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - cpu, time.perf_counter() - wall


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    stream = random.Random(0)
    medians = sorted(
        statistics.median(stream.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)
    )
    low, high = medians[RESAMPLES // 40], medians[-RESAMPLES // 40]
    return Ratio(
        statistics.median(ratios),
        low,
        high,
        len(ratios),
        statistics.median(ours),
        statistics.median(theirs),
    )
