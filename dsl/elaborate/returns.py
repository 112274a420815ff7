"""`backward`, `gain` and `freeze`: rules for what comes back to a value, which stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from ..core import Axis, Body, Node
from ..diagnostics import Slug
from .builder import Builder
from .values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import syntax as s
    from ..source import Span
    from .scope import Scope

NOWHERE = Axis("", 1)  # a rule runs along no axis


def returned(
    it: Node,
    op: str,
    tree: s.Expr,
    scope: Scope,
    span: Span,
    part: Callable[[Node, Node, Scope], Node] | None = None,
) -> Node:
    """The value with a rule. In it `it` is the value, and `grad` what arrives; `part` takes the
    rule's result where it is meant, and else what arrived. Raises HaltError, reported."""
    if it.dtype != "float":
        scope.fail(
            Slug.WRONG_DTYPE, f"the value holds {it.dtype}s, to which nothing comes back", span
        )
    own = Builder(scope.ctx, scope.builder, NOWHERE)
    inside = scope.inner(builder=own, axes={}, path=scope.path)
    for axis in it.axes:
        inside.axes.setdefault(axis.name, axis)
    attrs = ops.InputAttrs(tuple(axis.name for axis in it.axes), it.axes, it.dtype)
    arrived = own.put(
        Node(scope.ctx.fresh(span), ops.INPUT, attrs, it.axes, it.dtype, span, scope=scope.path)
    )
    here = own.use(it)
    inside.names.update(it=Value(here), grad=Value(arrived))
    new = inside.node(inside.evaluate(tree), tree.span)
    if new.dtype != "float":
        new = inside.map("float", [new], span)
    if op in ("gain", "freeze"):
        new = inside.map("mul", [arrived, new], span)
    extra = sorted(new.axis_names - it.axis_names - set(scope.frame.riding))
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"the site has {scope.say_axes(it)}, and what comes back would have "
            f"{' and '.join(f'`{name}`' for name in extra)} too",
            tree.span,
            hint=f"sum[{', '.join(extra)}]({tree.span.text})",
        )
    if part is not None:
        new = part(new, arrived, inside)
    given = {inner.name: outer for outer, inner in own.constant.values()}
    inputs = [arrived, here, *(own.find(name) for name in given if name != here.name)]
    steps = [step for step in own.steps if step.node.op is not ops.INPUT]
    first = [next(s for s in own.steps if s.node.name == node.name) for node in inputs]
    body = Body((*first, *steps), (new.name,))
    operands = [it, *(given[node.name] for node in inputs[2:])]
    return scope.builder.emit(ops.BACKWARD, ops.BackwardAttrs(body), operands, span, scope.path)
