"""What a model keeps from position to position, and the two graphs that pass it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ...dsl.core import Axis
    from ...dsl.source import Span
    from ..graph import Graph

Kind = Literal["cache", "window", "carry", "total", "first"]
Mode = frozenset[tuple[str, int | None]]
"""At which old positions a value is wanted too: along which axes, and how far back (None: all)."""


class NotCausalError(Exception):
    """A model that has no step function: what is in the way, and where."""

    def __init__(self, message: str, span: Span, hint: str | None = None) -> None:
        self.message, self.span, self.hint = message, span, hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class State:
    """One value that a step takes and gives. `name` is its input node, `site` what it is called.

    | kind | what it is |
    |---|---|
    | `cache` | a value at all positions so far along `axis`, or at the last `reach` of them |
    | `window` | the last `reach` positions of what a window or a shift reads |
    | `carry` | a carry of a recurrence, the one of number `place` |
    | `total` | a cumulative sum, product or maximum at the last position |
    | `first` | a value at the first position |

    `of` is the address of the value, or what stands for it.
    """

    kind: Kind
    name: str
    site: str
    axis: str
    reach: int | None
    of: str
    place: int = 0
    fill: float = 0.0


@dataclass(frozen=True, slots=True)
class Decoding:
    """A model along an axis: all positions of a prompt at once, and then some more.

    Both graphs give the model's `results`, then the new value of each state, in order. `step` takes
    the model's inputs at the new positions, the states, and `position`, how many there were before.
    Its sizes: `count` new positions; `past` (a symbol) is how many a cache holds, by its reach.
    """

    axis: Axis
    prefill: Graph
    step: Graph
    results: int
    states: tuple[State, ...]
    position: str
    past: dict[int | None, str]
