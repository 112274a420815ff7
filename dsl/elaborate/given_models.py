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
from .study import Study
from .values import HaltError, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..core import Node
    from ..diagnostics import Collector
    from ..modules import Module
    from ..program import CheckedCalibration, CheckedModel


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
        fields = _fields(study, data.name, model)
        said = {arg.name: arg for arg in tree.model.args} if isinstance(tree.model, s.Call) else {}
        nodes: dict[str, Node] = {}
        for step in model.body.steps:
            node, name = step.node, step.node.site or ""
            if node.op is not ops.INPUT:
                continue
            if name in said:
                value = study.scope.evaluate(said[name].value)
                nodes[name] = study.scope.node(value, said[name].span)
            elif name in fields:
                nodes[name] = fields[name]
            elif name in known:
                source = ArgumentInput(name, None)
                nodes[name] = study.input(source, node.axes, node.dtype, node.span).node
            else:
                message = f"`{model.name}` takes `{name}`, which the data do not have"
                study.scope.fail(Slug.WRONG_ARGUMENTS, message, tree.span)
        run = laid(study, "", model, nodes, (), tree.span, study.scope)
        return calibrated(study, tree, run, None, data)
    except HaltError:
        return None


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
