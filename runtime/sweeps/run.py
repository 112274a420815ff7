"""Runs the parts of a sweep that are not there yet, and puts all of them together."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from ..training.interrupts import Stop, deferred
from .kept import Kept
from .members import Members, Running, count, whole
from .on_ray import on_ray
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch
    from torch import nn

    from .members import Box
    from .sweep import Sweep


def run(
    sweep: Sweep,
    inputs: Mapping[str, torch.Tensor],
    known: Mapping[str, int],
    shared: nn.Module,
    *,
    seed: int = 0,
    how: Running | None = None,
) -> Members:
    """Run all members. `inputs` are tensors by the address of their node, swept values included;
    `known` are the run-time sizes."""
    how = how or Running()
    return run_work(Work(sweep, inputs, known, shared, seed=seed, memory=how.memory), how)


def run_work(work: Work, how: Running) -> Members:
    """Run all members of a sweep that was made ready."""
    kept = None
    if how.folder is not None:
        kept = Kept(how.folder / "parts" / work.sweep.plan.name, work)
        kept.open(resume=how.resume)
    values = _all(work, kept, how)
    lines = work.sweep.how(work.packed)
    if len(work.boxes) > 1:
        lines = (*lines, f"in {len(work.boxes)} parts, so that they fit into memory")
    return Members(work.axes, values, (*lines, *_warnings(work)))


def _warnings(work: Work) -> tuple[str, ...]:
    """What is not as it should be."""
    if not work.excess:
        return ()
    needed = f"{work.excess / (1 << 20):.0f} MiB"
    return (f"a member by itself takes {needed}, which is more than was allowed",)


def _all(work: Work, kept: Kept | None, how: Running) -> torch.Tensor:
    """The parts, kept as they come."""
    together = Together(work)
    missing = []
    for box in work.boxes:
        part = None if kept is None else kept.read(box)
        if part is None:
            missing.append(box)
        else:
            together.put(box, part)
    how.progress.start(work.sweep.plan.name, together.done, count(whole(work.counts)))
    for line in _warnings(work):
        how.progress.note(line)
    interrupts = nullcontext(Stop()) if kept is None else deferred()
    try:
        with interrupts as stop:
            for box, part in _computed(work, missing, how.on):
                together.put(box, part)
                if kept is not None:
                    kept.write(box, part)
                how.progress.advance(count(box))
                if stop.asked:
                    raise KeyboardInterrupt
    finally:
        how.progress.stop()
    return together.values


class Together:
    """What all members give, put together from parts; `done` says of how many it is there."""

    values: torch.Tensor

    def __init__(self, work: Work) -> None:
        self.work, self.done = work, 0

    def put(self, box: Box, part: torch.Tensor) -> None:
        """Put a part in its place. One that is the whole is not copied."""
        work = self.work
        if len(work.boxes) == 1:
            self.values = part
        else:
            sizes = dict(zip(work.swept, work.counts, strict=True))
            spans = {axis: slice(*span) for axis, span in zip(work.swept, box, strict=True)}
            if not self.done:
                shape = [
                    sizes.get(axis, size) for axis, size in zip(work.axes, part.shape, strict=True)
                ]
                self.values = part.new_empty(shape)
            self.values[tuple(spans.get(axis, slice(None)) for axis in work.axes)] = part
        self.done += count(box)


def _computed(work: Work, boxes: Iterable[Box], on: str) -> Iterator[tuple[Box, torch.Tensor]]:
    """The parts as they are done, in any order."""
    boxes = list(boxes)
    if on == "ray" and boxes:
        yield from on_ray(work, boxes)
        return
    for box in boxes:
        yield box, work.part(box)
