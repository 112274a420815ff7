"""What experiments and trainings share: a program in which models run on data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, Body, DType, Node
from ..diagnostics import Collector, Note, Slug, or_nearest
from ..program import (
    ArgumentInput,
    CheckedModel,
    DataPart,
    FieldInput,
    Output,
    Source,
    StatisticInput,
    SweepInput,
    SweepOutput,
    SweepPlan,
    TextInput,
)
from ..signatures import declared_field
from ..sources import SIGNATURES
from .builder import Budget, Builder, Context
from .expressions import evaluate_all
from .models import ModelRequest, elaborate_model
from .runs import lay_down
from .scope import Frame, Scope
from .sites import is_turn
from .structure import walk
from .values import HaltError, Known, Poison, Run, Table, Val, Value
from .writes import Plan, plan

if TYPE_CHECKING:
    from ..modules import Module
    from ..signatures import FieldSignature
    from ..sizes import Size
    from ..source import Span

STATISTICS = {"ngram": {"n": 5.0}}


class Study:
    """The program of one experiment or training while it is made."""

    def __init__(
        self,
        module: Module,
        collector: Collector,
        budget: Budget | None = None,
        *,
        training: bool = False,
    ) -> None:
        self.module, self.collector, self.training = module, collector, training
        self.ctx = Context(collector, self._evaluate, training=training, budget=budget or Budget())
        self.scope = Scope(self.ctx, Builder(self.ctx), Frame(module), "", "")
        self.sources: dict[str, Source] = {}
        self.sweeps: list[SweepPlan] = []
        self.outputs: list[Output] = []
        self.models: dict[object, CheckedModel] = {}
        self.model: CheckedModel | None = None
        self.updates: dict[str, Node] = {}

    # ---- expressions of studies

    def _evaluate(self, tree: s.Expr, scope: Scope, address: str | None) -> tuple[Val, ...]:
        """As everywhere, and besides `base`, texts as tokens, and statistics of data."""
        if isinstance(tree, s.Call) and isinstance(tree.target, s.Name):
            if tree.target.id in STATISTICS:
                return (self._statistic(tree, scope),)
            if tree.target.id == "text":
                scope.fail(Slug.UNBUILT, "`text(...)` of tokens is not built yet", tree.span)
        if isinstance(tree, s.Text) and self._text_data(scope) is not None:
            return (
                self.input(
                    TextInput(tree.value, self._text_data(scope) or ""), (), DType.INT, tree.span
                ),
            )
        self._know_base(tree, scope)
        return evaluate_all(tree, scope, address)

    def _know_base(self, tree: s.Expr, scope: Scope) -> None:
        """`base.SITE`: the same run without interventions, laid down where it is first spoken of."""
        live = scope.frame.run
        if live is None or scope.lookup("base") is not None:
            return
        if any(isinstance(part, s.Name) and part.id == "base" for part in walk(tree)):
            run, _ = lay_down(f"base of {live.name}", live.model, live.inputs, {}, self.scope)
            scope.names["base"] = run

    def _text_data(self, scope: Scope) -> str | None:
        tables = list(self._tables.values())
        return tables[0].name if tables else None

    def _statistic(self, tree: s.Call, scope: Scope) -> Val:
        assert isinstance(tree.target, s.Name)
        name = tree.target.id
        table = (
            scope.evaluate(tree.args[0].value) if tree.args and tree.args[0].name is None else None
        )
        if not isinstance(table, Table):
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{name}` is a statistic of data",
                tree.span,
                hint=f"{name}(text, n = 5)",
            )
        options = dict(STATISTICS[name])
        for arg in tree.args[1:]:
            if arg.name not in options:
                scope.fail(
                    Slug.UNKNOWN_OPTION,
                    f"`{name}` has no option `{arg.name}`",
                    arg.span,
                    hint=or_nearest(arg.name or "", options),
                )
            options[arg.name or ""] = float(scope.constant(arg.value, "an option"))
        return self.input(
            StatisticInput(name, table.name, tuple(options.items())), (), DType.FLOAT, tree.span
        )

    def input(self, source: Source, axes: tuple[Axis, ...], dtype: DType, span: Span) -> Value:
        """An input node, made once for each source."""
        for name, known in self.sources.items():
            if known == source:
                return Value(
                    self.scope.builder.root.steps[self.scope.builder.root.place[name]].node
                )
        order = tuple(axis.name for axis in axes)
        site = self.ctx.claim(_label(source), "again")
        node = Node(
            self.ctx.fresh(span),
            ops.INPUT,
            ops.InputAttrs(order, axes, dtype),
            axes,
            dtype,
            span,
            site=site,
        )
        self.scope.builder.root.put(node)
        self.sources[node.name] = source
        return Value(node)

    # ---- data

    _tables: dict[str, Table]

    def use_data(self, tree: s.Expr | None, reader: s.Tree | None = None) -> DataPart | None:
        """The data of the study under its name; without `on`, all data of the file, or of those
        what `reader` speaks of."""
        self._tables = {}
        part = self._part(tree) if tree is not None else None
        spoken = _words(reader, self.module) if reader is not None else None
        for name in self.module.names() if part is None else [part.name]:
            found = self.module.find(name)
            if found is None or not isinstance(found[0], s.Data):
                continue
            fields = {field.name for field in found[0].fields}
            if part is not None or spoken is None or name in spoken or fields & spoken:
                self._table(name, found[0], part)
        if part is None:  # without `on`, any data of the file may be used by name
            return None
        if part.name not in self._tables:
            raise HaltError
        return part

    def _part(self, tree: s.Expr) -> DataPart:
        start = stop = None
        base = tree
        if isinstance(tree, s.Index):
            match tree.items:
                case (s.Bind("b", s.Range(low, high)),):
                    start = self.scope.size_of(low) if low is not None else None
                    stop = self.scope.size_of(high) if high is not None else None
                case _:
                    self.scope.fail(
                        Slug.BAD_INDEX,
                        "of data, a range of examples is taken",
                        tree.span,
                        hint=f"{tree.base.span.text}[b = 0..64]",
                    )
            base = tree.base
        if not isinstance(base, s.Name):
            self.scope.fail(Slug.UNKNOWN_NAME, "what follows `on` is data", tree.span)
        found = self.module.find(base.id)
        if base.id in self.module.broken:
            raise HaltError
        if found is None or not isinstance(found[0], s.Data):
            known = [
                n
                for n in self.module.names()
                if (f := self.module.find(n)) and isinstance(f[0], s.Data)
            ]
            self.scope.fail(
                Slug.UNKNOWN_NAME,
                f"no data is called `{base.id}`",
                base.span,
                hint=or_nearest(base.id, known),
            )
        return DataPart(
            base.id,
            start if isinstance(start, int) else None,
            stop if isinstance(stop, int) else None,
        )

    def _table(self, name: str, data: s.Data, part: DataPart | None) -> None:
        fields = data_fields(data)
        if fields is None:
            return
        nodes = {}
        for field in fields:
            value = self.input(FieldInput(name, field.name), field.axes, field.dtype, data.span)
            nodes[field.name] = value.node
            if field.kind == "position":
                self.scope.frame.positions[field.name] = value.node
            for axis in field.axes:
                self.scope.axes.setdefault(axis.name, axis)
        table = Table(name, nodes)
        self._tables[name] = table
        self.scope.names[name] = table
        if part is not None:
            for field_name, node in nodes.items():
                self.scope.names.setdefault(field_name, Value(node))

    # ---- models and runs

    def request(self, tree: s.Expr, given: dict[str, Size] | None = None) -> ModelRequest:
        """`gpt[d = 768](L = 12)`: which model, with which sizes and values."""
        values: dict[str, Val] = {}
        base = tree
        if isinstance(base, s.Call):
            for arg in base.args:
                if arg.name is None:
                    self.scope.fail(
                        Slug.WRONG_ARGUMENTS,
                        "what a model is made with is named",
                        arg.span,
                        hint="gpt(L = 12)",
                    )
                values[arg.name] = self.scope.evaluate(arg.value)
            base = base.target
        sized: dict[str, int] = dict(given or {})  # type: ignore[arg-type]  # sizes may be symbols
        if isinstance(base, s.Index):
            for item in base.items:
                if not isinstance(item, s.Bind):
                    self.scope.fail(
                        Slug.BAD_SIZE, "a model's axes are sized", item.span, hint="gpt[d = 128]"
                    )
                sized[item.axis] = self.scope.axis_size(item.value)  # type: ignore[assignment]
            base = base.base
        if not isinstance(base, s.Name):
            self.scope.fail(Slug.UNKNOWN_NAME, "a model has a name", tree.span)
        block, module = find_model(base, self.module, self.scope)
        _check_request(block, sized, values, tree, self.scope)
        return ModelRequest(
            block, module, sized, values, training=self.training, budget=self.ctx.budget
        )

    def elaborated(self, request: ModelRequest) -> CheckedModel:
        """The model's program, made once for each request."""
        key = (
            request.block.name,
            id(request.block),
            tuple(sorted(request.sizes.items(), key=lambda i: i[0])),
            str(request.values),
        )
        if key not in self.models:
            model = elaborate_model(request, self.collector)
            if model is None:
                raise HaltError
            self.models[key] = model
            self.ctx.limits += model.limits
        return self.models[key]

    def run(
        self,
        name: str,
        request: ModelRequest,
        inputs: dict[str, tuple[Val, Span]],
        given: tuple[s.Given, ...],
        span: Span,
        scope: Scope,
    ) -> Run:
        """Lay a model down on inputs, with what `with` gives."""
        nodes = {key: scope.node(value, at) for key, (value, at) in inputs.items()}
        sizes: dict[str, Size] = dict(request.sizes)
        for param in request.block.params:
            if param.name in nodes and param.axes is not None:
                nodes[param.name] = self._fit(
                    param, nodes[param.name], sizes, request, inputs[param.name][1], scope
                )
        _check_inputs(request, inputs, scope)
        request = replace(request, sizes=sizes)  # type: ignore[arg-type]
        model = self.elaborated(request)
        for decl in model.inputs:
            if decl.name not in nodes:
                scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    f"the run gives no `{decl.name}`",
                    span,
                    notes=[Note(f"`{model.name}` takes it", decl.span)],
                    hint=f"{model.name}({decl.name} = ...)",
                )
        return self.laid(name, model, nodes, given, scope)

    def laid(
        self,
        name: str,
        model: CheckedModel,
        nodes: dict[str, Node],
        given: tuple[s.Given, ...],
        scope: Scope,
    ) -> Run:
        """A run of an elaborated model."""
        writes: Plan = {}
        for item in given:
            self.intervene(item, model, writes, scope)
        run, results = lay_down(name, model, nodes, writes, scope)
        for address, node in zip(model.updates, results[len(model.results) :], strict=True):
            self.updates.setdefault(address, node)
        for node in run.values.values():
            for axis in node.axes:
                scope.axes.setdefault(axis.name, axis)
        if self.model is None:
            self.model = model
        return run

    def _fit(
        self,
        param: s.Param,
        node: Node,
        sizes: dict[str, Size],
        request: ModelRequest,
        span: Span,
        scope: Scope,
    ) -> Node:
        """The sizes of the model's inputs are those of what it is given."""
        for decl in param.axes or ():
            if decl.pack:
                continue
            if decl.name not in node.axis_names:
                scope.fail(
                    Slug.MISSING_AXIS,
                    f"`{request.block.name}` wants an axis `{decl.name}` on "
                    f"`{param.name}`, which has {scope.say_axes(node)}",
                    span,
                    notes=[Note(f"`{param.name}` is declared", param.span)],
                )
            size = node.size(decl.name)
            known = sizes.get(decl.name)
            if (
                known is not None
                and known != size
                and isinstance(known, int)
                and isinstance(size, int)
            ):
                scope.fail(
                    Slug.SIZE_MISMATCH,
                    f"`{param.name}` has `{decl.name}` = {size}, and the model is made "
                    f"with {known}",
                    span,
                )
            sizes[decl.name] = size
        fits = {"int": ("int", "bool"), "bool": ("bool",)}.get(param.kind or "", (node.dtype,))
        if node.dtype not in fits:
            scope.fail(
                Slug.WRONG_DTYPE,
                f"`{param.name}` wants {param.kind}, and this is {node.dtype}",
                span,
                notes=[Note("it is declared", param.span)],
            )
        return node

    def intervene(self, item: s.Given, model: CheckedModel, into: Plan, scope: Scope) -> None:
        """Add the writes of one thing that follows `with`."""
        match item:
            case s.Write():
                plan(item, model, scope, into)
            case s.Unbuilt(feature):
                scope.fail(Slug.UNBUILT, f"{feature} is not built yet", item.span)
            case s.Name() | s.Call(s.Name(), _):
                self._named(item, model, into, scope)
            case _:
                scope.fail(
                    Slug.UNKNOWN_NAME,
                    "what follows `with` is weights or an intervention",
                    item.span,
                )

    def _named(self, item: s.Name | s.Call, model: CheckedModel, into: Plan, scope: Scope) -> None:
        name = item.id if isinstance(item, s.Name) else item.target.id  # type: ignore[union-attr]
        found = self.module.find(name)
        if name in self.module.broken:
            raise HaltError
        if found is None or not isinstance(found[0], s.Intervention | s.Train | s.Weights):
            known = [
                n
                for n in self.module.names()
                if (f := self.module.find(n))
                and isinstance(f[0], s.Intervention | s.Train | s.Weights)
            ]
            scope.fail(
                Slug.UNKNOWN_NAME,
                f"no intervention or weights are called `{name}`",
                item.span,
                hint=or_nearest(name, known),
            )
        definition, module = found
        if isinstance(definition, s.Intervention):
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
            plan_intervention(self, definition, module, args, model, into, scope, item.span)

    # ---- the end

    def body(self, extra: list[str]) -> Body:
        """The program so far, giving sweeps, outputs and updates."""
        results = [
            *(sweep.result for sweep in self.sweeps),
            *(n for out in self.outputs for n in out.nodes),
            *extra,
        ]
        return Body(tuple(self.scope.builder.steps), tuple(results))


