"""Works out at one position what is zero at all others: `where(t == 2, v, 0)` moves down through
what is linear in it.

So the way back from a value that is read at one position is walked at that position, until another
way joins it; and a product with a row of zeros and a one is a row. Needs common values shared, and
`narrow` after it, which leaves out what only other positions needed. What is zero stays so, where
it would be multiplied by something infinite.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.core import DType, names
from ...dsl.ops import (
    CONST,
    INDEX,
    MAP,
    RENAME,
    ConstAttrs,
    ContractAttrs,
    IndexAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    Select,
    Slice,
)
from ..bodies import in_bodies
from .placed import Positions, is_number, placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...dsl.core import Node
    from ...dsl.ops import Attrs, OpDef
    from ..context import Context
    from ..graph import Edit, Graph
    from .placed import Placed

WHERE, TIMES = MapAttrs("where"), MapAttrs("mul")
ALIKE = {MapAttrs("add"), MapAttrs("sub")}


def sink(graph: Graph, ctx: Context) -> Graph:
    """The graph with single positions below what is linear."""
    graph = in_bodies(graph, lambda body: sink(body, ctx))
    with graph.edit() as edit:
        sinking = _Sinking(edit, Positions.of(graph, ctx.sizes))
        for name in graph.in_order():
            sinking.look(name)
    return edit.graph


class _Sinking:
    def __init__(self, edit: Edit, positions: Positions) -> None:
        self.edit, self.positions = edit, positions
        self.parts: dict[tuple[str, Select], str] = {}

    def _placed(self, name: str) -> Placed | None:
        return placed(self.edit, name, self.positions)

    def look(self, name: str) -> None:
        """Put the position of what a node reads below it, and again, if it reads several."""
        node = self.edit.node(name)
        if node.dtype is not DType.FLOAT or self._placed(name):
            return
        operands = self.edit.operands(name)
        found = [self._placed(operand) for operand in operands]
        if any(found):
            self._move(node, operands, found)
        elif isinstance(node.attrs, ContractAttrs):
            self._distribute(node, operands, node.attrs)

    def _move(self, node: Node, operands: Sequence[str], found: Sequence[Placed | None]) -> None:
        which, first = next((i, one) for i, one in enumerate(found) if one)
        axis = first.at.axis
        match node.attrs:
            case MapAttrs("mul" | "neg"):
                pass
            case MapAttrs("div") if which == 0:
                pass
            case MapAttrs() as attrs if attrs in ALIKE:
                if not all(one and one.at == first.at for one in found):
                    return
            case MapAttrs("where") if is_number(self.edit.node(operands[3 - which]), 0):
                pass
            case ContractAttrs(axes):
                if axis in axes:
                    self._pick(node, operands, which, first)
                    return
            case ReduceAttrs("sum" | "mean", axes) if axis not in axes:
                pass
            case IndexAttrs(Select(other) | Slice(other)) if other != axis:
                pass
            case RenameAttrs(pairs) if not any(axis in (*old, *names(new)) for old, new in pairs):
                pass
            case _:
                return
        self._below(node, node.attrs, operands, found, first)

    def _below(
        self,
        node: Node,
        attrs: Attrs,
        operands: Sequence[str],
        found: Sequence[Placed | None],
        first: Placed,
    ) -> None:
        """`f(where(there, v, 0), w)` as `where(there, f(v, w), 0)`, at that position."""
        values = [
            one.value if one and one.at == first.at else operand
            for operand, one in zip(operands, found, strict=True)
        ]
        parts = [self._part(value, first.at) for value in values]
        inner = self._add(node.op, attrs, parts, node)
        self._become(node, MAP, WHERE, [first.there, inner, self._zero(node)])
        self.look(inner)

    def _pick(self, node: Node, operands: Sequence[str], which: int, first: Placed) -> None:
        """A sum over all positions of what is zero but at one: the product at that one."""
        assert isinstance(node.attrs, ContractAttrs)
        parts = [
            self._part(first.value if i == which else operand, first.at)
            for i, operand in enumerate(operands)
        ]
        left = tuple(name for name in node.attrs.axes if name != first.at.axis)
        if left:
            self._become(node, node.op, ContractAttrs(left), parts)
        elif len(parts) == 1:
            self._become(node, RENAME, RenameAttrs(), parts)
        else:
            product = parts[0]
            for part in parts[1:-1]:
                product = self._add(MAP, TIMES, [product, part], node)
            self._become(node, MAP, TIMES, [product, parts[-1]])
        self.look(node.name)

    def _distribute(self, node: Node, operands: Sequence[str], attrs: ContractAttrs) -> None:
        """A sum of two that are each zero but at one position, where all positions are summed."""
        for which, operand in enumerate(operands):
            inner = self.edit.node(operand).attrs
            if inner not in ALIKE:
                continue
            terms = self.edit.operands(operand)
            found = [self._placed(term) for term in terms]
            if all(one and one.at.axis in attrs.axes for one in found):
                products = [
                    self._add(
                        node.op, attrs, [*operands[:which], term, *operands[which + 1 :]], node
                    )
                    for term in terms
                ]
                self._become(node, MAP, inner, products)
                for product in products:
                    self.look(product)
                return

    def _part(self, name: str, at: Select) -> str:
        """A value at the position; the value itself if it has no such axis."""
        node = self.edit.node(name)
        if at.axis not in node.axis_names:
            return name
        if (name, at) not in self.parts:
            other = self._placed(name)
            if other is not None and other.at.axis != at.axis:
                inner = self._part(other.value, at)
                made = self._add(MAP, WHERE, [other.there, inner, self._zero(node)], node)
            else:
                made = self._add(INDEX, IndexAttrs(at), [name], node)
            self.parts[name, at] = made
        return self.parts[name, at]

    def _zero(self, node: Node) -> str:
        return self._add(CONST, ConstAttrs(0.0), [], node)

    def _add(self, op: OpDef, attrs: Attrs, operands: Sequence[str], node: Node) -> str:
        return self.edit.add(op, attrs, operands, span=node.span, scope=node.scope, made_by="sink")

    def _become(self, node: Node, op: OpDef, attrs: Attrs, operands: Sequence[str]) -> None:
        self.edit.put(replace(node, op=op, attrs=attrs, made_by="sink"))
        self.edit.set_operands(node.name, operands)
