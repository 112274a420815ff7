"""A model under interventions, as a model: the same inputs, parameters and results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Body
from ..diagnostics import Collector, Slug, or_nearest
from ..program import POSITION, ArgumentInput, CheckedModel, InputDecl, StatisticsInput
from ..source import GENERATED
from .datasets import use_data
from .during import bind_last
from .given import plan_intervention
from .planned import Plan
from .runs import lay_down
from .study import Study
from .values import HaltError, Known, Val

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core import Node
    from ..modules import Module

Under = tuple[str, "Mapping[str, float | int]"]


def elaborate_under(
    model: CheckedModel,
    module: Module,
    under: Sequence[Under],
    collector: Collector,
    *,
    training: bool = False,
    decoding: bool = False,
) -> tuple[CheckedModel, dict[str, float | None]] | None:
    """The model with interventions of a file put in, in order, as they are while it is trained or
    while it is not, and while it is decoded or over the whole; and what they take that is an input
    at run time, with the values given or by default. None if something is wrong."""
    study = Study(module, collector, training=training)
    before = collector.errors
    try:
        inputs = inputs_again(model, study)
        use_data(study, None)
        _take_positions(inputs, study)
        if decoding:
            bind_last(study, model)
        plan = Plan(trained=training)
        for name, given in under:
            definition, home = _find(name, module, study)
            params = [param.name for param in definition.params]
            for key in given:
                if key not in params:
                    study.scope.fail(
                        Slug.WRONG_ARGUMENTS,
                        f"`{name}` has no parameter `{key}`",
                        definition.span,
                        hint=or_nearest(key, params),
                    )
            args: dict[str, Val] = {key: Known(value) for key, value in given.items()}
            plan_intervention(
                study, definition, home, args, model, plan, study.scope, definition.span
            )
        changed, arguments = under_plan(model, inputs, plan, study)
    except HaltError:
        return None
    return None if collector.errors > before else (changed, arguments)


def _take_positions(inputs: dict[str, Node], study: Study) -> None:
    """The position fields of the file's data are inputs, one for all interventions on a model."""
    known = study.scope.frame.positions
    for name, node in known.items():
        known[name] = inputs.get(POSITION + name) or study.scope.builder.swap(
            node.at(POSITION + name)
        )


def inputs_again(model: CheckedModel, study: Study) -> dict[str, Node]:
    """The inputs of a model as inputs of another program, by name."""
    study.ctx.claimed |= {decl.name for decl in model.inputs}
    inputs = {
        step.node.site or "": study.scope.builder.put(
            replace(step.node, name=study.ctx.fresh(step.node.span))
        )
        for step in model.body.steps
        if step.node.op is ops.INPUT
    }
    for name, node in inputs.items():  # what calibrations find is read once
        calibration, _, key = name.partition(".")
        found = study.module.find(calibration)
        if found is not None and isinstance(found[0], s.Calibrate):
            study.sources[node.name] = StatisticsInput(calibration, key)
    return inputs


def under_plan(
    model: CheckedModel, inputs: Mapping[str, Node], plan: Plan, study: Study
) -> tuple[CheckedModel, dict[str, float | None]]:
    """The model with planned writes, laid down in a study of its own; and what they read that is
    an input: parameters of interventions, and what calibrations find."""
    _, results = lay_down("", model, inputs, plan, study.scope)
    steps = study.scope.builder.steps
    nodes = {step.node.name: step.node for step in steps}
    read = {name for step in steps for name in step.operands}
    held = {node.name for node in inputs.values()}
    positions = [n.name for n in study.scope.frame.positions.values() if n.name in read - held]
    arguments: dict[str, float | None] = dict.fromkeys(positions)
    for n, source in study.sources.items():
        if n not in held and isinstance(source, ArgumentInput | StatisticsInput):
            arguments[n] = source.default if isinstance(source, ArgumentInput) else None
    extra = tuple(
        InputDecl(
            nodes[n].site or n,
            tuple(a.name for a in nodes[n].axes),
            nodes[n].dtype,
            nodes[n].span,
            optional=True,
        )
        for n in arguments
    )
    kept = tuple(  # without the other fields of data that the file has
        step
        for step in steps
        if step.node.op is not ops.INPUT or step.node.name in held | set(arguments)
    )
    body = Body(kept, tuple(node.name for node in results))
    changed = replace(
        model, body=body, inputs=(*model.inputs, *extra), limits=(*model.limits, *study.ctx.limits)
    )
    if study.ctx.reads_mode and model.request is not None:
        request = replace(model.request, training=study.training)
        changed = replace(changed, request=request, reads_mode=True)
    changed = replace(changed, reads_last=model.reads_last or study.ctx.reads_last)
    return changed, {nodes[n].site or n: default for n, default in arguments.items()}


def _find(name: str, module: Module, study: Study) -> tuple[s.Intervention, Module]:
    found = module.find(name)
    if found is None or not isinstance(found[0], s.Intervention):
        known = [
            n for n in module.names() if (f := module.find(n)) and isinstance(f[0], s.Intervention)
        ]
        study.scope.fail(
            Slug.UNKNOWN_NAME,
            f"no intervention is called `{name}`",
            GENERATED,
            hint=or_nearest(name, known),
        )
    return found[0], found[1]
