"""Carries that depend on each other as one value, along an axis of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import Axis
from ...dsl.ops import CONCAT, INDEX, ConcatAttrs, IndexAttrs, Select
from .segments import unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .algebra import Product
    from .classify import Group
    from .outside import Outside
    from .rows import Rows
    from .segments import Block


class Stack:
    """The carries of a group. One alone has no axis for it: `block` is None."""

    def __init__(
        self, outside: Outside, rows: Rows, group: Group, fresh: Callable[[str], str]
    ) -> None:
        self._outside, self._rows, self._make = outside, rows, outside.make
        self.places = group.carries
        found = outside.found
        self.names = [found.carries[place] for place in group.carries]
        self.axes = found.body.node(self.names[0]).axes
        self.block: Block | None = None
        self.over: tuple[str, ...] = ()
        if len(self.names) > 1:
            count = len(self.names)
            self.block = Axis(fresh("carry"), count), Axis(fresh("carry"), count)
            self.over = (self.block[0].name,)
            self.axes = (self.block[0], *self.axes)
        self.decay = self._decay(group)

    def start(self) -> str:
        """The first carries."""
        starts = [self._make.floats(self._outside.operands[name]) for name in self.names]
        return self.joined(starts) if self.block else self._outside.operands[self.names[0]]

    def joined(self, values: Sequence[str]) -> str:
        """A value for each carry, side by side."""
        assert self.block is not None
        return self._make.add(CONCAT, ConcatAttrs(self.block[0].name, new=True), *values)

    def mark(self, place: int) -> list[str]:
        """A factor that is 1 for one carry and 0 for the others."""
        if self.block is None:
            return []
        make, at = self._make, self._make.const(self.places.index(place))
        return [make.floats(make.map("eq", make.index(self.block[0]), at))]

    def one(self, value: str, place: int) -> str:
        """The value of one carry."""
        if self.block is None:
            return value
        at = Select(self.block[0].name, self.places.index(place))
        return self._make.add(INDEX, IndexAttrs(at), value)

    def _decay(self, group: Group) -> str | None:
        """What each step leaves, in chunks; behind the last step everything. None is 1."""
        make, axis = self._make, self._outside.found.scan.axis
        lines = []
        for own in group.parts or ():
            terms = {
                place: [p for carry, p in own.decays if carry == place] for place in group.carries
            }
            if self.block is None:
                (decays,) = terms.values()
                if [p.factors for p in decays] == [()] and not decays[0].negative:
                    return None
                value = make.spread(make.floats(self._total(decays)), [axis])
                return self._rows.split(value, 1.0)
            line = [make.floats(self._total(decays)) for decays in terms.values()]
            lines.append(make.add(CONCAT, ConcatAttrs(self.block[1].name, new=True), *line))
        assert self.block is not None
        rows = self._rows
        split = rows.split(make.spread(self.joined(lines), [axis]), 0.0)
        idle = make.map("sub", make.const(1.0), rows.split(make.ones(axis), 0.0))
        return make.map("add", split, make.map("mul", idle, unit(make, self.block)))

    def _total(self, decays: Sequence[Product]) -> str:
        return self._make.total([self._outside.product(p) for p in decays])