def _words(reader: s.Tree, module: Module) -> set[str] | None:
    """All names in a definition and the interventions that it speaks of; None if a text is among
    them, which is read by the tokeniser of any data."""
    words: set[str] = set()
    waiting: list[s.Tree] = [reader]
    while waiting:
        for tree in walk(waiting.pop()):
            if isinstance(tree, s.Text):
                return None
            if isinstance(tree, s.Name | s.At) and tree.id not in words:
                words.add(tree.id)
                found = module.find(tree.id)
                if found is not None and isinstance(found[0], s.Intervention):
                    waiting.append(found[0])
    return words


def _label(source: Source) -> str:
    """What an input is called in emitted code and messages."""
    match source:
        case FieldInput(data, field):
            return f"{data}.{field}"
        case SweepInput(sweep, variable):
            return f"{sweep}.{variable}"
        case SweepOutput(sweep):
            return sweep
        case TextInput(text):
            return "token." + "".join(c if c.isalnum() else "_" for c in text)
        case StatisticInput(name, data):
            return f"{name}.{data}"
        case ArgumentInput(name):
            return name


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
        Frame(module, positions=scope.frame.positions),
        "",
        "",
        axes=dict(scope.known_axes()),
    )
    picking = _picking(definition)
    for other in definition.given:
        study.intervene(other, model, into, scope)
    for param in definition.params:
        value = args.get(param.name)
        if value is None and param.default is not None:
            value = inner.evaluate(param.default)
        if value is None:
            if param.axes is None:
                scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    f"`{definition.name}` needs `{param.name}`",
                    span,
                    notes=[Note("it is declared", param.span)],
                    hint=f"{definition.name}({param.name} = ...)",
                )
            axes = tuple(_model_axis(decl.name, model, inner, decl.span) for decl in param.axes)
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
    for step in definition.body:
        match step:
            case s.Write():
                try:
                    plan(step, model, inner, into, any_turn=any_turn)
                except HaltError:  # was reported: the other writes are tried too
                    if study.ctx.budget.is_spent:
                        raise
            case s.Unbuilt(feature, parts):
                inner.ctx.collector.report(Slug.UNBUILT, f"{feature} is not built yet", step.span)
                inner.names.update(
                    {part.name: Poison() for part in parts if isinstance(part, s.Shared)}
                )


