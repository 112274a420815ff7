"""Carries that are computed step by step, in a scan of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.core import Body, Node, Step, names
from ...dsl.items import item_attrs
from ...dsl.ops import INPUT, ITEM, SCAN, InputAttrs, ScanAttrs

if TYPE_CHECKING:
    from .classify import Group
    from .outside import Outside


class Stepwise:
    """A group of carries, known for all steps from a scan that has only them.

    Values that are read from it become outputs of the scan as they are asked for.
    """

    def __init__(self, outside: Outside, group: Group) -> None:
        self._make = outside.make
        found, at = outside.found, len(outside.solved)
        body, level = found.body, found.level
        own = [found.carries[place] for place in group.carries]
        kept = [
            Step(body.node(name), body.operands(name))
            for name in found.order
            if level[name] in (-1, at) and body.node(name).op is not INPUT
        ]
        earlier = {n: outside.value(n) for s in kept for n in s.operands if -1 < level[n] < at}
        given = {n: o for n, o in outside.operands.items() if n not in found.carries}
        steps, constants = list(given)[: found.scan.steps], list(given)[found.scan.steps :]
        given |= earlier | {name: outside.operands[name] for name in own}
        order = [*own, *steps, *earlier, *constants]
        inputs = [Step(_as_input(body.node(name)), ()) for name in order]
        attrs = replace(
            found.scan,
            body=Body((*inputs, *kept), tuple(found.scan.body.results[p] for p in group.carries)),
            carries=len(own),
            steps=len(steps) + len(earlier),
        )
        self.scan = self._make.add(SCAN, attrs, *(given[name] for name in order))
        self.last = {place: self._item(at) for at, place in enumerate(group.carries)}

    def read(self, name: str) -> str:
        """Whatever the scan computes."""
        edit = self._make.edit
        node = edit.node(self.scan)
        assert isinstance(node.attrs, ScanAttrs)
        body = node.attrs.body
        body = replace(body, results=(*body.results, name))
        edit.put(replace(node, attrs=replace(node.attrs, body=body)))
        return self._item(len(body.results) - 1)

    def _item(self, at: int) -> str:
        attrs = self._make.edit.node(self.scan).attrs
        assert isinstance(attrs, ScanAttrs)
        return self._make.add(ITEM, item_attrs(attrs, at), self.scan)


def _as_input(node: Node) -> Node:
    if node.op is INPUT:
        return node
    attrs = InputAttrs(names(node.axes), node.axes, node.dtype)
    return replace(node, op=INPUT, attrs=attrs, site=None)
