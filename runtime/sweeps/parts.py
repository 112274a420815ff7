"""Which members are run together: as many as memory allows, by what their rows take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .members import Box


def split(box: Box, fits: Callable[[Box], bool]) -> Iterator[Box]:
    """The box in parts that fit, in order. The longest variable is taken apart first, the later
    one of two; what is one member fits anyhow."""
    longest = max(range(len(box)), key=lambda at: (box[at][1] - box[at][0], at), default=None)
    if longest is None or box[longest][1] - box[longest][0] == 1 or fits(box):
        yield box
        return
    start, stop = box[longest]
    while start < stop:
        end = _end(box, longest, start, fits)
        part = _with(box, longest, start, end)
        if end - start > 1:
            yield part
        else:
            yield from split(part, fits)
        start = end


def _end(box: Box, place: int, start: int, fits: Callable[[Box], bool]) -> int:
    """How far from a start on the box fits along a variable: one more at least."""
    low, high = start + 1, box[place][1]
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_with(box, place, start, middle)):
            low = middle
        else:
            high = middle - 1
    return low


def _with(box: Box, place: int, start: int, stop: int) -> Box:
    return (*box[:place], (start, stop), *box[place + 1 :])
