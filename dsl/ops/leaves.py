"""Operations that read nothing: inputs, parameters, states, drawn numbers, constants, indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core import Axes, Axis, Body, DType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import Operand, Typed


@dataclass(frozen=True, slots=True)
class InputAttrs:
    """An argument of the program; `order` is the axis order at the border. One that `grows` along
    an axis is held in memory that has room for what is put behind it."""

    order: tuple[str, ...]
    axes: Axes
    dtype: DType
    grows: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """`normal(0, 0.02)`: a name and numbers."""

    name: str
    args: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ParamAttrs:
    """A parameter: trained, or fixed. Its node's `site` names it; `axes` are in written order.

    `init` is a distribution or a closed body whose one result is the initial value.
    """

    axes: Axes
    init: Distribution | Body
    trained: bool = True


@dataclass(frozen=True, slots=True)
class StateAttrs:
    """A value kept between calls, read. The program says what it becomes (see
    `Program.updates`)."""

    axes: Axes
    init: Distribution | Body


def seeded(seed: int) -> str:
    """Before a colon and a key or an address: what is drawn is of this seed."""
    return f"seed={seed}"


@dataclass(frozen=True, slots=True)
class RandomAttrs:
    """Numbers drawn anew at each call, keyed by seed, `key` and call."""

    axes: Axes
    distribution: Distribution
    key: str
    dtype: DType = DType.FLOAT


@dataclass(frozen=True, slots=True)
class ConstAttrs:
    """A number."""

    value: int | float | bool


@dataclass(frozen=True, slots=True)
class IotaAttrs:
    """The index along an axis: 0, 1, 2, ..."""

    axis: Axis


def declared(
    attrs: InputAttrs | ParamAttrs | StateAttrs | RandomAttrs, _: Sequence[Operand]
) -> Typed:
    """What is declared has the type that it says."""
    return attrs.axes, getattr(attrs, "dtype", DType.FLOAT)


def const(attrs: ConstAttrs, _: Sequence[Operand]) -> Typed:
    """A number has no axes."""
    if isinstance(attrs.value, bool):
        return (), DType.BOOL
    return (), DType.INT if isinstance(attrs.value, int) else DType.FLOAT


def iota(attrs: IotaAttrs, _: Sequence[Operand]) -> Typed:
    """An index has its axis."""
    return (attrs.axis,), DType.INT
