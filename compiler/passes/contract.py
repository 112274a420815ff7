"""Turns the sum of a product into one contraction, which need not store the product.

Needs products whose only reader is the sum: run `prune` and `share` before.
Leaves outside scalar constants, contractions, and products no larger than one of their factors.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.ops import CONTRACT, MAP, ConstAttrs, ContractAttrs, MapAttrs, ReduceAttrs
from ..bodies import in_bodies

if TYPE_CHECKING:
    from ...dsl.core import Node
    from ..context import Context
    from ..graph import Edit, Graph


def contract(graph: Graph, ctx: Context) -> Graph:
    """The graph with contractions in place of sums of products."""

    def rule(edit: Edit, node: Node) -> str | None:
        match node.attrs:
            case ReduceAttrs(fn="sum", axes=axes):
                product = _Product(edit, ctx)
                if product.take(edit.operands(node.name)[0], summed=True):
                    product.sum_up(node, axes)
            case ContractAttrs(axes=axes):
                product = _Product(edit, ctx)
                found = [product.take(name) for name in edit.operands(node.name)]
                if any(found):
                    product.sum_up(node, axes)
        return None

    return in_bodies(graph, lambda body: contract(body, ctx)).rewrite(rule)


class _Product:
    """The factors below a sum, and the scalar constants that are taken out of it."""

    def __init__(self, edit: Edit, ctx: Context) -> None:
        self.edit, self.ctx = edit, ctx
        self.factors: list[str] = []
        self.constants: list[str] = []
        self.merged: list[str] = []

    def take(self, name: str, *, summed: bool = False) -> bool:
        """Add a factor, taken apart if it is a product of its own that nobody else reads.

        What is `summed` is taken apart even if it does not grow, and its constants are taken out.
        """
        node = self.edit.node(name)
        operands = self.edit.operands(name)
        scalars = [operand for operand in operands if self._is_scalar(operand)]
        product = isinstance(node.attrs, MapAttrs) and node.attrs.fn == "mul"
        ours = node.site not in self.ctx.keep and len(self.edit.users(name)) == 1
        grows = all(self.edit.node(own).axis_names != node.axis_names for own in operands)
        if not product or not ours or name in self.edit.results or not (summed or grows):
            self.factors.append(name)
            return False
        self.merged.append(name)
        self.constants += scalars
        for operand in operands:
            if operand not in scalars:
                self.take(operand, summed=bool(scalars))
        return True

    def _is_scalar(self, name: str) -> bool:
        attrs = self.edit.node(name).attrs
        return isinstance(attrs, ConstAttrs) and math.isfinite(attrs.value)

    def sum_up(self, node: Node, axes: tuple[str, ...]) -> None:
        """Make the node the contraction of the factors, times the constants."""
        edit = self.edit
        if len(self.factors) < 2:
            return
        attrs = ContractAttrs(axes)
        if not self.constants:
            edit.put(replace(node, op=CONTRACT, attrs=attrs, made_by="contract"))
            edit.set_operands(node.name, self.factors)
        else:
            value = edit.add(
                CONTRACT, attrs, self.factors, span=node.span, scope=node.scope, made_by="contract"
            )
            for constant in self.constants[:-1]:
                value = edit.add(
                    MAP,
                    MapAttrs("mul"),
                    [value, constant],
                    span=node.span,
                    scope=node.scope,
                    made_by="contract",
                )
            edit.put(replace(node, op=MAP, attrs=MapAttrs("mul"), made_by="contract"))
            edit.set_operands(node.name, [value, self.constants[-1]])
        for name in self.merged:
            if not edit.users(name):
                edit.remove(name)
