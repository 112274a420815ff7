"""`run`: a model on data, or a run again with more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug
from .builtins import UNBUILT
from .decodes import DECODE, decoded
from .laying import laid, run_model
from .linear import LINEARISE, linearised
from .origins import called, model_tree
from .requests import elaborated, inputs_of, requested
from .values import HaltError, Known, Poison, Run, Table, Val, Value, settled
from .weights import split_weights

if TYPE_CHECKING:
    from ..program import CheckedModel, DataPart
    from ..source import Span
    from .scope import Scope
    from .study import Study

SEED = "seed"


class Runs:
    """Makes the runs of a study, of its model if a run names no other, with its weights and
    interventions; what is trained may begin with the weights `start`."""

    def __init__(
        self,
        study: Study,
        model: s.Expr | None,
        weights: str | None,
        given: tuple[s.Given, ...],
        data: DataPart | None,
        start: str | None = None,
    ) -> None:
        self.study, self.given, self.data = study, given, data
        study.weights = weights
        self.said, self.named = model, None
        self.model, self.home = model, study.module
        if model is not None:
            name = called(model)
            self.named = s.Name(name) if name is not None else None
            self.model, self.home = model_tree(model, weights or start, study)
            requested(study, self.model, self.home)
        self.plans: dict[str, tuple[str | None, tuple[s.Given, ...]]] = {}

    def run(self, step: s.Run, scope: Scope) -> Run:
        """Lay down what a `run` says."""
        weights, given = split_weights(step.given, self.study)
        found = scope.lookup(step.value.id) if isinstance(step.value, s.Name) else None
        if isinstance(found, Poison):
            raise HaltError
        if isinstance(found, Run) and found.decoded:
            scope.fail(
                Slug.NOT_A_VALUE,
                f"`{found.name}` is decoded, and is not run again",
                step.value.span,
                hint="decode(prompt = .., steps = ..) with ..",
            )
        if isinstance(found, Run):
            before, earlier = self.plans[found.name]
            weights, given = weights or before, (*earlier, *given)
            inputs, model = dict(found.inputs), self._of(found.model, weights)
            run = laid(
                self.study, step.name, model, inputs, given, step.span, scope, weights, found.seed
            )
        else:
            weights, given = weights or self.study.weights, (*self.given, *given)
            called_as = step.value.target if isinstance(step.value, s.Call) else None
            make = self._of_model
            if called_as == s.Name(DECODE):
                make = self._decoded
            elif called_as == s.Name(LINEARISE):
                make = self._linearised
            run = make(step, weights, given, scope)
        self.plans[run.name] = weights, given
        return run

    def _of(self, model: CheckedModel, weights: str | None) -> CheckedModel:
        """The model of a run that is run again: others than what is trained have no dropout."""
        request = model.request
        is_other = model.reads_mode and request is not None and request.training
        if weights == self.study.weights or request is None or not is_other:
            return model
        return elaborated(self.study, replace(request, training=False))

    def _of_model(
        self, step: s.Run, weights: str | None, given: tuple[s.Given, ...], scope: Scope
    ) -> Run:
        inputs: dict[str, tuple[Val, Span]] = {}
        model: s.Expr = step.value
        if isinstance(model, s.Call):
            if isinstance(model.target, s.Name) and model.target.id in UNBUILT:
                feature = UNBUILT[model.target.id]
                scope.fail(Slug.UNBUILT, f"{feature} is not built yet", model.span)
            inputs, model = _inputs(model, scope), model.target
        home = self.study.module
        if weights == self.study.weights and self.model is not None and model == self.named:
            model, home = self.model, self.home
        else:
            model, home = model_tree(model, weights, self.study)
        request = requested(self.study, model, home, scope)
        seed = _seed(inputs, request.block, scope)
        if model is self.model:
            inputs = {**inputs_of(model, request.block, self.study.scope), **inputs}
        plain = {p.name for p in request.block.params if p.axes is None}
        values = {
            key: settled(inputs.pop(key)[0], scope.ctx.sweeping) for key in plain & set(inputs)
        }
        request = replace(request, values={**request.values, **values})
        if weights != self.study.weights:  # others are not trained
            request = replace(request, training=False)
        self._from_data(request.block, inputs)
        return run_model(
            self.study, step.name, request, inputs, given, step.span, scope, weights, seed
        )

    def _linearised(
        self, step: s.Run, weights: str | None, given: tuple[s.Given, ...], scope: Scope
    ) -> Run:
        """`linearise(gpt, around = base)`."""

        def run(inner: s.Run, around: str | None) -> Run:
            return self._of_model(inner, around or weights, given, scope)

        return linearised(self.study, step, scope, run)

    def _decoded(
        self, step: s.Run, weights: str | None, given: tuple[s.Given, ...], scope: Scope
    ) -> Run:
        """`decode(prompt = .., steps = 64)`: the study's model, token after token."""
        if self.said is None:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                "a run that decodes is of the model of its experiment",
                step.value.span,
                hint="experiment NAME of MODEL:",
            )
        assert isinstance(step.value, s.Call)
        request = requested(self.study, *model_tree(self.said, weights, self.study))
        return decoded(
            self.study, step, step.value, replace(request, training=False), given, weights, scope
        )

    def _from_data(self, block: s.Block, inputs: dict[str, tuple[Val, Span]]) -> None:
        """Fields named like a model's inputs bind."""
        table = self.study.scope.names.get(self.data.name) if self.data is not None else None
        for param in block.params:
            if param.axes is None or param.name in inputs or not isinstance(table, Table):
                continue
            if param.name in table.fields:
                inputs[param.name] = (Value(table.fields[param.name]), param.span)


def _seed(inputs: dict[str, tuple[Val, Span]], block: s.Block, scope: Scope) -> int | None:
    """`tiny(seed = 3)`: of what is drawn for a run, unless the model has something of that name."""
    if SEED not in inputs or any(param.name == SEED for param in block.params):
        return None
    value, span = inputs.pop(SEED)
    value = settled(value, scope.ctx.sweeping)
    seed = value.value if isinstance(value, Known) else None
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        scope.fail(Slug.WRONG_ARGUMENTS, "a seed is a whole number, 0 or larger", span)
    return seed


def _inputs(tree: s.Call, scope: Scope) -> dict[str, tuple[Val, Span]]:
    """`gpt(tokens = pairs.clean)`: what a run is given."""
    inputs = {}
    for arg in tree.args:
        if arg.name is None:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                "an input of a run is named",
                arg.span,
                hint=f"tokens = {arg.span.text}",
            )
        inputs[arg.name] = (scope.evaluate(arg.value), arg.span)
    return inputs
