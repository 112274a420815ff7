"""Values of a scan's body for all steps at once, as nodes of the graph that the scan stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...dsl.ops import INPUT
from ..lift import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .algebra import Maker, Product
    from .classify import Recurrence


class Solved(Protocol):
    """A group of carries that is known for all steps."""

    last: dict[int, str]

    def read(self, name: str) -> str | None:
        """A value that depends on it, for all steps; None if it is to be computed from what it
        reads. The carries themselves are always known."""


class Outside:
    """What is known for all steps. `solved` are the groups so far, in their order; `sites` are
    addresses that are taken."""

    def __init__(
        self, make: Maker, found: Recurrence, operands: Sequence[str], sites: set[str]
    ) -> None:
        self.make, self.found, self._sites = make, found, sites
        self.solved: list[Solved] = []
        inputs = [name for name in found.order if found.body.node(name).op is INPUT]
        self.operands = dict(zip(inputs, operands, strict=True))
        self._known = {n: o for n, o in self.operands.items() if n not in found.carries}

    def value(self, name: str) -> str:
        """The value of a node of the body, with the axis of the scan if it varies."""
        waiting = [name]
        while waiting:
            own = waiting[-1]
            if own in self._known:
                waiting.pop()
                continue
            level = self.found.level.get(own, -1)
            direct = self.solved[level].read(own) if level >= 0 else None
            if direct is not None:
                self._known[own] = direct
                continue
            read = self.found.body.operands(own)
            missing = [operand for operand in read if operand not in self._known]
            waiting += missing
            if not missing:
                self._known[own] = self._lifted(own, [self._known[operand] for operand in read])
        return self._known[name]

    def _lifted(self, own: str, operands: list[str]) -> str:
        node, edit = self.found.body.node(own), self.make.edit
        attrs = fitted(node.attrs, [edit.node(operand) for operand in operands])
        site = None if node.site in self._sites else node.site
        self._sites |= {site} if site else set()
        return edit.add(
            node.op, attrs, operands, span=node.span, site=site, scope=node.scope,
            made_by=self.make.made_by,
        )  # fmt: skip

    def product(self, p: Product) -> str:
        """What is known of a product, for all steps."""
        return self.make.product([self.value(f) for f in p.factors], negative=p.negative)
