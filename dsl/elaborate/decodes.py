"""`run out = decode(prompt = .., steps = 64)`: tokens that follow prompts, in an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Note, Slug, or_any
from ..program import DecodeOutput, SweepInput
from ..stages import DecodePlan
from .datasets import TEXT
from .handed import handed, members_of
from .requests import elaborated
from .values import Known, Run, Value
from .weights import weights_label

if TYPE_CHECKING:
    from ..core import Axes, Node
    from ..program import CheckedModel, InputDecl
    from ..source import Span
    from .models import ModelRequest
    from .scope import Scope
    from .study import Study

DECODE = "decode"
OPTIONS = ("steps", "temperature", "top_k", "top_p", "samples", "seed", "stop")
WHOLE = {"steps", "top_k", "samples", "seed", "stop"}
SWEPT = {"temperature", "top_k", "top_p", "seed", "stop"}  # not what says how many there are
SAMPLE = "sample"


def decoded(
    study: Study,
    step: s.Run,
    tree: s.Call,
    request: ModelRequest,
    given: tuple[s.Given, ...],
    weights: str | None,
    scope: Scope,
) -> Run:
    """A run that decodes; its one value is `tokens`."""
    model = elaborated(study, request)
    fed = _fed(model, tree, study)
    known = {decl.name: decl for decl in model.inputs if decl is not fed}
    prompt, text = None, None
    options: dict[str, float | str] = {}
    further: dict[str, Node] = {}
    members = members_of(study, scope)
    swept = {axis.name for node in members for axis in node.axes}
    for arg in tree.args:
        if arg.name == "prompt":
            text = _literal(arg.value)
            prompt = None if text is not None else _tokens(arg.value, model, fed, scope, swept)
        elif arg.name in OPTIONS:
            options[arg.name] = _option(arg, scope, swept)
        elif arg.name in known:
            further[arg.name] = _further(arg, known[arg.name], scope, swept)
        else:
            study.scope.fail(
                Slug.UNKNOWN_OPTION,
                f"`decode` has no option `{arg.name}`" if arg.name else "options are named",
                arg.span,
                hint=or_any(arg.name or "", ("prompt", *OPTIONS, *known)),
            )
    for decl in known.values():
        if decl.name not in further and not decl.optional:
            study.scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`decode` needs `{decl.name}`",
                tree.span,
                notes=[Note(f"`{model.name}` takes it", decl.span)],
                hint=f"decode(prompt = .., steps = .., {decl.name} = ..)",
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
    batch = next((axis for axis in _axes_of(fed, model) if axis.name != model.time), None)
    found = handed(study, model, given, scope, batch, int(options["steps"]))
    axes = [
        axis
        for axis in (prompt.axes if prompt is not None else ())
        if axis.name != model.time and axis.name not in swept
    ]
    if "samples" in options:
        axes.append(Axis(SAMPLE, int(options["samples"])))
    axes.append(Axis(model.time or "", int(options["steps"])))
    name = step.name
    while any(source == DecodeOutput(name) for source in study.sources.values()):
        name += "'"
    tokens = _tokens_out(study, name, members, axes, step, scope)
    study.stages.append(
        DecodePlan(
            name,
            found.model,
            found.given,
            prompt.name if prompt is not None else "",
            text,
            next(iter(study.tables), ""),
            options,
            label,
            step.span,
            {**found.values, **{name: node.name for name, node in further.items()}},
            tuple(node.name for node in members),
            found.rows and not any(_is_whole(known[n], batch) for n in further),
        )
    )
    if study.model is None:
        study.model = model
    for axis in axes:
        scope.axes.setdefault(axis.name, axis)
    return Run(step.name, model, {}, {"tokens": tokens}, decoded=True)


def _axes_of(fed: InputDecl, model: CheckedModel) -> Axes:
    """The axes of an input of a model."""
    return next(step.node.axes for step in model.body.steps if step.node.site == fed.name)


def _tokens_out(
    study: Study, name: str, members: list[Node], axes: list[Axis], step: s.Run, scope: Scope
) -> Node:
    """The tokens that were decoded. In a sweep, those of each member: all are decoded before it,
    and the sweep reads its own."""
    taken = {axis.name for axis in axes}
    own = []
    for node in members:
        (axis,) = node.axes
        label = f"{axis.name}'"
        while label in taken:
            label += "'"
        taken.add(label)
        source = study.sources[node.name]
        assert isinstance(source, SweepInput)
        own.append(Axis(label, source.count))
    found = study.input(DecodeOutput(name), (*own, *axes), DType.INT, step.span).node
    for node, axis in zip(members, own, strict=True):
        place = _place(node, study, scope, step.span)
        how = ops.IndexAttrs(ops.Gather(axis.name))
        found = scope.builder.emit(ops.INDEX, how, [found, place], step.span, scope.path)
    return found


def _place(node: Node, study: Study, scope: Scope, span: Span) -> Node:
    """Which of the values of a swept variable a member has."""
    source = study.sources[node.name]
    assert isinstance(source, SweepInput)
    values = source.values
    if values is None:
        return node
    first = int(values[0])
    if node.dtype is DType.INT and values == tuple(range(first, first + len(values))):
        return scope.map("sub", [node, scope.node(Known(first), span)], span) if first else node
    place = scope.node(Known(0), span)
    for at, value in reversed(list(enumerate(values))):
        wanted = scope.node(Known(int(value) if node.dtype is DType.INT else value), span)
        own = scope.map("eq", [node, wanted], span)
        place = scope.map("where", [own, scope.node(Known(at), span), place], span)
    return place


def _fed(model: CheckedModel, tree: s.Call, study: Study) -> InputDecl:
    """The input of tokens; the model gives scores of them."""
    given = {arg.name for arg in tree.args}
    free = [d for d in model.inputs if d.name not in given]
    fed = [d for d in free if d.dtype is DType.INT and model.time in d.order]
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


def _tokens(
    tree: s.Expr, model: CheckedModel, fed: InputDecl, scope: Scope, swept: set[str]
) -> Node:
    """The prompts as tokens."""
    node = scope.node(scope.evaluate(tree), tree.span)
    if node.dtype is not DType.INT:
        scope.fail(
            Slug.WRONG_DTYPE, f"tokens are whole numbers, and this is {node.dtype}", tree.span
        )
    if not {model.time} <= node.axis_names - swept <= set(fed.order):
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"a prompt has axes {', '.join(f'`{n}`' for n in fed.order)}, and this has "
            f"{scope.say_axes(node)}",
            tree.span,
            notes=[Note(f"`{fed.name}` is declared", fed.span)],
        )
    return node


def _further(arg: s.Argument, decl: InputDecl, scope: Scope, swept: set[str]) -> Node:
    """What another input of the model holds; along time at all positions that are read."""
    node = scope.builder.use(scope.node(scope.evaluate(arg.value), arg.span))
    if node.axis_names - swept != set(decl.order):
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{decl.name}` has axes {', '.join(f'`{n}`' for n in decl.order)}, and this has "
            f"{scope.say_axes(node)}",
            arg.span,
            notes=[Note("it is declared", decl.span)],
        )
    if decl.dtype is not DType.FLOAT and node.dtype is DType.FLOAT:
        scope.fail(
            Slug.WRONG_DTYPE, f"`{decl.name}` wants {decl.dtype}, and this is float", arg.span
        )
    return node


def _is_whole(decl: InputDecl, batch: Axis | None) -> bool:
    """Whether an input is one for all examples."""
    return batch is None or batch.name not in decl.order


def _option(arg: s.Argument, scope: Scope, swept: set[str]) -> float | str:
    """The value of an option; in a sweep it may be a node, of what is another for each member."""
    found = scope.evaluate(arg.value)
    if isinstance(found, Value) and arg.name in SWEPT:
        node = found.node
        if not node.axes or node.axis_names <= swept:
            if (arg.name in WHOLE and node.dtype is not DType.INT) or node.dtype is DType.BOOL:
                kind = "a whole number" if arg.name in WHOLE else "a number"
                scope.fail(Slug.WRONG_DTYPE, f"`{arg.name}` is {kind}", arg.span)
            return scope.builder.use(node).name
    value = found.value if isinstance(found, Known) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        scope.fail(
            Slug.NOT_CONSTANT, f"`{arg.name}` is a number that is known before it runs", arg.span
        )
    whole = isinstance(value, int)
    low = 1 if arg.name in ("steps", "top_k", "samples") else 0
    share = arg.name == "top_p" and not 0 < value <= 1
    if value < low or share or (arg.name in WHOLE and not whole):
        kind = "a whole number" if arg.name in WHOLE else "a number"
        reach = "above 0 and at most 1" if arg.name == "top_p" else f"{low} or larger"
        scope.fail(Slug.WRONG_ARGUMENTS, f"`{arg.name}` is {kind}, {reach}", arg.span)
    return value
