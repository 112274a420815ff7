"""The figures that `plot` draws: how many axes each shows, and what its options hold."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

AXIS, VALUE, TOKENS, TITLE, COUNT, NUMBER = "axis", "value", "tokens", "title", "count", "number"


@dataclass(frozen=True, slots=True)
class Figure:
    """A kind of figure: a value of `fewest` to `most` axes, and options by what they hold.

    An axis is one of the value's; a value is another one along some of them; tokens are whole
    numbers along one axis, shown as their texts.
    """

    fewest: int
    most: int
    usage: str
    options: Mapping[str, str]


_ACROSS = {"x": AXIS, "y": AXIS, "tokens": TOKENS}
_SPREAD = {"error": VALUE, "low": VALUE, "high": VALUE}

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "heatmap": Figure(1, 2, "heatmap(effect, x = p, y = l)", {**_ACROSS, "title": TITLE}),
        "pattern": Figure(
            2,
            2,
            "pattern(weights, tokens = words)",
            {**_ACROSS, "queries": TOKENS, "title": TITLE},
        ),
        "heads": Figure(
            3,
            4,
            "heads(weights, rows = layer, columns = h)",
            {**_ACROSS, "queries": TOKENS, "rows": AXIS, "columns": AXIS, "title": TITLE},
        ),
        "line": Figure(1, 2, "line(effect, x = g)", {**_ACROSS, **_SPREAD, "title": TITLE}),
        "bars": Figure(1, 2, "bars(effect, x = n)", {**_ACROSS, **_SPREAD, "title": TITLE}),
        "circuit": Figure(
            2,
            8,
            "circuit[l, n -> m, k](effect)",
            {"most": COUNT, "least": NUMBER, "title": TITLE},
        ),
    }
)
"""Every kind of figure that a spec may ask for."""

CIRCUIT = "circuit"
SENDERS, RECEIVERS = "senders", "receivers"
"""Under which options the axes in the brackets of a circuit are kept, apart by spaces."""
