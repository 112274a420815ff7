"""What experiments and trainings share: a program in which models run on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axes, Axis, Body, DType, Node
from ..derivatives import without_rules
from ..diagnostics import Slug
from ..program import (
    ArgumentInput,
    DecodeOutput,
    FieldInput,
    ScanInput,
    ScanOutput,
    StatisticInput,
    StatisticsInput,
    SweepInput,
    SweepOutput,
    TextInput,
)
from ..stages import DecodePlan, all_stages, computed
from .builder import Budget, Builder, Context
from .calibrations import know_statistics
from .datasets import STATISTICS, TEXT, statistic
from .expressions import evaluate_all
from .gradients import work_out
from .planned import Plan
from .runs import lay_down
from .scope import Frame, Scope
from .structure import walk
from .values import Table, Val, Value

if TYPE_CHECKING:
    from ..diagnostics import Collector
    from ..modules import Module
    from ..program import CheckedModel, Output, Source
    from ..source import Span
    from ..stages import Stage
    from .origins import Origin


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
        self.stages: list[Stage] = []
        self.outputs: list[Output] = []
        self.tables: dict[str, Table] = {}  # the data that may be spoken of
        self.models: dict[object, CheckedModel] = {}
        self.model: CheckedModel | None = None
        self.updates: dict[str, Node] = {}
        self.weights: str | None = None  # a run's own, if it says no others
        self.beside: tuple[str, ...] = ()  # other weights that runs have
        self.origins: dict[str, Origin] = {}  # where weights come from, by their name
        self.declared: dict[str, dict[str, Axes]] = {}  # by set of weights, what stands in it

    # ---- expressions of studies

    def _evaluate(self, tree: s.Expr, scope: Scope, address: str | None) -> tuple[Val, ...]:
        """As everywhere, and besides `base`, texts as tokens, and statistics of data."""
        if isinstance(tree, s.Call) and isinstance(tree.target, s.Name):
            if tree.target.id in STATISTICS:
                return (statistic(self, tree, scope),)
            if tree.target.id == TEXT:
                scope.fail(
                    Slug.NOT_A_VALUE,
                    "the text of tokens is shown, and no value",
                    tree.span,
                    hint=f"show {tree.span.text}",
                )
        if isinstance(tree, s.Text) and self.tables:  # by the tokeniser of the first data
            source = TextInput(tree.value, next(iter(self.tables)))
            return (self.input(source, (), DType.INT, tree.span),)
        self._know_base(tree, scope)
        know_statistics(self, tree, scope)
        return evaluate_all(tree, scope, address)

    def _know_base(self, tree: s.Expr, scope: Scope) -> None:
        """`base.SITE`: the same run without interventions, laid down where it is first named."""
        live = scope.frame.run
        if live is None or scope.lookup("base") is not None:
            return
        if any(isinstance(part, s.Name) and part.id == "base" for part in walk(tree)):
            name, model, inputs = f"base of {live.name}", live.model, live.inputs
            run, _ = lay_down(
                name, model, inputs, Plan(), self.scope, weights=live.weights, placed=live.placed
            )
            scope.names["base"] = run

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

    @property
    def decodes(self) -> list[DecodePlan]:
        """The runs that decode so far."""
        return [plan for plan in all_stages(tuple(self.stages)) if isinstance(plan, DecodePlan)]

    # ---- the end

    def body(self, extra: list[str]) -> Body:
        """The program so far, giving what stages compute, outputs and updates."""
        results = [
            *computed(tuple(self.stages)),
            *(n for out in self.outputs for n in out.nodes),
            *extra,
        ]
        body = Body(tuple(self.scope.builder.steps), tuple(results))
        body = work_out(self.ctx, body)
        return body if self.training else without_rules(body)


def _label(source: Source) -> str:
    """What an input is called in emitted code and messages."""
    match source:
        case FieldInput(data, field):
            return f"{data}.{field}"
        case SweepInput(sweep, variable):
            return f"{sweep}.{variable}"
        case SweepOutput(sweep):
            return sweep
        case DecodeOutput(run):
            return f"{run}.tokens"
        case TextInput(text):
            return "token." + "".join(c if c.isalnum() else "_" for c in text)
        case ScanInput(scan, name):
            return f"{scan}.{name}" if name != scan else scan
        case ScanOutput(_, name):
            return name
        case StatisticsInput(calibration, name):
            return f"{calibration}.{name}"
        case StatisticInput(name, data):
            return f"{name}.{data}"
        case ArgumentInput(name):
            return name
