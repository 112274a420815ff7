"""The laws of sweeps and scans: a sweep is its members, a scan its steps, one by one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, is_dataclass, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.console import Console

from ..dsl import sizes
from ..dsl import syntax as s
from ..dsl.check import check_module
from ..dsl.diagnostics import Collector
from ..dsl.elaborate.substitution import literal, substituted
from ..dsl.program import SweepInput
from ..runtime.experiment import run_experiment
from ..runtime.session import Session
from .comparing import assert_close
from .models import computing_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    import xarray
    from torch import nn

    from ..dsl.program import CheckedStudy
    from ..runtime.outputs import Outcome
    from ..runtime.program import Program
    from ..runtime.sources import Given, Library

MEMBERS = 3


def check_sweep_members(
    program: Program, experiment: str | None = None, *, members: int = MEMBERS, seed: int = 0
) -> None:
    """A sweep gives what its members give, each run by itself: the experiment with numbers in the
    place of the swept variables. Some of the members are, `members` of each sweep.

    What the experiment takes weights from is run once, in float32; then all is in float64.
    """
    checked = program.checked
    name = next(iter(checked.experiments)) if experiment is None else experiment
    study = checked.experiments[name]
    tree = cast("s.Experiment", program.module.own[name])
    runs = _Runs(program, _parameters(program, study))
    whole = runs.outcome(study)
    numbers = np.random.default_rng(seed)
    known = runs.library.given(study).sizes
    for place, sweep in enumerate(tree.body):
        if not isinstance(sweep, s.Sweep):
            continue
        found = whole.values[sweep.name]
        ranges = _ranges(study, sweep, found, known)
        every = list(itertools.product(*(range(len(values)) for values in ranges.values())))
        for chosen in numbers.permutation(len(every))[:members]:
            at = dict(zip(ranges, every[chosen], strict=True))
            member = {v: float(ranges[v][index]) for v, index in at.items()}
            alone = runs.outcome(runs.member(tree, place, sweep, member)).values[sweep.name]
            shown = ", ".join(f"{v} = {value:g}" for v, value in member.items())
            part = found.isel(dict(zip(found.dims[: len(at)], at.values(), strict=True)))
            assert_close(
                part.transpose(*alone.dims).values,
                alone.values,
                met=float(np.max(np.abs(found.values), initial=1.0)),
                what=f"`{sweep.name}` at {shown}",
            )


def check_scan_steps(program: Program, experiment: str | None = None, *, seed: int = 0) -> None:
    """A scan of an experiment gives what its steps give, each run by itself: the experiment with
    numbers in the place of what is carried and of the number of the step. What is carried are
    numbers.

    What the experiment takes weights from is run once, in float32; then all is in float64.
    """
    checked = program.checked
    name = next(iter(checked.experiments)) if experiment is None else experiment
    study = checked.experiments[name]
    tree = cast("s.Experiment", program.module.own[name])
    runs = _Runs(program, _parameters(program, study))
    whole = runs.outcome(study)
    for place, scan in enumerate(tree.body):
        if not isinstance(scan, s.StudyScan):
            continue
        carries = {c.name: p.value for p in scan.body if isinstance(p, s.Carry) for c in p.names}
        values = {c: float(cast("s.Number", begin).value) for c, begin in carries.items()}
        for at in range(whole.values[next(iter(carries))].sizes[scan.axis]):
            own = runs.step(tree, place, scan, {**values, scan.axis: float(at)})
            alone = runs.outcome(own).values
            for label, part in alone.items():
                found = whole.values[label].isel({scan.axis: at})
                assert_close(
                    found.transpose(*part.dims).values,
                    part.values,
                    met=float(np.max(np.abs(whole.values[label].values), initial=1.0)),
                    what=f"`{label}` at step {at}",
                )
            values = {c: float(whole.values[c].isel({scan.axis: at})) for c in carries}


def _parameters(program: Program, study: CheckedStudy) -> nn.Module:
    """What the experiment runs on, in float64."""
    with TemporaryDirectory() as folder:
        session = Session(program, Path(folder), console=Console(file=StringIO()))
        return session.shared(study).double()


def _ranges(
    study: CheckedStudy, sweep: s.Sweep, found: xarray.DataArray, known: Mapping[str, int]
) -> dict[str, np.ndarray[Any, Any]]:
    """The values of each variable."""
    given: dict[str, np.ndarray[Any, Any]] = {}
    for source in study.sources.values():
        if isinstance(source, SweepInput) and source.sweep == sweep.name:
            count = sizes.evaluate(source.count, known) if source.values is None else 0
            values = np.arange(count) if source.values is None else np.array(source.values)
            given[source.variable.rstrip("'")] = values
    for plan in study.sweeps:
        if plan.name == sweep.name:
            given |= {axis.rstrip("'"): np.array(values) for axis, values in plan.settled.items()}
    lengths = dict(zip((over.name for over in sweep.over), found.shape, strict=False))
    return {name: given.get(name, np.arange(length)) for name, length in lengths.items()}


@dataclass
class _Doubled:
    """A library whose floats are float64."""

    library: Library

    def given(self, study: CheckedStudy, device: torch.device | str = "cpu") -> Given:
        found = self.library.given(study, device)
        wide = {n: v.double() if v.is_floating_point() else v for n, v in found.inputs.items()}
        return replace(found, inputs=wide)


class _Runs:
    """Runs an experiment, and others in its place."""

    def __init__(self, program: Program, shared: nn.Module) -> None:
        self.program, self.shared = program, shared
        self.library = _Doubled(program.library)

    def outcome(self, study: CheckedStudy) -> Outcome:
        with computing_in("float64"):
            library = cast("Library", self.library)
            return run_experiment(study, self.shared, library, seed=self.program.seed)

    def member(
        self, tree: s.Experiment, place: int, sweep: s.Sweep, values: Mapping[str, float]
    ) -> CheckedStudy:
        """The experiment with one member of a sweep in its place, and what that needs."""
        trees = {name: literal(value, sweep.span) for name, value in values.items()}
        target = s.Name(sweep.name, span=sweep.span)
        last = s.Assign((target,), (sweep.result,), span=sweep.span)
        return self._alone(tree, place, [substituted(step, trees) for step in (*sweep.body, last)])

    def step(
        self, tree: s.Experiment, place: int, scan: s.StudyScan, values: Mapping[str, float]
    ) -> CheckedStudy:
        """The experiment with one step of a scan in its place, and what that needs."""
        body = list[s.Trial]()
        known = {name: literal(value, scan.span) for name, value in values.items()}
        for part in scan.body:
            match part:
                case s.Carry() | s.Doc():
                    pass
                case s.Assign(targets, given):
                    body.append(replace(part, values=substituted(given, known)))
                    for target in targets:  # from here on it is a name like any other
                        known.pop(target.id if isinstance(target, s.Name) else "", None)
                case _:
                    body.append(substituted(part, known))
        return self._alone(tree, place, body)

    def _alone(self, tree: s.Experiment, place: int, body: list[s.Trial]) -> CheckedStudy:
        """An experiment of these steps, and of those in front of a place that they need."""
        for step in reversed(tree.body[:place]):
            if _defined(step) & _names(body):
                body.insert(0, step)
        alone = replace(tree, body=tuple(body))
        own = {**self.program.module.own, tree.name: alone}
        module = replace(self.program.module, own=own, tree=s.Spec((alone,)))
        collector = Collector()
        checked = check_module(module, collector)
        collector.raise_if_errors()
        return checked.experiments[tree.name]


def _defined(step: s.Trial) -> set[str]:
    match step:
        case s.Run() | s.Measure() | s.Sweep():
            return {step.name}
        case s.Assign():
            return _names(step.targets)
    return set()


def _names(tree: Any) -> set[str]:
    """All names in a tree."""
    if isinstance(tree, s.Name):
        return {tree.id}
    if isinstance(tree, tuple | list):
        return set().union(*map(_names, tree))
    if isinstance(tree, s.Tree) and is_dataclass(tree):
        return set().union(*(_names(getattr(tree, field.name)) for field in fields(tree)))
    return set()
