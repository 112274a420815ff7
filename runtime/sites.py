"""The addresses of a model, with what stands there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..dsl.core import names
from ..dsl.elaborate.sites import regex_of
from ..dsl.ops import ScanAttrs
from ..dsl.sizes import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..dsl.core import Axes, Body, Node
    from ..dsl.program import CheckedModel


@dataclass(frozen=True)
class Site:
    """An address with what stands there."""

    address: str
    node: Node

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of its axes."""
        return names(self.node.axes)

    def __str__(self) -> str:
        shown = [
            axis.name if show(axis.size) == axis.name else f"{axis.name}={show(axis.size)}"
            for axis in self.node.axes
        ]
        return f"{self.address}[{', '.join(shown)}]: {self.node.dtype}"


def matching_sites(checked: CheckedModel, pattern: str) -> list[Site]:
    """The addresses of a model that match; a further address of a value only if its own does
    not."""
    wanted = regex_of(pattern)
    table = dict(_addressed(checked.body, ()))
    found = {a: Site(a, node) for a, node in table.items() if wanted.fullmatch(a)}
    for alias, address in checked.aliases.items():
        if address in table and wanted.fullmatch(alias) and address not in found:
            found[alias] = Site(alias, table[address])
    return list(found.values())


def _addressed(body: Body, outer: Axes) -> Iterator[tuple[str, Node]]:
    """All addressed nodes; those inside scans as they are seen from outside."""
    for step in body.steps:
        node = step.node
        if node.site is not None:
            yield node.site, replace(node, axes=(*outer, *node.axes))
        if isinstance(node.attrs, ScanAttrs):
            yield from _addressed(node.attrs.body, (*outer, node.attrs.axis))
