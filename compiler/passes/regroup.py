"""Multiplies small factors first: `a[t] * (b[t, k] * c[t, v])` as `(a * b) * c`.

Needs products that nobody else reads: run `prune` and `share` before, and `contract`, which takes
those that are summed. Leaves a product as it is written where no order makes less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import MAP, MapAttrs
from ..bodies import in_bodies

if TYPE_CHECKING:
    from ...dsl.core import Node
    from ..context import Context
    from ..graph import Edit, Graph

TIMES = MapAttrs("mul")


def regroup(graph: Graph, ctx: Context) -> Graph:
    """The graph with products of several factors in the order that makes least."""

    def rule(edit: Edit, node: Node) -> str | None:
        if node.attrs == TIMES and not _is_inner(edit, node.name, ctx):
            products: list[str] = []
            factors = _factors(edit, node.name, ctx, products)
            _multiply(edit, node, factors, products)
        return None

    return in_bodies(graph, lambda body: regroup(body, ctx)).rewrite(rule)


def _is_inner(edit: Edit, name: str, ctx: Context) -> bool:
    """Whether a product is a factor of another one, and nothing else."""
    node, users = edit.node(name), edit.users(name)
    return (
        node.attrs == TIMES
        and node.dtype is DType.FLOAT
        and node.site not in ctx.keep
        and name not in edit.results
        and len(users) == 1
        and edit.node(users[0][0]).attrs == TIMES
    )


def _factors(edit: Edit, name: str, ctx: Context, products: list[str]) -> list[str]:
    """What is multiplied, from left to right, and the products on the way."""
    found: list[str] = []
    for operand in edit.operands(name):
        if _is_inner(edit, operand, ctx):
            found += _factors(edit, operand, ctx, products)
            products.append(operand)
        else:
            found.append(operand)
    return found


def _multiply(edit: Edit, node: Node, factors: list[str], products: list[str]) -> None:
    ordered = sorted(factors, key=lambda name: len(edit.node(name).axes))
    made, axes = [], edit.node(ordered[0]).axis_names
    for factor in ordered[1:-1]:
        axes = axes | edit.node(factor).axis_names
        made.append(len(axes))
    if sum(made) >= sum(len(edit.node(name).axes) for name in products):
        return
    value = ordered[0]
    for factor in ordered[1:-1]:
        value = edit.add(
            MAP, TIMES, [value, factor], span=node.span, scope=node.scope, made_by="regroup"
        )
    edit.set_operands(node.name, [value, ordered[-1]])
    for name in reversed(products):
        edit.remove(name)
