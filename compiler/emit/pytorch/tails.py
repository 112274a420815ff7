"""Which axes the readers of a value want last: those that they normalise or sum over.

Asked where a value is laid out anew anyway, so that what follows needs no copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.ops import MapAttrs
from ..forms import Core, LayerNorm, Linear, Pointwise, RMSNorm
from ..functions import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..functions import Function
    from ..recognise.selection import Plan

DEPTH = 4  # how many pointwise functions and calls are looked through


class Tails:
    """The wishes of all functions of a program."""

    def __init__(self, plans: Mapping[int, Plan]) -> None:
        self.plans = plans
        self._readers: dict[int, dict[str, list[str | tuple[Call, int]]]] = {}

    def of(self, function: Function, name: str, depth: int = DEPTH) -> tuple[str, ...]:
        """The axes that readers of a value want last, as most of them say; () if none does."""
        found: list[tuple[str, ...]] = []
        for reader in self._of(function).get(name, ()) if depth else ():
            if isinstance(reader, tuple):
                call, slot = reader
                inner = call.function.takes[slot] if slot < len(call.function.takes) else ""
                found.append(self.of(call.function, inner, depth - 1))
                continue
            piece = self.plans[id(function)].pieces[reader]
            if isinstance(piece.form, LayerNorm | RMSNorm | Linear):
                if piece.reads[0] == name:
                    found.append(piece.form.axes)
            elif isinstance(piece.form, Pointwise) or (
                isinstance(piece.form, Core) and isinstance(piece.node.attrs, MapAttrs)
            ):
                found.append(self.of(function, reader, depth - 1))
        said = [axes for axes in found if axes]
        return max(said, key=said.count, default=())

    def _of(self, function: Function) -> dict[str, list[str | tuple[Call, int]]]:
        known = self._readers.get(id(function))
        if known is None:
            known = self._readers[id(function)] = {}
            for name, piece in self.plans[id(function)].pieces.items():
                for read in dict.fromkeys(piece.reads):
                    known.setdefault(read, []).append(name)
            for item in function.items:
                if isinstance(item, Call):
                    for slot, taken in enumerate(item.takes):
                        known.setdefault(taken, []).append((item, slot))
        return known