def _picking(definition: s.Intervention) -> set[str]:
    """Names that stand in brackets, where they pick a site or a part of one."""
    found: set[str] = set()
    for tree in walk(definition.body):
        if isinstance(tree, s.Index):
            for item in tree.items:
                if is_turn((item,)) or isinstance(item, s.Bind | s.Binary):
                    found |= {t.id for t in walk(item) if isinstance(t, s.Name)}
    return found


def _model_axis(name: str, model: CheckedModel, scope: Scope, span: Span) -> Axis:
    for step in model.body.steps:
        for axis in step.node.axes:
            if axis.name == name:
                return axis
    scope.fail(Slug.UNKNOWN_AXIS, f"`{model.name}` has no axis `{name}`", span)
    return None


def find_model(tree: s.Name, module: Module, scope: Scope) -> tuple[s.Block, Module]:
    """The model of that name."""
    found = module.find(tree.id)
    if tree.id in module.broken:
        raise HaltError
    if found is None or not isinstance(found[0], s.Block) or found[0].kind != "model":
        known = [
            n
            for n in module.names()
            if (f := module.find(n)) and isinstance(f[0], s.Block) and f[0].kind == "model"
        ]
        hint = or_nearest(tree.id, known)
        if found is not None and isinstance(found[0], s.Block):
            hint = f"`{tree.id}` is a block; a model is declared with `model`"
        scope.fail(Slug.UNKNOWN_NAME, f"no model is called `{tree.id}`", tree.span, hint=hint)
    return found  # type: ignore[return-value]  # narrowed above


