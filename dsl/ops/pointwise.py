"""Pointwise functions, reductions and contractions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core import DType, without
from ..functions import MAPS, REDUCTIONS
from .types import Operand, Typed, broadcast, has

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class MapAttrs:
    """A pointwise function of operands that are broadcast by name."""

    fn: str


@dataclass(frozen=True, slots=True)
class ReduceAttrs:
    """A reduction over axes, which are gone afterwards."""

    fn: str
    axes: tuple[str, ...]
    argument: float | None = None  # the q of a quantile, the p of a norm


@dataclass(frozen=True, slots=True)
class ContractAttrs:
    """The product of all operands, broadcast by name, summed over `axes`."""

    axes: tuple[str, ...]


def mapped(attrs: MapAttrs, operands: Sequence[Operand]) -> Typed:
    """All axes of the operands."""
    return broadcast(*(axes for axes, _ in operands)), MAPS[attrs.fn].dtype(
        [dtype for _, dtype in operands]
    )


def reduced(attrs: ReduceAttrs, operands: Sequence[Operand]) -> Typed:
    """The axes that are left."""
    axes, dtype = operands[0]
    has(axes, attrs.axes)
    return without(axes, attrs.axes), REDUCTIONS[attrs.fn].dtype([dtype])


def contracted(attrs: ContractAttrs, operands: Sequence[Operand]) -> Typed:
    """All axes of the operands but those that are summed over."""
    axes = broadcast(*(axes for axes, _ in operands))
    has(axes, attrs.axes)
    return without(axes, attrs.axes), MAPS["mul"].dtype([d for _, d in operands] + [DType.INT])
