"""Checking a file: everything in it is elaborated once, and every mistake is reported.

Blocks are checked with the sizes that their headers give; models at their defaults; interventions
on their model; experiments and trainings whole.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import syntax as s
from .diagnostics import Collector, Diagnostic, Slug, or_any
from .elaborate.builder import Budget
from .elaborate.calibrations import elaborate_calibration
from .elaborate.datasets import data_options, use_data
from .elaborate.experiments import elaborate_experiment
from .elaborate.given import plan_intervention
from .elaborate.mappings import elaborate_weights
from .elaborate.models import ModelRequest, elaborate_model
from .elaborate.planned import Plan
from .elaborate.requests import elaborated, find_model
from .elaborate.runs import lay_down
from .elaborate.structure import walk
from .elaborate.study import Study
from .elaborate.trainings import elaborate_training
from .elaborate.values import HaltError, Known, Val
from .modules import Loader, Module
from .signatures import declared_field
from .sources import SIGNATURES, TOKENIZER

if TYPE_CHECKING:
    from pathlib import Path

    from .program import (
        CheckedCalibration,
        CheckedModel,
        CheckedStudy,
        CheckedTraining,
        CheckedWeights,
    )


QUICK, QUICK_PER_LINE = (
    10_000,
    50,
)  # operations that a check of a text elaborates: half a second's worth


@dataclass
class Checked:
    """A file with all that was found: what can be run, and what is wrong."""

    module: Module | None
    diagnostics: tuple[Diagnostic, ...]
    models: dict[str, CheckedModel] = field(default_factory=dict)
    experiments: dict[str, CheckedStudy] = field(default_factory=dict)
    trainings: dict[str, CheckedTraining] = field(default_factory=dict)
    weights: dict[str, CheckedWeights] = field(default_factory=dict)
    calibrations: dict[str, CheckedCalibration] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; warnings are allowed."""
        return self.module is not None and not any(d.severity == "error" for d in self.diagnostics)


def check_text(name: str, text: str, folder: Path | None = None) -> Checked:
    """Check a spec; `folder` is where its imports are looked for. Never raises for what is in it.

    It is quick: of programs that are very large, a part is left to be checked when they are run.
    """
    collector = Collector()
    module = Loader(collector).from_text(name, text, folder)
    if module is None:
        return Checked(None, collector.diagnostics)
    return check_module(module, collector, Budget(QUICK + QUICK_PER_LINE * text.count("\n")))


def check_module(module: Module, collector: Collector, budget: Budget | None = None) -> Checked:
    """Check all statements of a file, in their order; without a budget, each to the end."""
    found = Checked(module, ())
    models: dict[object, CheckedModel | None] = {}
    for statement in module.tree.statements:
        if isinstance(statement, s.Unbuilt):
            collector.report(Slug.UNBUILT, f"{statement.feature} is not built yet", statement.span)
            _check_unbuilt(statement, module, collector)
        elif module.own.get(getattr(statement, "name", "")) is statement:
            try:
                with suppress(HaltError):  # was said, such as that the check ends here
                    _check(statement, module, collector, found, budget or Budget(models=models))
            except RecursionError:  # blocks in blocks, as far as Python goes
                collector.report(
                    Slug.TOO_LARGE, "calls stand too deep in one another here", statement.span
                )
    for name, (other, original) in module.imported.items():
        known = other.find(original)
        if known is not None and isinstance(known[0], s.Weights):
            with suppress(HaltError):
                _check_weights(name, module, collector, found, budget or Budget(models=models))
    found.diagnostics = collector.diagnostics
    return found


def _check_weights(
    name: str, module: Module, collector: Collector, found: Checked, budget: Budget
) -> None:
    weights = elaborate_weights(name, module, collector, budget)
    if weights is not None:
        found.weights[name] = weights


