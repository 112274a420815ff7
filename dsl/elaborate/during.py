"""`during prefill`, `during decode 3..8`: where in time a write is, as a part of its site; and
`during train`: whether it is at all.

Positions of the prompt are those before an input, `during.prompt`, which whoever decodes gives; a
run that does not decode is all prompt. So a run of the whole and a run with caches say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import DType
from ..diagnostics import Note, Slug, or_any
from ..program import PROMPT, ArgumentInput
from .planned import Plan
from .values import Known, Value

if TYPE_CHECKING:
    from ..core import Node
    from ..program import CheckedModel
    from ..source import Span
    from .scope import Scope
    from .study import Study

PHASES = ("prefill", "decode")
TRAIN = "train"
EVERYTHING = 2**31 - 1
NAME = "the prompt"  # in a scope; no spec can say it


def positions(
    study: Study, tree: s.During, model: CheckedModel, scope: Scope, whole: Span | None = None
) -> tuple[s.Item, ...]:
    """The positions of a phase, as a selection. `whole` is where a run is said that decodes
    nothing, in which there are none behind the prompt."""
    if tree.phase not in PHASES:
        scope.fail(
            Slug.UNKNOWN_OPTION,
            f"no phase of a run is called `{tree.phase}`",
            tree.span,
            hint=or_any(tree.phase, (*PHASES, TRAIN)),
        )
    axis = model.time
    if axis is None:
        scope.fail(
            Slug.BAD_WRITE,
            f"`{model.name}` has no axis along which it is decoded",
            tree.span,
        )
    if whole is not None and tree.phase == "decode":
        scope.fail(
            Slug.BAD_WRITE,
            "nothing is decoded here, so what is written `during decode` would never hold",
            whole,
            notes=[Note("it is written", tree.span)],
            hint=None if study.training else "run out = decode(prompt = .., steps = ..) with ..",
        )
    scope.names[NAME] = prompt_of(study, tree.span)
    prompt, index = s.Name(NAME, span=tree.span), s.Name(axis or "", span=tree.span)
    if tree.phase == "prefill":
        if tree.steps is not None:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                "a prompt is read at once and has no steps",
                tree.steps.span,
                hint="during decode 3..8",
            )
        return (s.Binary("<", index, prompt, span=tree.span),)
    if tree.steps is None:
        _check_reached(tree, scope)
        return (s.Binary(">=", index, prompt, span=tree.span),)
    _check_reached(tree, scope)
    ends = [_step(end, scope) for end in (tree.steps.start, tree.steps.stop) if end is not None]
    _check_order(tree.steps, scope)
    low, high = (s.Binary("+", prompt, end, span=end.span) for end in ends)
    return (
        s.Binary(">=", index, low, span=tree.span),
        s.Binary("<", index, high, span=tree.span),
    )


def in_training(study: Study, tree: s.During, into: Plan, scope: Scope) -> Plan:
    """Where the writes of `during train` go: into a run whose parameters are trained, in a step of
    its training; else nowhere, and they are only checked."""
    if tree.steps is not None:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            "a training counts its own steps",
            tree.steps.span,
            hint="until step 100: layer[0].x = 0",
        )
    study.ctx.reads_mode = True
    return into if into.trained else Plan(owned=into.owned, whole=into.whole)


def _step(tree: s.Expr, scope: Scope) -> s.Expr:
    """A number of steps: a whole one that is not negative, or a parameter."""
    found = scope.evaluate(tree)
    if isinstance(found, Known):
        whole = isinstance(found.value, int) and not isinstance(found.value, bool)
        if not whole or found.value < 0:  # type: ignore[operator]
            scope.fail(
                Slug.BAD_INDEX,
                "steps of decoding are counted from 0 in whole numbers",
                tree.span,
                hint="during decode 3..8",
            )
    return tree


def _check_order(steps: s.Range, scope: Scope) -> None:
    """Some step lies between two ends that are known: else nothing would ever be written."""
    ends = [scope.evaluate(end) for end in (steps.start, steps.stop) if end is not None]
    low, high = (end.value if isinstance(end, Known) else None for end in ends)
    if isinstance(low, int) and isinstance(high, int) and low >= high:
        scope.fail(
            Slug.BAD_INDEX,
            f"no step is from {low} on and before {high}, so nothing would be written",
            steps.span,
            hint=f"during decode {min(low, high)}..{max(low, high) + (low == high)}",
        )


def _check_reached(tree: s.During, scope: Scope) -> None:
    """A run that decodes so many tokens comes to some position of the phase. The last token is
    given out and not read again."""
    low = scope.evaluate(tree.steps.start) if tree.steps and tree.steps.start else Known(0)
    steps = scope.ctx.steps
    if steps is None or not isinstance(low, Known) or not isinstance(low.value, int):
        return
    if low.value >= steps - 1:
        many = "no position" if steps == 1 else f"{steps - 1} position{'s' * (steps > 2)}"
        scope.fail(
            Slug.BAD_INDEX,
            f"with `steps = {steps}` {many} behind the prompt are computed, "
            f"so nothing from number {low.value} on is ever written",
            tree.span,
            hint=f"steps = {low.value + 2}",
        )


def bind_last(study: Study, model: CheckedModel) -> None:
    """Let `@last` be bound at the step that computes a token: to the end of the prompt, and to each
    position after it, along what is decoded."""

    def prompt(axis: str) -> Node | None:
        return prompt_of(study, model.span).node if axis == model.time else None

    study.ctx.prompt = prompt


def prompt_of(study: Study, span: Span) -> Value:
    """The number of positions of the prompt, one input for all interventions."""
    for step in study.scope.builder.root.steps:
        if step.node.site == PROMPT and step.node.op is ops.INPUT:
            return Value(step.node)
    return study.input(ArgumentInput(PROMPT, EVERYTHING), (), DType.INT, span)
