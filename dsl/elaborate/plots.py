"""`plot heatmap(effect, x = p, y = l)`: what a figure shows, along which axes, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import DType
from ..diagnostics import Slug, or_any
from ..figures import (
    AXIS,
    CIRCUIT,
    COUNT,
    FIGURES,
    NUMBER,
    RECEIVERS,
    SENDERS,
    TITLE,
    TOKENS,
    VALUE,
)
from .outputs import output
from .values import Val, Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..core import Node
    from .study import Study

COUNTS = ("no", "one", "two", "three", "four")


def plot(study: Study, step: s.Plot) -> None:
    """What is shown, and how."""
    called = _called(step.value)
    if called is None:
        study.scope.fail(
            Slug.UNKNOWN_NAME,
            "a plot is one of " + ", ".join(FIGURES),
            step.value.span,
            hint=f"plot {FIGURES['heatmap'].usage}",
        )
    kind, items, args = called
    shown = [arg for arg in args if arg.name is None]
    if len(shown) != 1:
        study.scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"a plot shows 1 value, and this has {len(shown)}",
            step.value.span,
            hint=f"plot {FIGURES[kind].usage}",
        )
    node = study.scope.node(study.scope.evaluate(shown[0].value), shown[0].span)
    options: dict[str, str | float] = {"kind": kind}
    roles: list[tuple[str, str]] = []
    values: list[Val] = [Value(node)]
    for arg in args:
        if arg.name is None:
            continue
        known = FIGURES[kind].options
        if arg.name not in known:
            study.scope.fail(
                Slug.UNKNOWN_OPTION,
                f"a plot has no option `{arg.name}`",
                arg.span,
                hint=or_any(arg.name, known),
            )
        if known[arg.name] in (VALUE, TOKENS):
            roles.append((arg.name, arg.value.span.text))
            values.append(Value(_beside(arg, node, study, tokens=known[arg.name] == TOKENS)))
        else:
            options[arg.name] = _option(arg, known[arg.name], node, study)
    _count_axes(study, kind, node, shown[0], options.values())
    if kind == CIRCUIT:
        options |= _sides(study, items, node, step.value)
    if any(known[name] == TOKENS for name, _ in roles):
        options["data"] = next(iter(study.tables), "")
    label = str(options.get("title") or shown[0].span.text)
    given = tuple(options.items())
    output(study, "plot", label, values, step.span, options=given, roles=tuple(roles))


def _called(
    tree: s.Expr,
) -> tuple[str, tuple[s.Item, ...] | None, tuple[s.Argument, ...]] | None:
    """The kind of figure, what stands in its brackets, and its arguments; None if it is none."""
    match tree:
        case s.Call(s.Name(kind), args) if kind in FIGURES:
            return kind, None, args
        case s.Call(s.Index(s.Name(kind), items), args) if kind == CIRCUIT:
            return kind, items, args
    return None


def _count_axes(
    study: Study, kind: str, node: Node, shown: s.Argument, named: Collection[object]
) -> None:
    """A figure shows so many axes, no fewer and no more; some are named by its options."""
    figure, found = FIGURES[kind], len(node.axes)
    if figure.fewest <= found <= figure.most:
        return
    if kind == CIRCUIT:
        wanted = "senders and receivers along axes of their own"
    else:
        numbers = dict.fromkeys((figure.fewest, figure.most))
        wanted = f"{' or '.join(COUNTS[n] for n in numbers)} axes"
    spare = [axis.name for axis in node.axes if axis.name not in named]
    over = ", ".join(spare[: found - figure.most])
    study.scope.fail(
        Slug.AXIS_MISMATCH,
        f"`{kind}` shows {wanted}, and this has {study.scope.say_axes(node)}",
        shown.span,
        hint=f"mean[{over}]({shown.span.text})" if found > figure.most else None,
    )


def _beside(arg: s.Argument, node: Node, study: Study, *, tokens: bool) -> Node:
    """A further value: numbers along axes of what is shown, or tokens along one axis."""
    found = study.scope.node(study.scope.evaluate(arg.value), arg.span)
    if tokens and (found.dtype is not DType.INT or len(found.axes) != 1):
        slug = Slug.WRONG_DTYPE if found.dtype is not DType.INT else Slug.AXIS_MISMATCH
        study.scope.fail(
            slug,
            f"`{arg.name}` is whole numbers along one axis, and this is {found.dtype} with "
            + study.scope.say_axes(found),
            arg.span,
            hint=f"{arg.name} = words.tokens[b = 0]",
        )
    if not tokens and not found.axis_names <= node.axis_names:
        study.scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{arg.name}` has {study.scope.say_axes(found)}, and what is shown has "
            + study.scope.say_axes(node),
            arg.span,
        )
    return found


def _option(arg: s.Argument, holds: str, node: Node, study: Study) -> str | float:
    """Which axis goes where, what stands above, or how much is shown."""
    scope = study.scope
    if holds == TITLE:
        if not isinstance(arg.value, s.Text):
            scope.fail(Slug.WRONG_DTYPE, "a title is a text", arg.span, hint='title = "..."')
        return arg.value.value
    if holds == AXIS:
        if not isinstance(arg.value, s.Name):
            scope.fail(Slug.NOT_AN_AXIS, f"`{arg.name}` is an axis of what is shown", arg.span)
        what = f"`{arg.name}` is the axis `{arg.value.id}`"
        return scope.axis_named(arg.value.id, node, arg.value.span, what)
    assert holds in (COUNT, NUMBER)
    number = scope.constant(arg.value, f"`{arg.name}`")
    if isinstance(number, bool) or number < 0 or (holds == COUNT and number != int(number)):
        kind = "a whole number" if holds == COUNT else "a number"
        scope.fail(Slug.WRONG_ARGUMENTS, f"`{arg.name}` is {kind}, 0 or larger", arg.span)
    return number


def _sides(
    study: Study, items: tuple[s.Item, ...] | None, node: Node, tree: s.Expr
) -> dict[str, str]:
    """The axes of senders and receivers: those around the arrow in brackets; of two the first and
    the second, if there are no brackets."""
    if items is None and len(node.axes) == 2:
        return {SENDERS: node.axes[0].name, RECEIVERS: node.axes[1].name}
    sides: tuple[list[s.Item | None], list[s.Item | None]] = ([], [])
    arrows = 0
    for item in items or ():
        if isinstance(item, s.Arrow):
            arrows += 1
            sides[0].append(item.left)
            sides[1].append(item.right)
        else:
            sides[min(arrows, 1)].append(item)
    named = [[item for item in side if isinstance(item, s.Name)] for side in sides]
    if arrows != 1 or [len(side) for side in named] != [len(side) for side in sides]:
        study.scope.fail(
            Slug.BAD_INDEX,
            "a circuit goes from axes to axes",
            tree.span,
            hint=f"plot {FIGURES[CIRCUIT].usage}",
        )
    found = [
        [study.scope.axis_named(i.id, node, i.span, f"a circuit is along `{i.id}`") for i in side]
        for side in named
    ]
    if sorted([*found[0], *found[1]]) != sorted(node.axis_names):
        study.scope.fail(
            Slug.AXIS_MISMATCH,
            "a circuit names each axis of what is shown once, and this has "
            + study.scope.say_axes(node),
            tree.span,
        )
    return {SENDERS: " ".join(found[0]), RECEIVERS: " ".join(found[1])}
