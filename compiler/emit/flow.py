"""What has to be written: the nodes that the results need, seen the way a writer sees them.

Identities are looked through, numbers are computed, and values of axis indices and numbers alone
("closed": masks, rotary tables) are found to be the same wherever they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.core import Body, names
from ...dsl.ops import (
    IOTA,
    ConstAttrs,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
)
from ..reference.scalars import apply
from ..reference.values import NUMPY, NamedArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...dsl import sizes
    from ...dsl.core import Axis, Node
    from ..graph import Graph

Number = int | float | bool
LEAVES = {"param", "state", "input", "random"}
EXACT = (ConstAttrs, IndexAttrs)  # 1, 1.0 and True are equal, and so are the zeros
NEVER_CLOSED = LEAVES | {"scan", "item"}


@dataclass(frozen=True, eq=False)
class Flow:
    """Nodes by name, operands first, with what each reads and who reads it."""

    nodes: Mapping[str, Node]
    reads: Mapping[str, tuple[str, ...]]
    results: tuple[str, ...]
    closed: frozenset[str]
    numbers: Mapping[str, Number]
    lengths: Mapping[str, sizes.Size]
    """Nodes whose value is the run-time size of an axis."""
    same: Mapping[str, str]
    """The name under which each node of the program is known here."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """A shorter address for some addresses."""

    @cached_property
    def users(self) -> dict[str, tuple[str, ...]]:
        """Who reads each node, once for each reading; the results are read by ``."""
        users: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, read in self.reads.items():
            for operand in read:
                users[operand].append(name)
        for name in self.results:
            users[name].append("")
        return {name: tuple(found) for name, found in users.items()}

    def is_number(self, name: str) -> bool:
        """Whether the value is written as a number, not as a tensor."""
        return name in self.numbers or name in self.lengths


def flow(program: Graph | Body, titles: Mapping[str, str] | None = None) -> Flow:
    """What a program's results need."""
    body = program if isinstance(program, Body) else program.to_body()
    found = _Finder()
    for step in body.steps:
        found.add(step.node, step.operands)
    return replace(found.needed(body.results), titles=titles or {})


def titles(body: Body, aliases: Mapping[str, str]) -> dict[str, str]:
    """The shortest of several addresses of a value, by each that a node may carry. What no result
    needs gives no name, so that a write to it changes none."""
    source: dict[str, str] = {}
    shortest: dict[str, str] = {}

    def offer(name: str, site: str) -> None:
        if name not in shortest or site.count(".") < shortest[name].count("."):
            shortest[name] = site

    wanted = set(body.results)
    for step in reversed(body.steps):
        if step.node.name in wanted:
            wanted.update(step.operands)
    steps = [step for step in body.steps if step.node.name in wanted]
    for step in steps:
        node, name = step.node, step.node.name
        if isinstance(node.attrs, RenameAttrs) and not node.attrs.pairs:
            source[name] = source.get(step.operands[0], step.operands[0])
        if node.site is not None:
            offer(source.get(name, name), node.site)
    sites = {s.node.site: source.get(s.node.name, s.node.name) for s in steps if s.node.site}
    for alias, address in aliases.items():
        if address in sites:
            offer(sites[address], alias)
    return {site: shortest[name] for site, name in sites.items() if shortest[name] != site}


class _Finder:
    def __init__(self) -> None:
        self.same: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        self.closed: set[str] = set()
        self.numbers: dict[str, Number] = {}
        self.lengths: dict[str, sizes.Size] = {}
        self._known: dict[object, str] = {}

    def add(self, node: Node, operands: Iterable[str]) -> None:
        read = tuple(self.same[name] for name in operands)
        if isinstance(node.attrs, RenameAttrs) and not node.attrs.pairs:
            self.same[node.name] = read[0]
            return
        name = self.same[node.name] = node.name
        if node.op.name not in NEVER_CLOSED and self.closed.issuperset(read):
            self.closed.add(name)
            attrs = repr(node.attrs) if isinstance(node.attrs, EXACT) else node.attrs
            name = self._known.setdefault((node.op.name, attrs, read), name)
            self.same[node.name] = name
            if name != node.name:
                return
            self._compute(node, read)
        self.nodes[name] = node
        self.reads[name] = read

    def _compute(self, node: Node, read: tuple[str, ...]) -> None:
        match node.attrs:
            case ConstAttrs(value=value):
                self.numbers[node.name] = value
            case MapAttrs(fn=fn) if self.numbers.keys() >= set(read):
                given = [
                    NamedArray((), np.asarray(self.numbers[o], NUMPY[self.nodes[o].dtype]))
                    for o in read
                ]
                try:
                    self.numbers[node.name] = apply(fn, given, node.dtype).array.item()
                except ZeroDivisionError:
                    return
            case ReduceAttrs(fn="sum", axes=(axis,)) if self._always_true(read[0], axis):
                self.lengths[node.name] = self.nodes[read[0]].size(axis)

    def _always_true(self, name: str, axis: str) -> bool:
        """Whether this is `index of axis >= 0`, whose sum is the size of the axis."""
        if self.nodes[name].attrs != MapAttrs("ge") or names(self.nodes[name].axes) != (axis,):
            return False
        index, zero = self.reads[name]
        return self.nodes[index].op is IOTA and self.numbers.get(zero) == 0

    def needed(self, results: Iterable[str]) -> Flow:
        wanted = tuple(self.same[name] for name in results)
        need = set(wanted)
        for name in reversed(self.nodes):
            if name in need:
                need.update(self.reads[name])
        nodes = {name: node for name, node in self.nodes.items() if name in need}
        return Flow(
            nodes,
            {name: self.reads[name] for name in nodes},
            wanted,
            frozenset(self.closed & need),
            {name: value for name, value in self.numbers.items() if name in need},
            {name: size for name, size in self.lengths.items() if name in need},
            self.same,
        )


def index_of(flow: Flow, name: str) -> Axis | None:
    """The axis that a node is the index of, if it is one."""
    attrs = flow.nodes[name].attrs
    return attrs.axis if isinstance(attrs, IotaAttrs) else None
