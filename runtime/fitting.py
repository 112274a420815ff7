"""Whether an array of a file fits a parameter, and how it is put there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from ..dsl.diagnostics import Slug
from .arrays import named
from .parameters import shape_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ..dsl.program import Cut, FileMapping
    from .arrays import Pick, Stored


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which part of an array is read, the sizes of its axes one by one, what is picked along them,
    and in which order the parameter has the others."""

    cuts: tuple[Pick, ...] = ()
    split: tuple[int, ...] = ()
    picks: tuple[Pick, ...] = ()
    order: tuple[int, ...] = ()

    def of(self, array: Stored) -> torch.Tensor:
        """That part, with the axes of the parameter."""
        return array.read(self.cuts).reshape(self.split)[self.picks].permute(self.order)


@dataclass(frozen=True, slots=True)
class Part:
    """How a parameter is read: from one array, or from several side by side, each at its place."""

    mapping: FileMapping
    arrays: tuple[tuple[tuple[int, ...], Stored], ...]
    layout: _Layout
    along: tuple[int, ...]  # at which axes of the parameter the arrays stand side by side

    def into(self, target: torch.Tensor) -> None:
        """Put the numbers in their place, one array after another."""
        first = target.movedim(self.along, tuple(range(len(self.along))))
        for place, array in self.arrays:
            piece = self.layout.of(array)
            own = first[place] if place else first
            own.copy_(piece)
            if self.mapping.scale != 1 or self.mapping.shift:
                own.mul_(self.mapping.scale).add_(self.mapping.shift)


class MisfitError(Exception):
    """An array that is not what its parameter wants."""

    def __init__(self, slug: Slug, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.slug, self.message, self.hint = slug, message, hint


def part_of(
    mapping: FileMapping,
    own: Mapping[str, int],
    file: str,
    arrays: Mapping[str, Stored],
    text: str,
) -> Part:
    """How a parameter is read. `own` are its axes as written, with their sizes. Raises DataError if
    an array is not there, and MisfitError if it does not fit."""
    along = [axis for axis in own if any(f"{{{axis}}}" in name for name in mapping.names)]
    left = {axis: size for axis, size in own.items() if axis not in along}
    found: list[tuple[tuple[int, ...], Stored]] = []
    made: set[tuple[int, ...]] = set()
    layout = _Layout()
    for place in product(*(range(own[axis]) for axis in along)):
        names = mapping.names
        for axis, at in zip(along, place, strict=True):
            names = tuple(name.replace(f"{{{axis}}}", str(at)) for name in names)
        array = named(names, arrays, text)
        layout = _laid_out(mapping, left, array, file)
        made.add(array.shape)
        found.append((place, array))
    if len(made) > 1:
        message = f"the arrays along {', '.join(f'`{axis}`' for axis in along)} are not alike"
        raise MisfitError(Slug.SIZE_MISMATCH, message)
    stands = tuple([list(own).index(axis) for axis in along])
    return Part(mapping, tuple(found), layout, stands)


def _laid_out(mapping: FileMapping, own: Mapping[str, int], array: Stored, file: str) -> _Layout:
    """How the array makes the axes of the parameter, `own`."""
    shown = f'`{array.name}` in "{file}"'
    if array.kind.startswith("C"):
        raise MisfitError(Slug.WRONG_DTYPE, f"{shown} holds complex numbers")
    cut = _cut(mapping.cuts, array.shape)
    if cut is None:
        message = f"{shown} is {shape_text(array.shape)}, and has no such part"
        raise MisfitError(Slug.BAD_INDEX, message)
    cuts, found = cut
    groups = mapping.order if mapping.order is not None else tuple((axis,) for axis in own)
    picked = dict(mapping.picks)
    known = dict(own)
    for group, size in zip(groups, found, strict=False):  # an axis that is picked has what is left
        spare = [axis for axis in group if axis in picked]
        rest = prod(own.get(axis, 1) for axis in group)
        for axis in spare[:1]:
            known[axis] = max(size // rest, 1)
            if not -known[axis] <= picked[axis] < known[axis]:
                place = f"no place {picked[axis]} along `{axis}`, of which it has {known[axis]}"
                raise MisfitError(Slug.BAD_INDEX, f"{shown} has {place}")
    for axis in picked:
        known.setdefault(axis, 1)  # of two on one axis, the second
    expected = tuple(prod(known[axis] for axis in group) for group in groups)
    if found != expected:
        part = "that part of " if mapping.cuts else ""
        axes = ", ".join(
            group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups
        )
        message = (
            f"{part}{shown} is {shape_text(found)}, and"
            f" `{mapping.address}` as [{axes}] is {shape_text(expected)}"
        )
        raise MisfitError(Slug.SIZE_MISMATCH, message, _turned(mapping, own, found))
    given = [axis for group in groups for axis in group]
    picks = tuple([picked.get(axis, slice(None)) for axis in given])
    kept = [axis for axis in given if axis not in picked]
    order = tuple([kept.index(axis) for axis in own])
    return _Layout(cuts, tuple([known[axis] for axis in given]), picks, order)


def _cut(
    cuts: tuple[Cut | int, ...], shape: tuple[int, ...]
) -> tuple[tuple[Pick, ...], tuple[int, ...]] | None:
    """What is picked along each axis, and the shape that is left; None if it is not there."""
    if len(cuts) > len(shape):
        return None
    picks: list[Pick] = []
    left: list[int] = []
    for cut, size in zip(cuts, shape, strict=False):
        if isinstance(cut, int):
            if not -size <= cut < size:
                return None
            picks.append(cut % size)
            continue
        start, stop = (0 if cut[0] is None else cut[0], size if cut[1] is None else cut[1])
        start, stop = (place + size if place < 0 else place for place in (start, stop))
        if not 0 <= start < stop <= size:
            return None
        picks.append(slice(start, stop))
        left.append(stop - start)
    return tuple(picks), (*left, *shape[len(cuts) :])


def _turned(mapping: FileMapping, own: Mapping[str, int], found: tuple[int, ...]) -> str | None:
    """A hint for an array that is only the other way around."""
    if mapping.order is not None or tuple(own.values())[::-1] != found:
        return None
    return f"`as [{', '.join(list(own)[::-1])}]` says the order of the axes in the file"
