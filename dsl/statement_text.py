"""Statements as text: those of one line, and the first lines of those that have a suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import syntax
from .expression_text import POSTFIX, expression, group
from .layout import Group, Pieces, flat, joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .syntax import AxisDecl, Tree


def head(node: Tree) -> Pieces:
    """A statement, or its first line up to the `:` in front of its suite."""
    match node:
        case syntax.Block(kind, name, axes, params, results):
            brackets = [group("[", axes, "]")] if axes else []
            given = joined([[_axes(axes)] for axes in results], ", ")
            return [f"{kind} {name}", *brackets, _params(params), " -> ", *given, ":"]
        case syntax.Intervention(name, params, model, given):
            takes = [_params(params)] if params else []
            return [f"intervention {name}", *takes, f" on {model}", *_with(given), ":"]
        case syntax.During(phase, steps, body, short):
            part = [" ", *expression(steps)] if steps else []
            return [f"during {phase}", *part, ":", *([" ", *head(body[0])] if short else [])]
        case syntax.Weights(name, model, file, maps):
            end = "" if maps is None else ":"
            return [f"weights {name} of ", *expression(model), " from ", *expression(file), end]
        case syntax.Experiment(name, model, given, data):
            of = [" of ", *expression(model)] if model else []
            on = [" on ", *expression(data)] if data else []
            return [f"experiment {name}", *of, *_with(given), *on, ":"]
        case syntax.Train(name, model, start, fresh, given, data):
            base = [f" from {start}"] if start else []
            new = [" fresh ", *expression(fresh)] if fresh else []
            on = [" on ", *expression(data), ":"]
            return [f"train {name} of ", *expression(model), *base, *new, *_with(given), *on]
        case syntax.Calibrate(name, model, given, data, count, unit):
            of = [f"calibrate {name} of ", *expression(model), *_with(given)]
            on = [" on ", *expression(data)]
            return [*of, *on, " for ", *expression(count), f" {unit}:"]
        case syntax.Phase(name):
            return [f"phase {name}:"]
        case syntax.Sweep(name, over):
            return [
                f"{'sweep' if node.runs_again else 'attribute'} {name} over ",
                *_list(over),
                ":",
            ]
        case syntax.Loop(kind, name, count):
            return [f"{kind} {name} * ", *expression(count), ":"]
        case syntax.StudyScan(axis, count):
            return [f"scan {axis} * ", *expression(count), ":"]
        case syntax.Scan(axis, backwards, count):
            times = [" * ", *expression(count)] if count else []
            return [f"scan {axis}{' reversed' if backwards else ''}", *times, ":"]
    return _step(node)


def _step(node: Tree) -> Pieces:
    match node:
        case syntax.Assign(targets, values):
            return [*_list(targets), " = ", *_list(values)]
        case syntax.Return(values):
            return ["return ", *_list(values)]
        case syntax.Declare(kind, name, axes, value, drawn, like):
            of = f" like {like}" if like else ""
            return [
                f"{kind} {name}",
                *_maybe_axes(axes),
                f"{of} {'~' if drawn else '='} ",
                *expression(value),
            ]
        case syntax.Carry(names, value):
            carried = [[item.name, *_maybe_axes(item.axes)] for item in names]
            return ["carry ", *joined(carried, ", "), " = ", *expression(value)]
        case syntax.Shared(name, value):
            return [f"share {name} = ", *expression(value)]
        case syntax.Owned(site, value):
            return ["share ", *expression(site, POSTFIX), " = ", *expression(value)]
        case syntax.Write(site, op, value, path):
            if op == "freeze":
                return ["freeze ", *expression(site, POSTFIX)]
            if op in syntax.RULES:
                said = [f"{op} ", *expression(site, POSTFIX), *_path(path)]
                return [*said, " = ", *expression(value)]
            before, after = ([], _path(path)) if op == "from" else (_path(path), [])
            return [*expression(site, POSTFIX), *before, f" {op} ", *expression(value), *after]
        case syntax.Rule(name, value):
            return ["backward ", *expression(name, POSTFIX), " = ", *expression(value)]
        case syntax.Placed(weights, part):
            return [*expression(weights), " as ", *expression(part)]
        case syntax.Use(path, names):
            used = [n.name if n.name == n.alias else f"{n.name} as {n.alias}" for n in names]
            return [f"use {'.'.join(path)}: {', '.join(used)}"]
        case syntax.Data(name, value, fields):
            if not fields:
                return [f"data {name} = ", *expression(value)]
            shown = [[f.name, *_maybe_axes(f.axes), ": ", *expression(f.value)] for f in fields]
            # flat: fields stand in no brackets, and breaking those around them is no help
            return [f"data {name} = {flat(expression(value))}: {flat(joined(shown, ', '))}"]
        case syntax.Map(site, value, order, picks):
            shape = [] if order is None else [f" as [{', '.join(map(_order, order))}]"]
            taken = [group("[", picks, "]")] if picks else []
            return [*expression(site), " = ", *expression(value), *shape, *taken]
        case syntax.Skip(value):
            return ["skip ", *expression(value)]
    return _trial(node)


def _trial(node: Tree) -> Pieces:
    match node:
        case syntax.Run(name, value, given):
            return [f"run {name} = ", *expression(value), *_with(given)]
        case syntax.Measure(name, params, value):
            runs = f"({', '.join(params)})" if params else ""
            return [f"measure {name}{runs} = ", *expression(value)]
        case syntax.Plot(value):
            return ["plot ", *expression(value)]
        case syntax.Show(values):
            return ["show ", *_list(values)]
        case syntax.Expect(condition):
            return ["expect ", *expression(condition)]
        case syntax.Using(settings):
            return ["using ", *joined([_setting(item) for item in settings], ", ")]
        case syntax.Schedule(parts):
            return ["schedule ", *joined([expression(part) for part in parts], " then ")]
        case syntax.Only(patterns, frozen):
            return ["freeze " if frozen else "only ", *_list(patterns)]
        case syntax.OptimiserGroup(pattern, settings):
            shown = [[f"{name} = ", *expression(value)] for name, value in settings]
            return ["group ", *expression(pattern), ": ", *joined(shown, ", ")]
        case syntax.Until(unit, count, write):
            return [f"until {unit} {count}", *([": ", *head(write)] if write else [])]
        case syntax.UntilHolds(condition):
            return ["until ", *expression(condition)]
        case syntax.Update(write):
            return ["update ", *head(write)]
        case syntax.Every(count, unit, action):
            return [f"every {count} {unit}: {action}"]
    return expression(node)


def _list(nodes: Iterable[Tree]) -> Pieces:
    return joined([_over(node) for node in nodes], ", ")


def _over(node: Tree) -> Pieces:
    if isinstance(node, syntax.Over):
        return [f"{node.name} in ", *expression(node.range)]
    return head(node)


def _with(given: Iterable[Tree]) -> Pieces:
    shown = _list(given)
    return [" with ", *shown] if shown else []


def _path(path: syntax.Path | None) -> Pieces:
    if path is None:
        return []
    shown: Pieces = [" along ", "not " if path.but else "", *expression(path.hops[0], POSTFIX)]
    for hop in path.hops[1:]:
        shown = [*shown, " then ", *expression(hop, POSTFIX)]
    return (
        shown if path.through is None else [*shown, " through ", *expression(path.through, POSTFIX)]
    )


def _params(params: Iterable[syntax.Param]) -> Group:
    return Group("(", tuple(_param(param) for param in params), ")")


def _param(param: syntax.Param) -> Pieces:
    kind = f": {param.kind}" if param.kind else ""
    default = [" = ", *expression(param.default)] if param.default else []
    return [param.name, *_maybe_axes(param.axes), kind, *default]


def _axes(axes: Iterable[AxisDecl]) -> str:
    return f"[{', '.join(map(_axis, axes))}]"


def _axis(decl: AxisDecl) -> str:
    if decl.size is not None:
        return f"{decl.name} = {flat(expression(decl.size))}"
    return f"*{decl.name}" if decl.pack else decl.name + (f" of {decl.of}" if decl.of else "")


def _maybe_axes(axes: Iterable[AxisDecl] | None) -> Pieces:
    return [] if axes is None else [_axes(axes)]


def _order(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"({' '.join(names)})"


def _setting(item: Tree) -> Pieces:
    if isinstance(item, syntax.Setting):
        return [f"{item.name} ", *expression(item.value)]
    return expression(item)
