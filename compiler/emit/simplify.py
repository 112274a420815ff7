"""Brings a body to what loops are written of: says reductions and softmax by simpler ones.

Needs a body without idle nodes. Does not touch what one loop over a line does (sorts, sums so far).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...dsl.core import DType, without
from ...dsl.ops import (
    CONST,
    CONTRACT,
    INPUT,
    MAP,
    REDUCE,
    AlongAttrs,
    BackwardAttrs,
    ConstAttrs,
    ContractAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    StopAttrs,
)
from ..context import Context
from ..graph import Graph
from ..passes.regroup import regroup
from ..passes.share import share
from .products import Product
from .unsupported import UnsupportedError

LEAST = 1e-30

if TYPE_CHECKING:
    from ...dsl.core import Body, Node
    from ...dsl.ops import Attrs, OpDef
    from ..graph import Edit


def simplified(body: Body, *, for_loops: bool = False) -> Body:
    """The body with fewer kinds of nodes, in which equal values are one. The types of its results
    stay.

    Loops go through memory for each sum that waits for another. For them products below sums are
    taken apart as far as something comes out.
    """
    still = _still(body)
    graph = Graph.from_body(body).rewrite(lambda edit, node: _settled(edit, node, still))
    graph = graph.rewrite(lambda edit, node: _rule(edit, node, for_loops))
    return regroup(_used(share(graph, Context())), Context()).to_body()


def _still(body: Body) -> set[str]:
    """What is 0 and is there for its derivative alone: a value less itself taken as it is, and what
    that is multiplied with."""
    nodes = {step.node.name: step for step in body.steps}
    found: set[str] = set()
    for name, step in nodes.items():
        match step.node.attrs:
            case MapAttrs("sub"):
                one, other = step.operands
                held = nodes[other]
                if isinstance(held.node.attrs, StopAttrs) and held.operands == (one,):
                    found.add(name)
            case ContractAttrs() | RenameAttrs() | MapAttrs("mul"):
                if not found.isdisjoint(step.operands):
                    found.add(name)
    return found


def _settled(edit: Edit, node: Node, still: set[str]) -> str | None:
    """What is added to if it is 0 that is added."""
    if node.attrs != MapAttrs("add"):
        return None
    kept, more = edit.operands(node.name)
    return kept if more in still and edit.node(kept).axis_names == node.axis_names else None


def _used(graph: Graph) -> Graph:
    """The graph without what feeds no result; inputs stay."""
    needed = graph.ancestors(graph.results) | set(graph.results)
    with graph.edit() as edit:
        for name in reversed(graph.in_order()):
            if name not in needed and graph.node(name).op is not INPUT:
                edit.remove(name)
    return edit.graph


def _rule(edit: Edit, node: Node, for_loops: bool) -> str | None:
    write = _Write(edit, node)
    read = edit.operands(node.name)
    match node.attrs:
        case StopAttrs() | BackwardAttrs():
            return read[0]
        case MapAttrs(fn="div") if _divides_often(edit, node):
            return write.map("mul", read[0], write.map("reciprocal", read[1]))
        case ReduceAttrs(fn="sum" | "mean" as fn) if for_loops and node.dtype is DType.FLOAT:
            return _taken_out(edit, write, fn, node.attrs.axes)
        case ReduceAttrs(fn="var", axes=axes):
            gap = write.map("sub", read[0], write.reduce("mean", axes, read[0]))
            return write.reduce("mean", axes, write.map("mul", gap, gap))
        case ReduceAttrs(fn="logsumexp", axes=axes):
            top, above = write.above(axes, read[0])
            return write.map("add", write.map("log", write.reduce("sum", axes, above)), top)
        case ReduceAttrs(fn="norm", axes=axes, argument=p) if p not in (None, 2):
            return write.norm(read[0], axes, float(p or 0))
        case AlongAttrs(fn="softmax", axes=axes):
            _, above = write.above(axes, read[0])
            total = write.reduce("sum", axes, above)
            nothing = write.map("eq", total, write.number(0.0))
            return write.map("div", above, write.map("where", nothing, write.number(1.0), total))
        case AlongAttrs(fn="log_softmax", axes=axes):
            top, above = write.above(axes, read[0])
            total = write.reduce("sum", axes, above)
            nothing = write.map("eq", total, write.number(0.0))
            held = write.map("where", nothing, write.number(1.0), total)
            return write.map("sub", write.map("sub", read[0], top), write.map("log", held))
        case ContractAttrs(axes=axes):
            return _factored(edit, node, write, Product(edit, frozenset(axes), for_loops))
    return None


def _divides_often(edit: Edit, node: Node) -> bool:
    """Whether one number divides many, and its reciprocal is finite: of a root it always is."""
    if node.dtype is not DType.FLOAT:
        return False
    divisor = edit.node(edit.operands(node.name)[1])
    match divisor.attrs:
        case ConstAttrs(value=value):
            return bool(node.axes) and LEAST < abs(value) < 1 / LEAST
        case MapAttrs(fn="sqrt"):
            return divisor.axis_names < node.axis_names
    return False


def _taken_out(edit: Edit, write: _Write, fn: str, axes: tuple[str, ...]) -> str | None:
    """What does not vary along a sum or mean of products is multiplied after it."""
    product = Product(edit, frozenset(axes), is_deep=True)
    if not axes or not product.take(edit.operands(write.instead.name)):
        return None
    inside = product.inside
    if fn == "sum" and len(inside) > 1:
        found = write.node(CONTRACT, ContractAttrs(axes), inside)
    else:
        found = inside[0]
        for name in inside[1:]:
            found = write.map("mul", found, name)
        found = write.reduce(fn, axes, found)
    return _multiplied(edit, write, product, found)


def _factored(edit: Edit, node: Node, write: _Write, product: Product) -> str | None:
    """The same for a contraction; a product is no sum."""
    assert isinstance(node.attrs, ContractAttrs)
    axes = node.attrs.axes
    if not product.take(edit.operands(node.name)) and (axes or product.inside):
        return None
    found = None
    if axes:
        found = write.node(CONTRACT, ContractAttrs(axes), product.inside)
    return _multiplied(edit, write, product, found)


def _multiplied(edit: Edit, write: _Write, product: Product, total: str | None) -> str:
    """A sum times what was taken out of it, small factors first."""
    node = write.instead
    factors = [*product.outside, *([] if total is None else [total])]
    factors.sort(key=lambda name: len(edit.node(name).axes))
    found = factors[0]
    for name in factors[1:]:
        found = write.map("mul", found, name)
    for name in product.divisors:
        found = write.map("div", found, name)
    if product.is_negative:
        found = write.map("neg", found)
    kept = without(node.axes, ())
    if edit.node(found).axes != kept and edit.node(found).axis_names != node.axis_names:
        raise UnsupportedError("a product without its axes")
    if edit.node(found).dtype != node.dtype:
        found = write.map("mul", found, write.number(1))
    return found


class _Write:
    """Adds nodes in the place of one."""

    def __init__(self, edit: Edit, node: Node) -> None:
        self.edit, self.instead = edit, node

    def node(self, op: OpDef, attrs: Attrs, read: list[str] | tuple[str, ...]) -> str:
        span, scope = self.instead.span, self.instead.scope
        return self.edit.add(op, attrs, read, span=span, scope=scope, made_by="simplify")

    def map(self, fn: str, *read: str) -> str:
        return self.node(MAP, MapAttrs(fn), read)

    def reduce(self, fn: str, axes: tuple[str, ...], read: str) -> str:
        return self.node(REDUCE, ReduceAttrs(fn, axes), [read])

    def number(self, value: float) -> str:
        return self.node(CONST, ConstAttrs(value), [])

    def above(self, axes: tuple[str, ...], read: str) -> tuple[str, str]:
        """The largest (0 if it is not finite), and the exponentials of what lies below it."""
        largest = self.map("float", self.reduce("max", axes, read))
        top = self.map("where", self.map("isfinite", largest), largest, self.number(0.0))
        return top, self.map("exp", self.map("sub", read, top))

    def norm(self, read: str, axes: tuple[str, ...], p: float) -> str:
        size = self.map("abs", self.map("float", read))
        if math.isinf(p):
            return self.map("max", self.reduce("max", axes, size), self.number(0.0))
        total = self.reduce("sum", axes, self.map("pow", size, self.number(p)))
        return self.map("pow", total, self.number(1 / p))
