"""Takes what does not vary along a sum out of it: `sum[d](a * x[d])` as `a * sum[d](x)`.

Sums of the same are one then, and a sum need not wait for what its result is multiplied with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import MapAttrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..graph import Edit


@dataclass
class Product:
    """Factors below a sum over some axes: those that vary along them, those that do not, and what
    is divided by. If it `is_deep`, factors that are products are taken apart."""

    edit: Edit
    axes: frozenset[str]
    is_deep: bool
    inside: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    divisors: list[str] = field(default_factory=list)
    is_negative: bool = False
    known: dict[str, bool] = field(default_factory=dict)

    def take(self, names: Iterable[str]) -> bool:
        """Add factors, taken apart as far as it brings something out; whether the sum can do
        without what was brought out: what is left must vary along all of its axes."""
        for name in names:
            self._take(name)
        self.inside.sort()
        left = frozenset[str]().union(*(self.edit.node(name).axis_names for name in self.inside))
        found = self.outside or self.divisors or self.is_negative
        return bool(found and self.inside) and left >= self.axes

    def _take(self, name: str) -> None:
        if not self._varies(name):
            self.outside.append(name)
        elif not self._opens(name):
            self.inside.append(name)
        else:
            read = self.edit.operands(name)
            fn = self._fn(name)
            self.is_negative ^= fn == "neg"
            self._take(read[0])
            if fn == "mul":
                self._take(read[1])
            elif fn == "div":
                self.divisors.append(read[1])

    def _opens(self, name: str) -> bool:
        """Whether taking a value apart brings something out."""
        if name not in self.known:
            self.known[name] = self.is_deep and self._found(name)
        return self.known[name]

    def _found(self, name: str) -> bool:
        read = self.edit.operands(name)
        match self._fn(name):
            case "mul":
                return any(not self._varies(own) or self._opens(own) for own in read)
            case "div":
                return not self._varies(read[1])
            case "neg":
                return True
        return False

    def _varies(self, name: str) -> bool:
        return bool(self.edit.node(name).axis_names & self.axes)

    def _fn(self, name: str) -> str:
        node = self.edit.node(name)
        floats = node.dtype is DType.FLOAT
        return node.attrs.fn if floats and isinstance(node.attrs, MapAttrs) else ""
