"""`run out = decode(prompt = .., steps = 64)`: tokens that follow prompts, in an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Note, Slug, or_any
from ..program import DecodeOutput, DecodePlan
from .datasets import TEXT
from .given import intervene
from .planned import Plan
from .requests import elaborated
from .study import Study
from .under import inputs_again, under_plan
from .values import Known, Run
from .weights import weights_label

if TYPE_CHECKING:
    from ..core import Node
    from ..program import CheckedModel, InputDecl
    from .models import ModelRequest

DECODE = "decode"
OPTIONS = ("steps", "temperature", "top_k", "top_p", "samples", "seed", "stop")
WHOLE = {"steps", "top_k", "samples", "seed", "stop"}
SAMPLE = "sample"


def decoded(
    study: Study,
    step: s.Run,
    tree: s.Call,
    request: ModelRequest,
    given: tuple[s.Given, ...],
    weights: str | None,
) -> Run:
    """A run that decodes; its one value is `tokens`."""
    model = elaborated(study, request)
    fed = _fed(model, tree, study)
    prompt, text, options = None, None, {}
    for arg in tree.args:
        if arg.name == "prompt":
            text = _literal(arg.value)
            prompt = None if text is not None else _tokens(arg.value, model, fed, study)
        elif arg.name in OPTIONS:
            options[arg.name] = _number(arg, study)
        else:
            study.scope.fail(
                Slug.UNKNOWN_OPTION,
                f"`decode` has no option `{arg.name}`" if arg.name else "options are named",
                arg.span,
                hint=or_any(arg.name or "", ("prompt", *OPTIONS)),
            )
    for name in ("prompt", "steps"):
        if name not in {arg.name for arg in tree.args}:
            study.scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`decode` needs `{name}`",
                tree.span,
                hint="decode(prompt = words.tokens, steps = 32)",
            )
    label = weights_label(study, model, weights, step.span)
    changed, held = _intervened(study, model, given)
    axes = [axis for axis in (prompt.axes if prompt is not None else ()) if axis.name != model.time]
    if "samples" in options:
        axes.append(Axis(SAMPLE, int(options["samples"])))
    axes.append(Axis(model.time or "", int(options["steps"])))
    found = study.input(DecodeOutput(step.name), tuple(axes), DType.INT, step.span)
    study.decodes.append(
        DecodePlan(
            step.name,
            changed,
            held,
            prompt.name if prompt is not None else "",
            text,
            next(iter(study.tables), ""),
            options,
            label,
            step.span,
        )
    )
    if study.model is None:
        study.model = model
    for axis in axes:
        study.scope.axes.setdefault(axis.name, axis)
    return Run(step.name, model, {}, {"tokens": found.node}, decoded=True)


def _fed(model: CheckedModel, tree: s.Call, study: Study) -> InputDecl:
    """The input of tokens; the model gives scores of them."""
    fed = [d for d in model.inputs if d.dtype is DType.INT and model.time in d.order]
    if len(fed) != 1 or model.results[0].order[:-1] != fed[0].order:
        study.scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{model.name}` is no model of tokens: its first result is to be scores along one "
            "axis more than its input of whole numbers has",
            tree.span,
            notes=[Note("it is declared", model.span)],
        )
    return fed[0]


def _literal(tree: s.Expr) -> str | None:
    """The text of a prompt that stands in the spec."""
    if isinstance(tree, s.Text):
        return tree.value
    match tree:
        case s.Call(s.Name(name), (s.Argument(None, s.Text(value)),)) if name == TEXT:
            return value
    return None


def _tokens(tree: s.Expr, model: CheckedModel, fed: InputDecl, study: Study) -> Node:
    """The prompts as tokens."""
    node = study.scope.node(study.scope.evaluate(tree), tree.span)
    if node.dtype is not DType.INT:
        study.scope.fail(
            Slug.WRONG_DTYPE, f"tokens are whole numbers, and this is {node.dtype}", tree.span
        )
    if not {model.time} <= node.axis_names <= set(fed.order):
        study.scope.fail(
            Slug.AXIS_MISMATCH,
            f"a prompt has axes {', '.join(f'`{n}`' for n in fed.order)}, and this has "
            f"{study.scope.say_axes(node)}",
            tree.span,
            notes=[Note(f"`{fed.name}` is declared", fed.span)],
        )
    return node


def _number(arg: s.Argument, study: Study) -> float:
    """The value of an option."""
    found = study.scope.evaluate(arg.value)
    value = found.value if isinstance(found, Known) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        study.scope.fail(
            Slug.NOT_CONSTANT, f"`{arg.name}` is a number that is known before it runs", arg.span
        )
    whole = isinstance(value, int)
    low = 1 if arg.name in ("steps", "top_k", "samples") else 0
    share = arg.name == "top_p" and not 0 < value <= 1
    if value < low or share or (arg.name in WHOLE and not whole):
        kind = "a whole number" if arg.name in WHOLE else "a number"
        reach = "above 0 and at most 1" if arg.name == "top_p" else f"{low} or larger"
        study.scope.fail(Slug.WRONG_ARGUMENTS, f"`{arg.name}` is {kind}, {reach}", arg.span)
    return value


def _intervened(
    study: Study, model: CheckedModel, given: tuple[s.Given, ...]
) -> tuple[CheckedModel, dict[str, float | None]]:
    """The model with what follows `with`, a program of its own; and what its parameters hold."""
    if not given:
        return model, {}
    inner = Study(study.module, study.collector, study.ctx.budget)
    inputs = inputs_again(model, inner)
    plan = Plan()
    for item in given:
        if isinstance(item, s.Placed):
            feature = f"`{item.span.text}` in a run that decodes"
            study.scope.fail(Slug.UNBUILT, f"{feature} is not built yet", item.span)
        intervene(inner, item, model, plan, inner.scope)
    return under_plan(model, inputs, plan, inner)
