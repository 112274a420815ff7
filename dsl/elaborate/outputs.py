"""What a study gives out: values, tables, expectations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug
from ..program import Output
from .datasets import TEXT, text_axis
from .values import Val, Value

if TYPE_CHECKING:
    from ..core import Node
    from ..source import Span
    from .study import Study

COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


def output(
    study: Study,
    kind: str,
    label: str,
    values: list[Val],
    span: Span,
    op: str = "",
    options: tuple[tuple[str, str | float], ...] = (),
    roles: tuple[tuple[str, str], ...] = (),
) -> None:
    """Something to be given out, its values as tensors."""
    nodes = tuple(study.scope.node(value, span).name for value in values)
    study.outputs.append(Output(kind, label, nodes, span, op, options, roles))


def expect(study: Study, step: s.Expect | s.UntilHolds) -> None:
    """The two sides of a comparison, so that both can be told; else one truth."""
    tree = step.condition
    kind, what, that = "expect", "an expectation", "what is expected"
    if isinstance(step, s.UntilHolds):
        kind, what, that = "until", "an end", "what ends it"
    sides = (
        [tree.left, tree.right] if isinstance(tree, s.Binary) and tree.op in COMPARISONS else [tree]
    )
    values = []
    for side in sides:
        value = study.scope.evaluate(side)
        node: Node = study.scope.node(value, side.span)
        if node.axes:
            study.scope.fail(
                Slug.AXIS_MISMATCH,
                f"{what} is about one number, and this has {study.scope.say_axes(node)}",
                side.span,
                hint=f"mean[{', '.join(axis.name for axis in node.axes)}]({side.span.text})",
            )
        if len(sides) == 1 and node.dtype != "bool":
            study.scope.fail(
                Slug.WRONG_DTYPE,
                f"{that} is a truth, and this is {node.dtype}",
                side.span,
                hint=f"{kind} {side.span.text} > 0",
            )
        values.append(value)
    op = tree.op if isinstance(tree, s.Binary) and len(sides) == 2 else ""
    output(study, kind, tree.span.text, values, step.span, op)


def show(study: Study, tree: s.Expr) -> None:
    """A value as a table; `text(x)` as the text whose tokens it holds: along the axis in brackets,
    else along that of the data's texts if it has it, else each token by itself."""
    target = tree.target if isinstance(tree, s.Call) else None
    base, items = (target.base, target.items) if isinstance(target, s.Index) else (target, ())
    if not isinstance(tree, s.Call) or not isinstance(base, s.Name) or base.id != TEXT:
        output(study, "show", tree.span.text, [study.scope.evaluate(tree)], tree.span)
        return
    read = study.tables or study.decodes
    if len(tree.args) != 1 or tree.args[0].name is not None or not read:
        what = "is of one value" if read else "is read by the tokeniser of data"
        study.scope.fail(
            Slug.WRONG_ARGUMENTS, f"`text` {what}", tree.span, hint="show text(words.tokens)"
        )
    node = study.scope.node(study.scope.evaluate(tree.args[0].value), tree.args[0].span)
    if node.dtype != "int":
        study.scope.fail(
            Slug.WRONG_DTYPE,
            f"tokens are whole numbers, and this is {node.dtype}",
            tree.args[0].span,
            hint=f"text(argmax[vocab]({tree.args[0].span.text}))",
        )
    wanted = (text_axis(study), *(plan.model.time for plan in study.decodes))
    axis = next((own for own in wanted if own in node.axis_names), None)
    match items:
        case (s.Name(name),):
            axis = study.scope.axis_named(name, node, items[0].span, f"`text` is along `{name}`")
        case (_, *_):
            study.scope.fail(
                Slug.BAD_INDEX, "a text is along one axis", tree.span, hint="text[t](words.tokens)"
            )
    whole = axis is not None and isinstance(node.size(axis), int)
    options = (
        ("data", next(iter(study.tables), "")),
        ("axis", axis or ""),
        ("ragged", "" if whole else axis or ""),
    )
    output(study, "text", tree.span.text, [Value(node)], tree.span, options=options)
