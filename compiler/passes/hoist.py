"""Moves what does not depend on a carry out of scans: computed for all steps at once.

Needs bodies without idle nodes: run `prune` before, and `contract`, so that products are in sums.
Leaves inside what is smaller before than after: a pointwise product of per-step vectors, say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...dsl.core import Body, Node, Step, names
from ...dsl.ops import (
    CONST,
    INPUT,
    IOTA,
    MAP,
    RANDOM,
    STATE,
    InputAttrs,
    ItemAttrs,
    ScanAttrs,
)
from ..bodies import in_bodies, instead, mentions, narrow
from ..graph import Graph
from ..lift import fitted, same

if TYPE_CHECKING:
    from ...dsl.ops import Attrs
    from ..context import Context
    from ..graph import Edit

LEAVES = {CONST, IOTA}  # as cheap inside as outside: copied where they are needed
BOUND = {INPUT, STATE, RANDOM}


def hoist(graph: Graph, ctx: Context) -> Graph:
    """The graph with narrower scans."""
    graph = in_bodies(graph, lambda body: hoist(body, ctx))
    with graph.edit() as edit:
        taken = set(graph.sites())
        for name in graph.in_order():
            scan = graph.node(name).attrs
            if isinstance(scan, ScanAttrs):
                _Hoist(edit, name, scan, Graph.from_body(scan.body), taken).run(ctx)
    return edit.graph


@dataclass
class _Hoist:
    """One scan. `outside` has the outer node of whatever in the body is known before the scan."""

    edit: Edit
    name: str
    scan: ScanAttrs
    body: Graph
    taken: set[str]
    outside: dict[str, str] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)

    def run(self, ctx: Context) -> None:
        """Move what can be moved, and let the scan read it."""
        inputs = [own for own in self.body.in_order() if self.body.node(own).op is INPUT]
        operands = self.edit.operands(self.name)
        carries = inputs[: self.scan.carries]
        self.outside |= zip(inputs, operands, strict=True)
        for own in carries:
            del self.outside[own]
        depends = self.body.descendants(carries)
        for own in self.body.in_order():
            if own not in depends and own not in inputs and self._may_move(own):
                self._move(own)
        if self.moved:
            self._read_moved(inputs)
        self._give_out(ctx)

    def _may_move(self, own: str) -> bool:
        node = self.body.node(own)
        operands = [self.body.node(operand) for operand in self.body.operands(own)]
        if node.op in BOUND or node.op in LEAVES:
            return False
        if any(n.name not in self.outside and n.op not in LEAVES for n in operands):
            return False
        if any(mentions(n, self.scan.axis.name) for n in (node, *operands)):
            return False
        grows = all(n.axis_names != node.axis_names for n in operands)
        return not (node.op is MAP and grows and any(self._varies(n.name) for n in operands))

    def _varies(self, own: str) -> bool:
        outer = self.outside.get(own)
        return outer is not None and self.scan.axis.name in self.edit.node(outer).axis_names

    def _move(self, own: str) -> None:
        node = self.body.node(own)
        operands = [self._outer(operand) for operand in self.body.operands(own)]
        attrs = fitted(node.attrs, [self.edit.node(operand) for operand in operands])
        self.outside[own] = self._add(node, attrs, operands)
        self.moved.append(own)

    def _outer(self, own: str) -> str:
        if own not in self.outside:
            node = self.body.node(own)
            self.outside[own] = self._add(node, node.attrs, [])
        return self.outside[own]

    def _add(self, node: Node, attrs: Attrs, operands: list[str]) -> str:
        site = None if node.site in self.taken else node.site
        self.taken |= {site} if site else set()
        return self.edit.add(
            node.op,
            attrs,
            operands,
            span=node.span,
            site=site,
            scope=node.scope,
            made_by="hoist",
        )

    def _read_moved(self, inputs: list[str]) -> None:
        """The body reads as inputs what was moved; everything inside keeps its name."""
        steps = self.scan.carries + self.scan.steps
        moved = set(self.moved)
        left = [own for own in self.body.in_order() if own not in moved and own not in inputs]
        read = {operand for own in left for operand in self.body.operands(own)}
        read.update(self.body.results)
        new = [own for own in self.moved if own in read]
        varying = [own for own in new if self._varies(own)]
        constant = [own for own in new if not self._varies(own)]
        order = [*inputs[:steps], *varying, *inputs[steps:], *constant]
        body = Body(
            (
                *(Step(_as_input(self.body.node(own)), ()) for own in order),
                *(Step(self.body.node(own), self.body.operands(own)) for own in left),
            ),
            self.body.results,
        )
        attrs = replace(self.scan, body=body, steps=self.scan.steps + len(varying))
        self.edit.put(replace(self.edit.node(self.name), attrs=attrs))
        operands = self.edit.operands(self.name)
        outer = [self.outside[own] for own in varying], [self.outside[own] for own in constant]
        self.edit.set_operands(
            self.name, [*operands[:steps], *outer[0], *operands[steps:], *outer[1]]
        )

    def _give_out(self, ctx: Context) -> None:
        """Outputs that are known before the scan are read from there."""
        for item, _ in self.edit.users(self.name):
            node = self.edit.node(item)
            if not isinstance(node.attrs, ItemAttrs) or node.attrs.index < self.scan.carries:
                continue
            new = self.outside.get(self.body.results[node.attrs.index])
            if new is None or not same(self.edit.type_of(new), (node.axes, node.dtype)):
                continue
            if instead(self.edit, node, new, ctx, "hoist") is None:
                continue
            self.edit.redirect(item, new)
            self.edit.remove(item)
            outer = self.edit.node(new)
            if outer.made_by == "hoist" and outer.site is None:
                self.edit.put(replace(outer, site=node.site))
        if self.edit.users(self.name):
            narrow(self.edit, self.name)
        else:
            self.edit.remove(self.name)


def _as_input(node: Node) -> Node:
    if node.op is INPUT:
        return node
    attrs = InputAttrs(names(node.axes), node.axes, node.dtype)
    return replace(node, op=INPUT, attrs=attrs, site=None, made_by="hoist")
