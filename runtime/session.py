"""Runs what a file declares: trainings first, then experiments; prints, plots and keeps results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ..dsl import syntax as s
from ..dsl.diagnostics import Diagnostic, Slug, SpecError, or_nearest
from ..dsl.source import GENERATED
from .experiment import run_experiment
from .labels import number
from .model import spec_model
from .plots import plot
from .results import save
from .tables import table
from .teaching import parameters_of, teach
from .training import progress_on
from .weights import read_weights

if TYPE_CHECKING:
    from pathlib import Path
    from collections.abc import Iterable, Sequence

    from ..dsl.program import CheckedModel
    from .experiment import Outcome
    from .model import SpecModel
    from .program import Program
    from .training import Expectation


class Session:
    """One going through a file. What was trained is kept in `folder`, and used again with
    `resume`."""

    def __init__(
        self,
        program: Program,
        folder: Path,
        *,
        resume: bool = False,
        console: Console | None = None,
    ) -> None:
        self.program, self.folder, self.resume = program, folder, resume
        self.console = console or Console(highlight=False)
        self.models: dict[str, SpecModel] = {}
        self.expectations: list[Expectation] = []

    # ---- weights

    def weights(self, name: str) -> SpecModel:
        """The model with the weights of a training or of a `weights` statement."""
        if name not in self.models:
            checked = self.program.checked
            if name in checked.trainings:
                self.train(name)
            elif name in checked.weights:
                found = checked.weights[name]
                model = self._fresh(found.model)
                parameters_of(model).load(
                    read_weights(found, self.program.root), partial=True, span=found.span
                )
                self.models[name] = model
            else:
                raise SpecError(
                    [
                        Diagnostic(
                            Slug.UNBUILT,
                            f"the weights `{name}` of another file are not built yet",
                            GENERATED,
                        )
                    ]
                )
        return self.models[name]

    def _fresh(self, checked: CheckedModel) -> SpecModel:
        return spec_model(checked, self.program.module, {}, seed=self.program.seed).to(
            self.program.device
        )

    def train(self, name: str) -> None:
        """Run a training, and keep its model under its name."""
        training = self.program.checked.trainings[name]
        model = self._fresh(training.train.model)
        if training.start is not None:
            earlier = parameters_of(self.weights(training.start)).state()
            parameters_of(model).load(
                earlier, fresh=training.fresh, extras=bool(training.fresh), span=training.train.span
            )
        self.console.rule(f"train {name}", align="left")
        trained = teach(
            training,
            model,
            self.program.library,
            self.folder / name,
            seed=self.program.seed,
            resume=self.resume,
            progress=progress_on(self.console),
        )
        save(trained.history, self.folder / name / "history.nc")
        self.models[name] = model
        self._report(trained.expectations)

    # ---- experiments

    def experiment(self, name: str) -> Outcome:
        """Run an experiment, print and keep what it gave."""
        study = self.program.checked.experiments[name]
        model = (
            self.weights(study.weights) if study.weights is not None else self._fresh(study.model)
        )
        self.console.rule(f"experiment {name}", align="left")
        outcome = run_experiment(study, model, self.program.library, seed=self.program.seed)
        for shown in outcome.shown:
            self.console.print(table(outcome.values[shown], width=self.console.width))
        folder = self.folder / name
        for label, options in outcome.plots:
            path = folder / f"{_file_name(label)}.png"
            kind = str(options.pop("kind"))
            axes = {side: str(options[side]) for side in ("x", "y") if side in options}
            plot(kind, outcome.values[label], path, title=str(options.get("title", label)), **axes)
            self.console.print(f"plot   {path}")
        if outcome.values:
            save(outcome.dataset(), folder / f"{name}.nc")
            self.console.print(f"values {folder / name}.nc")
        self._report(outcome.expectations)
        return outcome

    def _report(self, expectations: Iterable[Expectation]) -> None:
        for found in expectations:
            self.expectations.append(found)
            sign = "[green]holds[/green]" if found.holds else "[bold red]FAILS[/bold red]"
            sides = (
                number(found.left)
                if found.right is None
                else f"{number(found.left)} {found.op} {number(found.right)}"
            )
            self.console.print(sign, escape(found.label), f"[dim]({sides})[/dim]", sep="  ")


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in label).strip("_").lower() or "plot"


def run_file(program: Program, wanted: Sequence[str], folder: Path, *, resume: bool = False) -> int:
    """Run all trainings and experiments of a file, or those asked for; how many expectations fail."""
    session = Session(program, folder, resume=resume)
    checked = program.checked
    known = [
        d.name for d in program.module.tree.statements if isinstance(d, s.Train | s.Experiment)
    ]
    for name in wanted:
        if name not in known:
            raise SpecError(
                [
                    Diagnostic(
                        Slug.UNKNOWN_NAME,
                        f"no training or experiment is called `{name}`",
                        GENERATED,
                        hint=or_nearest(name, known),
                    )
                ]
            )
    for name in wanted or known:
        if name in checked.trainings and name not in session.models:
            session.train(name)
        elif name in checked.experiments:
            session.experiment(name)
    failed = [found for found in session.expectations if not found.holds]
    if session.expectations:
        session.console.rule(align="left")
        session.console.print(
            f"{len(session.expectations) - len(failed)} of {len(session.expectations)} expectations hold"
        )
    for found in failed:
        session.console.print(
            "[bold red]FAILS[/bold red]", escape(found.label), f"at {found.span}", sep="  "
        )
    return len(failed)
