"""The statistics of a `calibrate` statement, of a model that is given and not the one it names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Slug
from ..program import ArgumentInput
from .calibrations import calibrated
from .datasets import use_data
from .laying import laid
from .origins import called
from .study import Study
from .values import HaltError, Run, Table
from .weights import split_weights

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..core import Node
    from ..diagnostics import Collector
    from ..modules import Module
    from ..program import CheckedCalibration, CheckedModel
    from .scope import Scope


def calibration_of(
    model: CheckedModel,
    tree: s.Calibrate,
    module: Module,
    known: Collection[str],
    collector: Collector,
) -> CheckedCalibration | None:
    """The calibration; of the model's inputs the `known` ones are arguments. None if something in
    it is wrong."""
    study = Study(module, collector)
    try:
        data = use_data(study, tree.data)
        assert data is not None
        runs = _Runs(study, model, tree, _fields(study, data.name, model), known)
        run = runs.run(s.Run("", tree.model, (), span=tree.span), study.scope)
        return calibrated(study, tree, run, runs.run, data)
    except HaltError:
        return None


class _Runs:
    """Lays down the given model wherever the statement says its own."""

    def __init__(
        self,
        study: Study,
        model: CheckedModel,
        tree: s.Calibrate,
        fields: Mapping[str, Node],
        known: Collection[str],
    ) -> None:
        self.study, self.model, self.name = study, model, called(tree.model)
        self.fields, self.known = fields, known
        self.given: dict[str, tuple[s.Given, ...]] = {}

    def run(self, step: s.Run, scope: Scope) -> Run:
        """A run of it, or a run again with more."""
        weights, given = split_weights(step.given, self.study)
        again = scope.lookup(step.value.id) if isinstance(step.value, s.Name) else None
        if weights is not None or (called(step.value) != self.name and not isinstance(again, Run)):
            scope.fail(
                Slug.UNBUILT,
                "runs of other models or weights beside a model that is given are not built yet",
                step.span,
            )
        inputs = again.inputs if isinstance(again, Run) else self._inputs(step.value, scope)
        if isinstance(again, Run):
            given = (*self.given[again.name], *given)
        run = laid(self.study, step.name, self.model, dict(inputs), given, step.span, scope)
        self.given[run.name] = given
        return run

    def _inputs(self, tree: s.Expr, scope: Scope) -> dict[str, Node]:
        """What is said with the model, else fields of its name, else arguments."""
        said = {arg.name: arg for arg in tree.args} if isinstance(tree, s.Call) else {}
        nodes: dict[str, Node] = {}
        for step in self.model.body.steps:
            node, name = step.node, step.node.site or ""
            if node.op is not ops.INPUT:
                continue
            if name in said:
                value = scope.evaluate(said[name].value)
                nodes[name] = scope.node(value, said[name].span)
            elif name in self.fields:
                nodes[name] = self.fields[name]
            elif name in self.known:
                source = ArgumentInput(name, None)
                nodes[name] = self.study.input(source, node.axes, node.dtype, node.span).node
            else:
                message = f"`{self.model.name}` takes `{name}`, which the data do not have"
                scope.fail(Slug.WRONG_ARGUMENTS, message, tree.span)
        return nodes


def _fields(study: Study, data: str, model: CheckedModel) -> Mapping[str, Node]:
    """The fields of the data; what has a run-time size in the model has one in them."""
    table = study.scope.names.get(data)
    if not isinstance(table, Table):
        raise HaltError
    inputs = [step.node for step in model.body.steps if step.node.op is ops.INPUT]
    free = {
        axis.name: axis for node in inputs for axis in node.axes if not isinstance(axis.size, int)
    }
    found: dict[str, Node] = {}
    for name, node in table.fields.items():
        axes = tuple(free.get(axis.name, axis) for axis in node.axes)
        attrs = ops.InputAttrs(tuple(axis.name for axis in axes), axes, node.dtype)
        found[name] = study.scope.builder.swap(replace(node, axes=axes, attrs=attrs))
    study.scope.names[data] = Table(data, found)
    study.scope.axes.update(free)
    return found
