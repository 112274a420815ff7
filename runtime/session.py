"""Runs what a file declares: trainings first, then experiments; prints, plots and keeps results."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from time import perf_counter as clock
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from torch import nn

from ..dsl import syntax as s
from ..dsl.diagnostics import Collector, Slug, or_nearest, render
from ..dsl.program import AFTER, StatisticsInput
from .calibrating import calibrate, sources_of
from .experiment import run_experiment
from .figures import draw, layout_of
from .labels import number
from .mistakes import mistake
from .model import spec_model
from .module import beside
from .owned import check_owned, save_owned
from .record import Drawn, recorded
from .results import in_file, save
from .sweeps import Running
from .sweeps import progress as sweeping
from .tables import table
from .teaching import parameters_of, teach
from .training import progress_on
from .training.checkpoints import kept_as, read_parameters
from .weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..dsl.program import CheckedModel, CheckedStudy
    from .model import SpecModel
    from .outputs import Outcome
    from .program import Program
    from .training import Expectation


class Session:
    """One going through a file. What was trained or swept is kept in `folder`, and gone on from
    with `resume`. `sweeps` says how sweeps are run."""

    def __init__(
        self,
        program: Program,
        folder: Path,
        *,
        resume: bool = False,
        console: Console | None = None,
        sweeps: Running | None = None,
    ) -> None:
        self.program, self.folder, self.resume = program, folder, resume
        self.sweeps = sweeps or Running()
        self.console = console or Console(highlight=False)
        self.models: dict[str, SpecModel] = {}
        self.expectations: list[Expectation] = []
        self.calibrated: dict[str, dict[str, NDArray[Any]]] = {}
        self.calibrating: list[str] = []

    # ---- weights

    def weights(self, name: str) -> SpecModel:
        """The model with the weights of a training or of a `weights` statement."""
        checked = self.program.checked
        if name not in self.models:
            training, is_snapshot, step = name.partition(AFTER)
            if name in checked.trainings:
                self.train(name)
            elif is_snapshot:
                self.models[name] = self._snapshot(training, int(step))
            elif name in checked.weights:
                found = checked.weights[name]
                model = self._fresh(found.model, {m.address for m in found.mappings})
                collector = Collector()
                load_weights(found, self.program.root, parameters_of(model).state(), collector)
                if warnings := render(collector.diagnostics):
                    self._say(warnings)
                self.models[name] = model
            else:
                known = [*checked.trainings, *checked.weights]
                message = f"this file has no training and no weights `{name}`"
                hint = or_nearest(name, known)
                raise mistake(Slug.UNKNOWN_NAME, message, hint=hint)
        return self.models[name]

    def _snapshot(self, name: str, step: int) -> SpecModel:
        """The model with the weights that a training had after so many steps."""
        self.weights(name)
        training = self.program.checked.trainings[name]
        model = self._fresh(training.model)
        model.hold(training.owned)
        model.to(self.program.device)
        file = self.folder / name / kept_as(step)
        if not file.exists():
            message = f"`{name}` ended before step {step}, and has no snapshot of it"
            raise mistake(Slug.BAD_FILE, message, training.train.span)
        parameters_of(model).load(read_parameters(file), span=training.train.span)
        return model

    def _fresh(self, checked: CheckedModel, filled: Collection[str] = ()) -> SpecModel:
        program = self.program
        model = spec_model(checked, program.module, {}, seed=program.seed, under=(), filled=filled)
        return model.to(self.program.device)

    def begun(self, name: str) -> SpecModel:
        """The model of a training with the parameters that it starts from."""
        training = self.program.checked.trainings[name]
        model = self._fresh(training.model)
        model.hold(training.owned)
        model.to(self.program.device)
        if training.start is not None:
            begun = self.weights(training.start)
            earlier, own = parameters_of(begun).state(), {n.site for n in model.held}
            for node in begun.held:  # what interventions own that this training has not
                if node.site not in own:
                    earlier.pop(node.site or "")
            parameters_of(model).load(
                earlier,
                fresh=(*training.fresh, *(a for a in own if a is not None and a not in earlier)),
                extras=bool(training.fresh),
                span=training.train.span,
            )
        for part, weights in training.placed:
            held = parameters_of(self.weights(weights)).state()
            arrays = {f"{part}.{address}": array for address, array in held.items()}
            parameters_of(model).load(arrays, partial=True, extras=True, span=training.train.span)
        return model

    def train(self, name: str) -> None:
        """Run a training, and keep its model under its name."""
        training = self.program.checked.trainings[name]
        self._know(training.train, training.evaluate)
        model = self.begun(name)
        self.console.rule(f"train {name}", align="left")
        started, since = _now(), clock()
        trained = teach(
            training,
            model,
            self.program.library,
            self.folder / name,
            seed=self.program.seed,
            resume=self.resume,
            progress=progress_on(self.console),
            others={other: self.weights(other) for other in training.train.beside},
        )
        record = recorded(
            self.program,
            "training",
            name,
            started=started,
            seconds=clock() - since,
            expectations=trained.expectations,
        )
        save(record.on(trained.history), self.folder / name / "history.nc")
        save_owned(model, self.folder / name)
        self.models[name] = model
        self._report(trained.expectations)

    # ---- statistics

    def calibrate(self, name: str) -> dict[str, NDArray[Any]]:
        """What a `calibrate` statement finds, kept for all that speaks of it."""
        calibration = self.program.checked.calibrations[name]
        library = self.program.library
        if name not in self.calibrated:
            if name in self.calibrating:
                message = f"the calibration `{name}` needs what comes of it"
                raise mistake(Slug.RECURSIVE, message, calibration.study.span)
            self.calibrating.append(name)
            shared = self.shared(calibration.study)
            self.console.rule(f"calibrate {name}", align="left")
            folder, seed = self.folder / name, self.program.seed
            found = calibrate(calibration, shared, library, folder, seed=seed, resume=self.resume)
            self.calibrated[name] = found
            self._say(f"values {folder / name}.safetensors")
        for key, value in self.calibrated[name].items():
            library.statistics[StatisticsInput(name, key)] = value
        return self.calibrated[name]

    def _know(self, *studies: CheckedStudy) -> None:
        """Run the calibrations that studies read."""
        for name in sorted({name for study in studies for name in sources_of(study)}):
            self.calibrate(name)

    # ---- experiments

    def shared(self, study: CheckedStudy) -> nn.Module:
        """The parameters that an experiment runs on; trainings that it takes them from are run."""
        self._know(study)
        if study.weights is not None:
            model: nn.Module = self.weights(study.weights)
        else:
            model = nn.Module() if study.model is None else self._fresh(study.model)
        others = {other: self.weights(other) for other in study.beside}
        own = {} if study.weights is None else {"": self.weights(study.weights)}
        check_owned(study, {**own, **others})
        return beside(model, others)

    def experiment(self, name: str) -> Outcome:
        """Run an experiment, print and keep what it gave."""
        study = self.program.checked.experiments[name]
        shared = self.shared(study)
        self.console.rule(f"experiment {name}", align="left")
        started, since = _now(), clock()
        folder = self.folder / name
        how = replace(
            self.sweeps,
            folder=folder,
            resume=self.resume,
            progress=sweeping.progress_on(self.console),
        )
        outcome = run_experiment(
            study, shared, self.program.library, seed=self.program.seed, how=how
        )
        for shown in outcome.shown:
            self.console.print(table(outcome.values[shown], width=self.console.width))
        plots = self._figures(outcome, folder, study)
        record = recorded(
            self.program,
            "experiment",
            name,
            started=started,
            seconds=clock() - since,
            expectations=outcome.expectations,
            shown=map(in_file, outcome.shown),
            plots=plots,
            how=outcome.how,
        )
        save(record.on(outcome.dataset()), folder / f"{name}.nc")
        self._say(f"values {folder / name}.nc")
        self._report(outcome.expectations)
        return outcome

    def _figures(self, outcome: Outcome, folder: Path, study: CheckedStudy) -> list[Drawn]:
        """Draw what an experiment plots, each figure in a file of its own."""
        drawn: list[Drawn] = []
        for label, options in outcome.plots:
            layout = layout_of(options, outcome.values, label)
            file = _file_name(layout.title, [earlier.file for earlier in drawn])
            try:
                _, picture = draw(options["kind"], outcome.values[label], folder / file, layout)
            except ValueError as error:
                message = f"plot of `{label}`: {error}"
                raise mistake(Slug.WRONG_ARGUMENTS, message, study.span) from None
            drawn.append(Drawn(options["kind"], in_file(label), layout.title, file))
            self._say(f"plot   {picture}")
        return drawn

    def _say(self, text: str) -> None:
        self.console.print(escape(text), soft_wrap=True)

    def _report(self, expectations: Iterable[Expectation]) -> None:
        for found in expectations:
            self.expectations.append(found)
            sign = "[green]holds[/green]" if found.holds else "[bold red]FAILS[/bold red]"
            sides = number(found.left)
            if found.right is not None:
                sides += f" {found.op} {number(found.right)}"
            line = f"{sign}  {escape(found.label)}  [dim]({escape(sides)})[/dim]"
            self.console.print(line, soft_wrap=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _file_name(title: str, taken: Sequence[str]) -> str:
    """A title as the name of a file that no other figure has."""
    name = "".join(c if c.isalnum() else "_" for c in title).strip("_").lower() or "plot"
    names = (name if turn == 1 else f"{name}_{turn}" for turn in count(1))
    return next(free for free in names if free not in taken)


def run_file(
    program: Program,
    wanted: Sequence[str],
    folder: Path,
    *,
    resume: bool = False,
    console: Console | None = None,
    sweeps: Running | None = None,
) -> int:
    """Run all trainings and experiments of a file, or those asked for; how many expectations
    fail."""
    session = Session(program, folder, resume=resume, console=console, sweeps=sweeps)
    checked = program.checked
    statements = program.module.tree.statements
    known = [d.name for d in statements if isinstance(d, s.Train | s.Experiment | s.Calibrate)]
    for name in wanted:
        if name not in known:
            message, hint = f"no training or experiment is called `{name}`", or_nearest(name, known)
            raise mistake(Slug.UNKNOWN_NAME, message, hint=hint)
    for name in wanted or known:
        if name in checked.trainings and name not in session.models:
            session.train(name)
        elif name in checked.experiments:
            session.experiment(name)
        elif name in checked.calibrations:
            session.calibrate(name)
    failed = [found for found in session.expectations if not found.holds]
    if session.expectations:
        held = len(session.expectations) - len(failed)
        session.console.rule(align="left")
        session.console.print(f"{held} of {len(session.expectations)} expectations hold")
    for found in failed:
        line = f"[bold red]FAILS[/bold red]  {escape(found.label)}  at {escape(str(found.span))}"
        session.console.print(line, soft_wrap=True)
    return len(failed)
