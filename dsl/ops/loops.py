"""Recurrences, several results, and what is said of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core import Axes, Axis, Body, DType, names
from .types import Operand, Typed, has

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class ScanAttrs:
    """A recurrence along `axis`. Operands: `carries` initial values, then per-step values (which
    have the axis), then constants (which do not). `body` has input nodes in that order, the
    per-step ones without the axis; its results are the new carries, then what each step gives out.
    The node's results (read by `item`): last carries, then the outputs with the axis."""

    axis: Axis
    body: Body
    carries: int
    steps: int
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class ItemAttrs:
    """One of several results."""

    index: int
    axes: Axes
    dtype: DType


@dataclass(frozen=True, slots=True)
class StopAttrs:
    """The value, through which no gradient flows."""


@dataclass(frozen=True, slots=True)
class BackwardAttrs:
    """The value, whose gradient on its way back becomes what a rule makes of it.

    Operands: the value, then what else the rule reads. The body's inputs are what arrives, the
    value, and the others; its result is what goes on, and may lack axes of the value.
    """

    body: Body


@dataclass(frozen=True, slots=True)
class DeriveAttrs:
    """A derivative that is asked for: operands are a value, what it is made of, and a direction;
    forwards there may be more of what it is made of, each with a direction.

    Backwards the direction is a cotangent of the value, and this the cotangent of what it is made
    of; forwards the direction is a change of that, and this the change of the value. Along `riding`
    every position is a program of its own; with `lifts`, along all axes of the value that the
    direction and what it is made of lack. It is worked out (`derivatives/`) when all types are
    known, and stands in no checked program.
    """

    forward: bool
    riding: tuple[str, ...] = ()
    lifts: bool = False


def derived(attrs: DeriveAttrs, operands: Sequence[Operand]) -> Typed:
    """That of what is differentiated by, or of what is made, with what rides along."""
    (value, _), (source, _), (direction, _) = operands[:3]
    made, given = (value, source) if attrs.forward else (source, value)
    own = {*names(made)}
    led = {*names(direction)}
    more = {a.name: a for a in given if attrs.lifts and a.name not in led}
    more |= {a.name: a for a in (*given, *direction) if a.name in attrs.riding}
    return (*made, *(axis for name, axis in more.items() if name not in own)), DType.FLOAT


def scanned(attrs: ScanAttrs, operands: Sequence[Operand]) -> Typed:
    """That of the first result; items have those of all."""
    per_step = operands[attrs.carries : attrs.carries + attrs.steps]
    for axes, _ in per_step:
        has(axes, [attrs.axis.name])
    return (), DType.FLOAT


def taken(attrs: ItemAttrs, _: Sequence[Operand]) -> Typed:
    """The type that it says."""
    return attrs.axes, attrs.dtype


def same(_: StopAttrs | BackwardAttrs, operands: Sequence[Operand]) -> Typed:
    """That of the value."""
    return operands[0]
