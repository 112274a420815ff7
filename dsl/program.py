"""What the checker hands on: models as programs over the core language, with their borders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .core import Body, DType
from .sizes import Size
from .source import Span


@dataclass(frozen=True, slots=True)
class InputDecl:
    """An argument of a model: its axes in written order, its dtype."""

    name: str
    order: tuple[str, ...]
    dtype: DType
    span: Span
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ResultDecl:
    """A result of a model, with the axis order at the border; axes that rode in stand in front."""

    name: str
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """`low <= high`, to be checked at the border where run-time sizes become known."""

    low: Size
    high: Size
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model, elaborated with all its sizes.

    `body.results` are the results, then the new values of `updates` (addresses of states).
    `aliases` maps further addresses of a value to the address its node carries.
    `ragged` maps a run-time size symbol to the axis for each index of which it has its own value.
    """

    name: str
    body: Body
    inputs: tuple[InputDecl, ...]
    results: tuple[ResultDecl, ...]
    span: Span
    updates: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    ragged: Mapping[str, str] = field(default_factory=dict)
