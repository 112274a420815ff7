"""Regions that are run by kernels: pointwise functions and reductions, row by row."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from ..compiler.costs import least
from ..compiler.emit.cpp.kernel import CHUNK
from ..compiler.emit.cpp.regions.backward import backward
from ..compiler.emit.cpp.regions.rows import last_of
from ..compiler.emit.unsupported import UnsupportedError
from .alone import alone
from .called import Called, filled, float_results, gatherings
from .operators import Compiled, Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..compiler.artifact import RegionCall
    from ..compiler.emit.cpp.kernel import Kernel
    from ..compiler.emit.cpp.regions.backward import Backward
    from .called import Gradients, Tensors

PIECES = 64  # of work, that rows are shared out in
FEWEST = 8  # rows of one


class _Rows(Operator):
    """A kernel that runs rows: it says itself how many make a piece of work."""

    def sizes(self, operands: Tensors, every: int) -> dict[Any, Any]:
        """How long each axis is, that of the rows and that of the pieces of work too."""
        found = self.said(operands)
        rows = self._rows(found)
        found[self.kernel.axis.name] = rows
        if self.sums:
            found[CHUNK.name] = (rows + _together(rows) - 1) // _together(rows)
        return found

    @cached_property
    def sums(self) -> bool:
        """Whether something is given out once for each piece of work."""
        return any(CHUNK in border.axes for border in self.kernel.results)

    def counts(self, sizes: dict[str, Any], steps: int, every: int) -> list[int]:
        """The rows, the threads, and how many rows make a piece of work."""
        rows = self._rows(sizes)
        return [rows, torch.get_num_threads(), _together(rows)]

    def _rows(self, sizes: dict[str, Any]) -> int:
        inner = {axis for border in self.kernel.borders for axis in border.inner}
        return math.prod(sizes[axis.name] for axis in self.kernel.lanes if axis.name not in inner)


def _together(rows: int) -> int:
    """How many rows make a piece of work, whatever threads there are."""
    return max(FEWEST, (rows + PIECES - 1) // PIECES)


class Family:
    """Regions that are compiled together, and their ways back, also together."""

    def __init__(self, library: Compiled) -> None:
        self.library = library
        self.regions: list[_Region] = []

    def region(self, call: RegionCall) -> Called:
        """One more."""
        self.regions.append(_Region(call, self))
        return self.regions[-1]

    @cached_property
    def ways_back(self) -> dict[_Region, _WayBack]:
        """The kernels of the ways back, where there are any."""
        found: dict[_Region, Backward] = {}
        for region in self.regions:
            try:
                call, lanes = region.call, region.kernel.lanes
                found[region] = backward(call.body, lanes, call.moved, last_of(call.orders))
            except UnsupportedError:
                continue
        library = Compiled(self.library.command, [made.kernel for made in found.values()])
        return {region: _WayBack(region, made, library) for region, made in found.items()}


class _Region(Called):
    """One region, as it is called."""

    call: RegionCall
    kernel: Kernel

    def __init__(self, call: RegionCall, family: Family) -> None:
        self.family, self.call, self.kernel = family, call, call.kernel
        self.largest = max(range(len(call.orders)), key=lambda at: len(call.orders[at]), default=-1)
        self.least = least(call.spared)
        self.operator = _Rows(
            call.name, call.kernel, family.library, call.orders, call.results, self._instead
        )
        self.start()

    @cached_property
    def plain(self) -> Callable[..., tuple[torch.Tensor, ...]]:
        """The same operation by operation in PyTorch."""
        call = self.call
        function = alone(call.name, call.body, call.orders, call.results)

        def run(*operands: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = function(*operands)
            return found if isinstance(found, tuple) else (found,)

        return run

    def pays(self, operands: Tensors) -> bool:
        """Whether the largest operand is large enough."""
        return self.largest < 0 or operands[self.largest].numel() >= self.least

    def every(self, operands: Tensors, *, learns: bool) -> int:
        """Nothing: rows are shared out by how many there are."""
        return 0

    def returning(
        self, operands: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> _WayBack | None:
        """The kernel of the way back, if there is one and nothing is to be filled in."""
        found = self.family.ways_back.get(self)
        if found is None or any(gradients[at] is None for at in found.float_results):
            return None
        return found if found.compiles(operands) else None

    def back(
        self, operands: Tensors, before: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands by a kernel, if there is one."""
        found = self.family.ways_back.get(self)
        return None if found is None else found(operands, gradients, wanted)


class _WayBack:
    """The kernel of the way back of one region."""

    def __init__(self, region: _Region, made: Backward, library: Compiled) -> None:
        self.region = region
        self.float_results = float_results(region)
        orders = [*region.call.orders, *(region.call.results[at] for at in self.float_results)]
        count = len(region.call.orders)
        self.places = (*range(count), *(count + at for at in self.float_results))
        self.every = 0
        results = [(*border.outer, *border.inner) for border in made.kernel.results]
        known = dict(zip(made.kernel.results, results, strict=True))
        self.gathered = gatherings(region.call.orders, made.returns, known)
        self.operator = _Rows(f"{region.call.name}_back", made.kernel, library, orders, results)

    def __call__(
        self, operands: Tensors, gradients: Gradients, wanted: Sequence[bool]
    ) -> list[torch.Tensor | None] | None:
        """Gradients of operands from those of results; None if the compiler fails."""
        if not self.compiles(operands):
            return None
        like = next(x for x in operands if x.is_floating_point())
        sizes = {} if None not in gradients else self.region.operator.sizes(operands, 0)
        came = [filled(gradients, at, self.region, sizes, like) for at in self.float_results]
        made = self.operator([*operands, *came], 0)
        return [
            gather(made) if need and gather is not None else None
            for gather, need in zip(self.gathered, wanted, strict=True)
        ]

    def compiles(self, operands: Tensors) -> bool:
        """Whether the compiler takes it."""
        like = next(x for x in operands if x.is_floating_point())
        kernel = self.operator.kernel
        return self.operator.library.function(kernel.symbol, like.dtype) is not None
