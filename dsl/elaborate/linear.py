"""`linearise(gpt, around = base)`: a model to first order in its weights, from what others give.

Every value is what it is with the weights `base`, and how it moves when these move to the run's own
(Ortiz-Jimenez et al. 2023). So what it gives is linear in its weights, and adds up as they do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import DType
from ..diagnostics import Slug
from .origins import are_weights
from .values import Run
from .weights import parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Node
    from .scope import Scope
    from .study import Study

LINEARISE = "linearise"


def linearised(
    study: Study, step: s.Run, scope: Scope, run: Callable[[s.Run, str | None], Run]
) -> Run:
    """The run that a step says. `run` makes one with weights, or with the step's own."""
    tree, around = _arguments(step, study, scope)
    inner = replace(step, value=tree)
    own = run(inner, None)
    start = run(replace(inner, name=f"{step.name} around {around}"), around)
    emit, span = scope.builder.root.emit, step.span
    pairs: list[Node] = []
    for address in parameters(start.model):
        here = study.ctx.params.get(own.home(address))
        there = study.ctx.params.get(start.home(address))
        if here is None or there is None or here.name == there.name:
            continue
        pairs += [there, emit(ops.MAP, ops.MapAttrs("sub"), [here, there], span)]
    if not pairs:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"the run has the weights `{around}` itself, so nothing moves",
            step.value.span,
            hint=f"run {step.name} = {step.value.span.text} with OTHERS",
        )
    found = Run(step.name, start.model, start.inputs, weights=own.weights, placed=own.placed)
    for address, value in start.values.items():
        if value.dtype is not DType.FLOAT or not scope.builder.root.knows(value):
            found.values[address] = value
            continue
        moved = emit(ops.DERIVE, ops.DeriveAttrs(forward=True), [value, *pairs], span)
        whole = emit(ops.MAP, ops.MapAttrs("add"), [value, moved], span)
        found.values[address] = scope.builder.root.swap(whole.at(f"{step.name}:{address}"))
    return found


def _arguments(step: s.Run, study: Study, scope: Scope) -> tuple[s.Expr, str]:
    assert isinstance(step.value, s.Call)
    models = [arg.value for arg in step.value.args if arg.name is None]
    around = [arg.value for arg in step.value.args if arg.name == "around"]
    if len(models) != 1 or len(around) != 1 or len(step.value.args) != 2:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            "`linearise` takes a model, and the weights around which it is linear",
            step.value.span,
            hint="linearise(gpt, around = base)",
        )
    if not isinstance(around[0], s.Name) or not are_weights(around[0].id, study.module):
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"`{around[0].span.text}` are no weights",
            around[0].span,
            hint="around = base, the name of a training or of `weights`",
        )
    return models[0], around[0].id