def _check_inputs(request: ModelRequest, inputs: dict[str, tuple[Val, Span]], scope: Scope) -> None:
    """What a run is given are inputs of its model."""
    known = [param.name for param in request.block.params if param.axes is not None]
    for name, (_, span) in inputs.items():
        if name not in known:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{request.block.name}` has no input `{name}`",
                span,
                notes=[Note(f"it takes {', '.join(f'`{n}`' for n in known)}", request.block.span)],
                hint=or_nearest(name, known),
            )


def _check_request(
    block: s.Block, sized: dict[str, int], values: dict[str, Val], tree: s.Expr, scope: Scope
) -> None:
    axes = {
        i.axis if isinstance(i, s.Bind) else i.id
        for i in block.axes
        if isinstance(i, s.Bind | s.Name)
    }
    typed = {axis.name for param in block.params for axis in param.axes or ()}
    for axis in sized:
        if axis not in axes | typed:
            scope.fail(
                Slug.UNKNOWN_AXIS,
                f"`{block.name}` has no axis `{axis}`",
                tree.span,
                hint=or_nearest(axis, axes),
            )
    params = [param.name for param in block.params]
    for name in values:
        if name not in params:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{block.name}` has no argument `{name}`",
                tree.span,
                hint=or_nearest(name, params),
            )