def _check(
    statement: s.Statement, module: Module, collector: Collector, found: Checked, budget: Budget
) -> None:
    match statement:
        case s.Block():
            request = ModelRequest(statement, module, budget=budget)
            model = elaborate_model(request, collector)
            if model is not None and statement.kind == "model":
                found.models[statement.name] = model
        case s.Intervention():
            _check_intervention(statement, module, collector, budget)
        case s.Data():
            _check_data(statement, module, collector)
        case s.Weights():
            _check_weights(statement.name, module, collector, found, budget)
        case s.Experiment():
            study = elaborate_experiment(statement, module, collector, budget)
            if study is not None:
                found.experiments[statement.name] = study
        case s.Train():
            training = elaborate_training(statement, module, collector, budget)
            if training is not None:
                found.trainings[statement.name] = training
        case s.Calibrate():
            calibration = elaborate_calibration(statement, module, collector, budget)
            if calibration is not None:
                found.calibrations[statement.name] = calibration


def _check_unbuilt(tree: s.Unbuilt, module: Module, collector: Collector) -> None:
    """Of `verify`, the model that it is about."""
    match tree.parts:
        case (s.Name(), s.Name("of"), model, *_):
            while isinstance(model, s.Call | s.Index):
                model = model.target if isinstance(model, s.Call) else model.base
            if isinstance(model, s.Name):
                with suppress(HaltError):
                    find_model(model, module, Study(module, collector).scope)


def _check_intervention(
    tree: s.Intervention, module: Module, collector: Collector, budget: Budget
) -> None:
    """On its model, with 0 for what has no default, and 1 for a size: which sites there are does
    not depend on it."""
    study = Study(module, collector, budget)
    use_data(study, None, tree)
    try:
        block, home = find_model(s.Name(tree.model, span=tree.span), module, study.scope)
        model = elaborated(study, ModelRequest(block, home, budget=budget))
        shared = [part for part in walk(tree.body) if isinstance(part, s.Owned)]
        sizing = {t.id for part in shared for t in walk(part.value) if isinstance(t, s.Name)}
        args: dict[str, Val] = {
            p.name: Known(1 if p.name in sizing else 0)
            for p in tree.params
            if p.default is None and p.axes is None
        }
        nodes = {
            step.node.site or "": step.node
            for step in model.body.steps
            if step.node.op.name == "input"
        }
        inputs = {}
        for name, node in nodes.items():
            inputs[name] = study.scope.builder.put(replace(node, name=study.ctx.fresh(node.span)))
        for param in tree.params:
            if param.kind == "run":  # any run of the model has its sites
                args[param.name], _ = lay_down(param.name, model, inputs, Plan(), study.scope)
        writes = Plan()
        plan_intervention(
            study, tree, module, args, model, writes, study.scope, tree.span, any_turn=True
        )
        lay_down(tree.name, model, inputs, writes, study.scope)
    except HaltError:
        return


def _check_data(tree: s.Data, module: Module, collector: Collector) -> None:
    call = tree.value
    if not isinstance(call, s.Call) or not isinstance(call.target, s.Name):
        collector.report(
            Slug.WRONG_ARGUMENTS,
            "data comes from a source",
            call.span,
            hint='`bytes("corpus/*.txt", t = 128)`',
        )
        return
    name = call.target.id
    signature = TOKENIZER if name == TOKENIZER.name else SIGNATURES.get(name)
    if signature is None:
        collector.report(
            Slug.UNKNOWN_NAME,
            f"no source of data is called `{name}`",
            call.target.span,
            hint=or_any(name, SIGNATURES, most=30),
        )
        return
    options = data_options(tree)
    if name == TOKENIZER.name:
        options = {k.replace("#0", "path"): v for k, v in options.items()}
    args = {arg.name: arg for arg in call.args}
    for problem in signature.problems(options):
        arg = args.get(problem.option or "")
        collector.report(
            problem.slug,
            problem.message,
            arg.span if arg is not None else call.span,
            hint=problem.hint,
        )
    for fld in tree.fields:
        if declared_field(fld) is None:
            collector.report(
                Slug.WRONG_DTYPE,
                f"`{fld.value.span.text}` is no kind of field",
                fld.value.span,
                hint="one of `int`, `float`, `bool`, `position`, `text(tok)` with a "
                "tokeniser `tok`",
            )
        elif not signature.declared:
            collector.report(Slug.UNKNOWN_FIELD, f"`{name}` has its own fields", fld.span)
