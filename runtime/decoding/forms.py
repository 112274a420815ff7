"""The prefill and the step of a model as modules that share its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from ...compiler.build import build as graph_of
from ...compiler.context import Context
from ...compiler.decoding import NotCausalError, derive
from ...compiler.driver import compile_graph
from ...dsl import sizes as size_rules
from ...dsl.diagnostics import Slug
from ...dsl.ops import INDEX, INPUT, ConcatAttrs, IndexAttrs, InputAttrs, Slice
from ...dsl.program import CheckedModel, InputDecl, ResultDecl
from ..bound import Bound
from ..held import links
from ..mistakes import mistake
from ..module import Model, build, lifted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...compiler.decoding import Decoding, State
    from ...compiler.graph import Graph
    from ...dsl.core import Axis
    from ..model import SpecModel


@dataclass
class Form:
    """A graph as a module, the inputs that it takes of the model, and which states it gives.
    `links` are where it and the model hold the same parameters; `run` is what a step runs."""

    module: Any
    inputs: tuple[str, ...]
    gives: tuple[State, ...]
    links: tuple[tuple[dict[str, Any], dict[str, Any], str], ...]
    run: Callable[..., Any]
    bound: Bound = field(init=False)

    def __post_init__(self) -> None:
        self.module.packs = False  # weights are held for all forms, and read by each in turn
        self.bound = Bound(self.module, few=True)


class Forms:
    """The prefill and the steps of a model along an axis, each made when it is first needed.

    `extra` is how many axes stand in front of what has the axis.
    """

    def __init__(self, model: SpecModel, axis: str, extra: int = 0) -> None:
        self.model, self.axis, self.extra = model, axis, extra
        self._decodings: dict[int | None, Decoding] = {}
        self._forms: dict[tuple[str, int | bool | None], Form] = {}

    @classmethod
    def of(cls, model: SpecModel, axis: str, extra: int = 0) -> Forms:
        """Those of a model, which keeps them."""
        key = axis, extra
        if key not in model._steps:
            model._steps[key] = cls(model, axis, extra)
        return model._steps[key]

    def decoding(self, count: int | None) -> Decoding:
        """The graphs, for one new position, or for any number (None). Raises SpecError."""
        if count not in self._decodings:
            checked = self.model.checked
            self._decodings[count] = derived(checked, self.axis, count, self.extra)
        return self._decodings[count]

    def prefill(self, *, last: bool) -> Form:
        """What reads a prompt. With `last`, its results are those at the last position."""
        return self._shared(("prefill", last))

    def step(self, count: int) -> Form:
        """What takes so many new positions."""
        return self._shared(("step", 1 if count == 1 else None))

    def _shared(self, key: tuple[str, int | bool | None]) -> Form:
        model, (kind, option) = self.model, key
        if key not in self._forms:
            checked, seed = model.checked, model._seed
            if kind == "prefill":
                decoding = self.decoding(1)
                made = prefill_form(checked, decoding, model, last=bool(option), seed=seed)
            else:
                made = step_form(checked, self.decoding(option), model, seed=seed)
            self._forms[key] = made
        form = self._forms[key]
        if any(mine[name] is not own[name] for mine, own, name in form.links):
            form.module._share(model)  # parameters have been replaced since, or states
            form.module._lay_out()
        if (kind, option) == ("step", 1):
            with torch.no_grad():
                form.run = form.bound.current()
        return form


def derived(checked: CheckedModel, axis: str, count: int | None, extra: int = 0) -> Decoding:
    """The step of a model, for one or for any number of new positions, with so many axes more in
    front of what has the axis. Raises SpecError."""
    if checked.updates:
        message = f"`{checked.name}` keeps a state of its own between calls, so it has no step"
        raise mistake(Slug.NOT_CAUSAL, message, checked.span)
    found = time_axis(checked, axis)
    graph = graph_of(checked)
    if extra:
        graph = lifted(graph, checked, tuple(extra * (axis in d.order) for d in checked.inputs))
    try:
        return derive(graph, len(checked.results), found, count)
    except NotCausalError as error:
        raise mistake(Slug.NOT_CAUSAL, error.message, error.span, hint=error.hint) from None


def time_axis(checked: CheckedModel, axis: str) -> Axis:
    """The axis of that name that an input has."""
    for step in checked.body.steps:
        for own in step.node.axes if step.node.op is INPUT else ():
            if own.name == axis and not isinstance(own.size, int):
                return own
    message = f"no input of `{checked.name}` has an axis `{axis}` of a size that a call says"
    raise mistake(Slug.UNKNOWN_AXIS, message, checked.span)


def prefill_form(
    checked: CheckedModel, decoding: Decoding, shared: Model, *, last: bool, seed: int
) -> Form:
    """All positions of a prompt at once. With `last`, results are those at its last position."""
    graph = decoding.prefill
    if last:
        with graph.edit() as edit:
            names_ = list(edit.results)
            for place, name in enumerate(names_[: decoding.results]):
                node, axis = edit.node(name), decoding.axis
                if axis.name in node.axis_names:
                    # the axis stays, so that attention is recognised
                    start = size_rules.subtract(axis.size, 1)
                    how = IndexAttrs(Slice(axis.name, start, axis.size))
                    names_[place] = edit.add(
                        INDEX, how, [name], span=node.span, scope=node.scope, made_by="decode"
                    )
            edit.set_results(names_)
        graph = edit.graph
    results = [*checked.results, *(_stored(decoding, state) for state in decoding.states)]
    return _form(checked, graph, results, decoding.states, shared, seed, f"{checked.name}_prefill")


def _stored(decoding: Decoding, state: State) -> ResultDecl:
    attrs = decoding.step.node(state.name).attrs
    assert isinstance(attrs, InputAttrs)
    return ResultDecl(state.site, attrs.order)


def step_form(checked: CheckedModel, decoding: Decoding, shared: Model, *, seed: int) -> Form:
    """The new positions, from what is kept. Caches grow in place, and are no results."""
    graph, results, states = step_parts(checked, decoding)
    return _form(checked, graph, results, states, shared, seed, f"{checked.name}_step")


def one_step(checked: CheckedModel) -> tuple[CheckedModel, Graph]:
    """The step for one new position as a model of its own, and its graph. Raises SpecError."""
    decoding = derived(checked, decoded_axis(checked), 1)
    graph, results, _ = step_parts(checked, decoding)
    return model_of(checked, graph, results, f"{checked.name}_step"), graph


def decoded_axis(checked: CheckedModel) -> str:
    """The axis along which a model is decoded if none is named. Raises SpecError."""
    axis = checked.time
    if axis is None:
        message = f"`{checked.name}` has no axis that an input and its first result have"
        raise mistake(Slug.NOT_CAUSAL, message, checked.span)
    return axis


def step_parts(
    checked: CheckedModel, decoding: Decoding
) -> tuple[Graph, list[ResultDecl], tuple[State, ...]]:
    """The compiled step, its results, and the states among them."""
    graph = compile_graph(decoding.step, Context())
    own, new = graph.results[: decoding.results], graph.results[decoding.results :]
    apart = {state.name for state in decoding.states if _is_appended(graph, state)} | {
        state.name
        for state, name in zip(decoding.states, new, strict=True)
        if state.kind == "cache" and not graph.users(name) and name not in own
    }  # what nothing reads is not kept at all
    left = tuple(state for state in decoding.states if state.name not in apart)
    kept = own + tuple(
        name for state, name in zip(decoding.states, new, strict=True) if state.name not in apart
    )
    with graph.edit() as edit:
        edit.set_results(kept)
    return edit.graph, [*checked.results, *(_stored(decoding, s) for s in left)], left


def _is_appended(graph: Graph, state: State) -> bool:
    """Whether a state is a cache that the step puts something behind, and reads then."""
    if state.kind != "cache" or state.name not in graph:
        return False
    users = graph.users(state.name)
    if len(users) != 1 or users[0][1] != 0:
        return False
    return graph.node(users[0][0]).attrs == ConcatAttrs(state.axis) and bool(
        graph.users(users[0][0])
    )


def model_of(
    checked: CheckedModel, graph: Graph, results: list[ResultDecl], name: str
) -> CheckedModel:
    """A checked model around a graph that was made of one: its inputs are its own, and those of
    the graph."""
    body = graph.to_body()
    read = {step.node.site for step in body.steps}
    unread = [s for s in checked.body.steps if s.node.op is INPUT and s.node.site not in read]
    inputs = [*unread, *(step for step in body.steps if step.node.op is INPUT)]
    places = {decl.name: place for place, decl in enumerate(checked.inputs)}
    inputs.sort(key=lambda step: places.get(step.node.site or "", len(places)))
    rest = [step for step in body.steps if step.node.op is not INPUT]
    decls = tuple(
        InputDecl(
            step.node.site or step.node.name, step.node.attrs.order, step.node.dtype, step.node.span
        )
        for step in inputs
        if isinstance(step.node.attrs, InputAttrs)
    )
    return replace(
        checked,
        name=name,
        body=replace(body, steps=(*inputs, *rest)),
        inputs=decls,
        results=tuple(results),
        updates=(),
        limits=(),
        ragged={},
        request=None,
    )


def _form(
    checked: CheckedModel,
    graph: Graph,
    results: list[ResultDecl],
    states: tuple[State, ...],
    shared: Model,
    seed: int,
    name: str,
) -> Form:
    graph = compile_graph(graph, Context())
    around = model_of(checked, graph, results, name)
    module: Model = build(graph, around, seed=seed, shared=shared)
    names_ = tuple(decl.name for decl in around.inputs)
    return Form(module, names_, states, tuple(links(module, shared)), module._emitted)