def data_fields(data: s.Data) -> tuple[FieldSignature, ...] | None:
    """The fields of a data statement; None if it holds a mistake, which its own check reports."""
    if not isinstance(data.value, s.Call) or not isinstance(data.value.target, s.Name):
        return None
    signature = SIGNATURES.get(data.value.target.id)
    if signature is None:
        return None
    if signature.declared:
        declared = [declared_field(field) for field in data.fields]
        return tuple(f for f in declared if f is not None) if all(declared) else None
    return signature.fields_for(data_options(data))


def data_options(data: s.Data) -> dict[str, int | float | bool | str | None]:
    """The options of a data statement that are plain numbers, texts and names."""
    options: dict[str, int | float | bool | str | None] = {}
    assert isinstance(data.value, s.Call)
    assert isinstance(data.value.target, s.Name)
    signature = SIGNATURES.get(data.value.target.id)
    order = [option.name for option in signature.options] if signature else []
    for place, arg in enumerate(data.value.args):
        key = arg.name or (order[place] if place < len(order) else f"#{place}")
        match arg.value:
            case s.Number(value) | s.Text(value):
                options[key] = value
            case s.Unary("-", s.Number(value)):
                options[key] = -value
            case s.Name("true" | "false" as truth):
                options[key] = truth == "true"
            case s.Name(name):
                options[key] = name
    return options
