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
    return Members(work.axes, values, lines)


def _all(work: Work, kept: Kept | None, how: Running) -> torch.Tensor:
    """The parts, kept as they come."""
    found = {box: part for box in work.boxes if kept and (part := kept.read(box)) is not None}
    missing = [box for box in work.boxes if box not in found]
    total = whole(work.counts)
    how.progress.start(work.sweep.plan.name, sum(map(count, found)), count(total))
    interrupts = nullcontext(Stop()) if kept is None else deferred()
    try:
        with interrupts as stop:
            for box, part in _computed(work, missing, how.on):
                found[box] = part
                if kept is not None:
                    kept.write(box, part)
                how.progress.advance(count(box))
                if stop.asked:
                    raise KeyboardInterrupt
    finally:
        how.progress.stop()
    if len(found) == 1:
        return next(iter(found.values()))
    first = next(iter(found.values()))
    shape = list(first.shape)
    places = [work.axes.index(axis) for axis in work.swept]
    for place, size in zip(places, work.counts, strict=True):
        shape[place] = size
    values = first.new_empty(shape)
    for box, part in found.items():
        at = [slice(None)] * len(shape)
        for place, (start, stop_) in zip(places, box, strict=True):
            at[place] = slice(start, stop_)
        values[tuple(at)] = part
    return values


def _computed(work: Work, boxes: Iterable[Box], on: str) -> Iterator[tuple[Box, torch.Tensor]]:
    """The parts as they are done, in any order."""
    boxes = list(boxes)
    if on == "ray" and boxes:
        yield from on_ray(work, boxes)
        return
    for box in boxes:
        yield box, work.part(box)
