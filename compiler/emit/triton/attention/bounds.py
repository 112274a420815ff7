"""What masks say of blocks, as Triton: which columns a block of rows sees, and which wholly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....attention.contraction import QUERY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ....attention.affine import Affine
    from ....attention.masks import Condition


class Bounds:
    """The lines that narrow `lo` and `hi`, between which columns may be seen, and `first` and
    `last`, between which all are, by the rows from `row` up to `last_row`.

    `value` gives the text of a number that differs along neither axis.
    """

    def __init__(
        self, conditions: Sequence[Condition], rows: str, value: Callable[[str], str]
    ) -> None:
        self.rows, self.value = rows, value
        own = dict.fromkeys(bound for condition in conditions for bound in condition.bounds)
        self.lines = [self._line(bound, certain=False) for bound in own]
        self.lines += [self._line(bound, certain=True) for bound in own]
        self.starts_late = any(self._factors(bound)[1] < 0 for bound in own)
        """Whether columns before some are not seen by some of the rows."""

    def _factors(self, own: Affine) -> tuple[int, int]:
        """How a bound grows along rows and along columns."""
        query, key, *_ = own.whole()
        return (query, key) if self.rows == QUERY else (key, query)

    def _line(self, own: Affine, *, certain: bool) -> str:
        *_, low, high, terms = own.whole()
        mine, other = self._factors(own)
        parts = [f"{factor} * {self.value(name)}" for name, factor in terms.items()]
        if mine:
            end = "last_row" if (mine > 0) == certain else "row"
            parts.append(end if mine == 1 else f"{mine} * {end}")
        number = high if certain else low
        if number or not parts:
            parts.append(str(number))
        text = " + ".join(parts)
        if not other:
            name = "last" if certain else "hi"
            return f"{name} = tl.where({text} > 0, 0, {name})"
        if other > 0:
            name = "last" if certain else "hi"
            return f"{name} = tl.minimum({name}, {_floored(text, other)} + 1)"
        name = "first" if certain else "lo"
        least = text if other == -1 else f"-({_floored(text, -other)})"
        return f"{name} = tl.maximum({name}, {least})"


def _floored(text: str, by: int) -> str:
    """The negative of a number, divided."""
    return f"-({text})" if by == 1 else f"floored_int(-({text}), {by})"
