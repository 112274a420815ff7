"""What follows `with`: weights, interventions by name, writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Note, Slug, or_nearest
from ..program import ArgumentInput
from .during import TRAIN, in_training, positions
from .owned import own
from .scope import Frame, Scope
from .sites import is_turn, loop_axis, model_axis
from .structure import walk
from .values import HaltError, Known, Poison, Run, Table, Val, Value
from .writes import plan

if TYPE_CHECKING:
    from ..modules import Module
    from ..program import CheckedModel
    from ..source import Span
    from .planned import Plan
    from .study import Study


def intervene(study: Study, item: s.Given, model: CheckedModel, into: Plan, scope: Scope) -> None:
    """Add the writes of one thing that follows `with`."""
    match item:
        case s.Write():
            plan(item, model, scope, into)
        case s.During():
            _writes(study, "", (item,), (), model, into, scope)
        case s.Placed():
            scope.fail(
                Slug.BAD_WRITE,
                "an intervention changes values, and weights are put where something runs",
                item.span,
                hint=f"run x = ... with {item.span.text}",
            )
        case s.Unbuilt(feature):
            scope.fail(Slug.UNBUILT, f"{feature} is not built yet", item.span)
        case s.Name() | s.Call(s.Name(), _):
            _named(study, item, model, into, scope)
        case _:
            scope.fail(
                Slug.UNKNOWN_NAME,
                "what follows `with` is weights or an intervention",
                item.span,
            )


def _named(
    study: Study, item: s.Name | s.Call, model: CheckedModel, into: Plan, scope: Scope
) -> None:
    name = item.id if isinstance(item, s.Name) else item.target.id  # type: ignore[union-attr]
    found = scope.frame.module.find(name)
    if name in scope.frame.module.broken:
        raise HaltError
    kinds = s.Intervention | s.Train | s.Weights | s.Calibrate
    if found is None or not isinstance(found[0], kinds):
        known = [
            n
            for n in scope.frame.module.names()
            if (f := scope.frame.module.find(n))
            and isinstance(f[0], s.Intervention | s.Train | s.Weights)
        ]
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"no intervention or weights are called `{name}`",
            item.span,
            hint=or_nearest(name, known),
        )
    definition, module = found
    if isinstance(definition, s.Calibrate):
        table = scope.evaluate(s.Name(name, span=item.span))
        if not isinstance(table, Table):
            raise HaltError
        for key, node in table.fields.items():
            scope.names.setdefault(key, Value(node))
        return
    if not isinstance(definition, s.Intervention):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{name}` are weights, which a study or a run is given by name",
            item.span,
            hint=f"run a = {model.name} with {name}",
        )
    args = {}
    free = [p.name for p in definition.params]
    for arg in item.args if isinstance(item, s.Call) else ():
        key = arg.name or (free[0] if free else "")
        if key not in free:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{name}` has no parameter `{key}`",
                arg.span,
                hint=or_nearest(key, free),
            )
        free.remove(key)
        args[key] = scope.evaluate(arg.value)
    plan_intervention(study, definition, module, args, model, into, scope, item.span)


def plan_intervention(
    study: Study,
    definition: s.Intervention,
    module: Module,
    args: dict[str, Val],
    model: CheckedModel,
    into: Plan,
    scope: Scope,
    span: Span,
    *,
    any_turn: bool = False,
) -> None:
    """All writes of an intervention, its parameters bound: those that pick a site, a size or a case
    are known at compile time, the others are inputs."""
    inner = Scope(
        study.ctx,
        scope.builder,
        Frame(module, riding=scope.frame.riding, positions=scope.frame.positions),
        "",
        "",
        axes=dict(scope.known_axes()),
    )
    picking = _picking(definition, module)
    for param in definition.params:
        value = args.get(param.name)
        if value is None and param.default is not None:
            value = inner.evaluate(param.default)
        if param.kind == "run" and value is not None and not isinstance(value, Run | Poison):
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{definition.name}` wants a run for `{param.name}`",
                span,
                notes=[Note("it is declared", param.span)],
                hint=f"{definition.name}({param.name} = clean)",
            )
        if value is None:
            if param.axes is None:
                scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    f"`{definition.name}` needs `{param.name}`",
                    span,
                    notes=[Note("it is declared", param.span)],
                    hint=f"{definition.name}({param.name} = ...)",
                )
            axes = tuple(_own_axis(decl, model, inner) for decl in param.axes)
            value = study.input(
                ArgumentInput(f"{definition.name}.{param.name}", None),
                axes,
                DType.FLOAT,
                param.span,
            )
        elif (
            isinstance(value, Known)
            and isinstance(value.value, float | int)
            and param.name not in picking
            and param.axes is None
        ):
            number = float(value.value)
            value = study.input(
                ArgumentInput(f"{definition.name}.{param.name}", number),
                (),
                DType.FLOAT,
                param.span,
            )
        inner.names[param.name] = value
    for other in definition.given:
        intervene(study, other, model, into, inner)
    _writes(study, definition.name, definition.body, (), model, into, inner, any_turn)


def _writes(
    study: Study,
    name: str,
    body: tuple[s.Tree, ...],
    when: tuple[s.Item, ...],
    model: CheckedModel,
    into: Plan,
    scope: Scope,
    any_turn: bool = False,
) -> None:
    """The writes of a suite of the intervention `name`. One that is wrong was reported: the others
    are tried too."""
    for step in body:
        try:
            match step:
                case s.Write():
                    plan(step, model, scope, into, any_turn=any_turn, when=when)
                case s.Owned() if not name:
                    scope.fail(
                        Slug.MISPLACED, "`share` in a phase stands in an intervention", step.span
                    )
                case s.Owned():
                    into.owned.append(own(step, name, model, scope))
                case s.During(phase) if phase == TRAIN:
                    chosen = in_training(study, step, into, scope)
                    _writes(study, name, step.body, when, model, chosen, scope, any_turn)
                case s.During():
                    inner = (*when, *positions(study, step, model, scope, into.whole))
                    _writes(study, name, step.body, inner, model, into, scope, any_turn)
                case s.Unbuilt(feature):
                    message = f"{feature} is not built yet"
                    scope.ctx.collector.report(Slug.UNBUILT, message, step.span)
        except HaltError:
            if isinstance(step, s.Owned):
                scope.names.setdefault(step.site.span.text.rpartition(".")[2], Poison())
            if study.ctx.budget.is_spent:
                raise


def _picking(definition: s.Intervention, module: Module) -> set[str]:
    """Names that stand in brackets, where they pick a site or a part of one; also in those of an
    intervention that they are handed on to."""
    found: set[str] = set()
    for other in definition.given:
        if isinstance(other, s.Call) and isinstance(other.target, s.Name):
            entry = module.find(other.target.id)
            if entry is not None and isinstance(entry[0], s.Intervention):
                params = [param.name for param in entry[0].params]
                picked = _picking(entry[0], entry[1])
                for place, arg in enumerate(other.args):
                    if (arg.name or "".join(params[place : place + 1])) in picked:
                        found |= {t.id for t in walk(arg.value) if isinstance(t, s.Name)}
    for tree in walk(definition.body):
        if isinstance(tree, s.Owned):
            found |= {t.id for t in walk(tree.value) if isinstance(t, s.Name)}
        if isinstance(tree, s.Index):
            for item in tree.items:
                if is_turn((item,)) or isinstance(item, s.Bind | s.Binary):
                    found |= {t.id for t in walk(item) if isinstance(t, s.Name)}
    return found


def _own_axis(decl: s.AxisDecl, model: CheckedModel, scope: Scope) -> Axis:
    axis = model_axis(decl.name, model) or loop_axis(decl.name, model)
    if axis is None:
        scope.fail(Slug.UNKNOWN_AXIS, f"`{model.name}` has no axis `{decl.name}`", decl.span)
    return axis
