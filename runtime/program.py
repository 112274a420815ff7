"""A spec, loaded: what `neuraxis.load` gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
import xarray

from ..dsl import syntax as s
from ..dsl.check import Checked, check_module
from ..dsl.core import names
from ..dsl.diagnostics import Collector, Diagnostic, Slug, SpecError, or_nearest
from ..dsl.elaborate.given_models import calibration_of
from ..dsl.elaborate.models import ModelRequest, elaborate_model
from ..dsl.elaborate.values import Known, Template, Val
from ..dsl.files import read_spec
from ..dsl.modules import Loader, Module
from ..dsl.settings import apply_settings
from .calibrating import calibrate
from .mistakes import mistake
from .model import SpecModel, spec_model
from .sources import Library

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..dsl.program import CheckedCalibration, CheckedModel
    from .outputs import Outcome

Given = int | float | bool | str


class Program:
    """A checked spec. `root` is the folder below which its data and weights may stand."""

    def __init__(
        self,
        module: Module,
        checked: Checked,
        root: Path,
        *,
        settings: Sequence[str] = (),
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.module, self.checked, self.root = module, checked, root
        self.settings = tuple(settings)
        self.seed, self.device = seed, _usable(device)
        self.library = Library(module, root, seed)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        settings: Sequence[str] = (),
        seed: int = 0,
        device: str = "cpu",
        root: str | Path | None = None,
    ) -> Program:
        """Read and check a file; what is wrong in it is raised as one SpecError."""
        path = Path(path)
        return cls.from_text(
            read_spec(path),
            name=str(path),
            folder=path.parent,
            settings=settings,
            seed=seed,
            device=device,
            root=root,
        )

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        name: str = "(text)",
        folder: Path | None = None,
        settings: Sequence[str] = (),
        seed: int = 0,
        device: str = "cpu",
        root: str | Path | None = None,
    ) -> Program:
        """The same for the text of a spec."""
        collector = Collector()
        module = Loader(collector).from_text(name, text, folder)
        if module is None:
            raise SpecError(collector.diagnostics)
        module.root = Path(root) if root is not None else folder or Path.cwd()
        apply_settings(module, settings, collector)
        checked = check_module(module, collector)
        collector.raise_if_errors()
        return cls(module, checked, module.root, settings=settings, seed=seed, device=device)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The warnings."""
        return self.checked.diagnostics

    # ---- models

    @property
    def models(self) -> list[str]:
        """The names of the models of the file; of one that has none, of those that it imports."""
        known = list(self._models())
        return [name for name in known if name in self.module.own] or known

    def model(
        self, name: str | None = None, *, seed: int | None = None, **given: Given
    ) -> SpecModel:
        """A model as a torch module, with sizes (axes) and values by name: `model("gpt", d=128)`.
        Without a name, the one model of the file. Raises SpecError."""
        checked = self.elaborated(name, given)
        seed = self.seed if seed is None else seed
        return spec_model(checked, self.module, {}, seed=seed, under=()).to(self.device)

    def elaborated(
        self, name: str | None = None, given: Mapping[str, Given] | None = None
    ) -> CheckedModel:
        """The program of a model, with sizes and values by name. Raises SpecError."""
        collector = Collector()
        found = elaborate_model(self._request(name, given or {}), collector)
        if found is None:
            raise SpecError(collector.diagnostics)
        return found

    def _request(self, name: str | None, given: Mapping[str, Given]) -> ModelRequest:
        block, module = self._model(name)
        own = {i.axis if isinstance(i, s.Bind) else i.id for i in block.axes if _is_axis(i)}
        axes = own | {axis.name for param in block.params for axis in param.axes or ()}
        kinds = {param.name: param.kind for param in block.params}
        sized: dict[str, int] = {}
        values: dict[str, Val] = {}
        for key, value in given.items():
            if key in axes and isinstance(value, int):
                sized[key] = value
            elif kinds.get(key) == "block" and isinstance(value, str):
                found = self.module.find(value)
                if found is None or not isinstance(found[0], s.Block):
                    hint = or_nearest(value, self.module.visible())
                    raise _error(f"no block is called `{value}`", hint)
                values[key] = Template(found[0], found[1])
            elif key in kinds:
                values[key] = Known(value)
            else:
                hint = or_nearest(key, [*axes, *kinds])
                raise _error(f"`{block.name}` has no size or value `{key}`", hint)
        return ModelRequest(block, module, sized, values)

    def _model(self, name: str | None) -> tuple[s.Block, Module]:
        models = self._models()
        if name is None:
            if len(self.models) != 1:
                raise _error(f"which model? this file has {', '.join(models) or 'none'}", None)
            name = self.models[0]
        if name not in models:
            raise _error(f"no model is called `{name}`", or_nearest(name, models))
        return models[name]

    def _models(self) -> dict[str, tuple[s.Block, Module]]:
        found = {name: self.module.find(name) for name in self.module.names()}
        return {
            name: (entry[0], entry[1])
            for name, entry in found.items()
            if entry is not None and isinstance(entry[0], s.Block) and entry[0].kind == "model"
        }

    # ---- running

    def run(self, name: str, *, folder: str | Path = "results", resume: bool = False) -> Outcome:
        """Run an experiment, and the trainings that it needs."""
        from .session import Session  # brings what draws plots

        if name not in self.checked.experiments:
            known = list(self.checked.experiments)
            raise _error(f"no experiment is called `{name}`", or_nearest(name, known))
        return Session(self, Path(folder), resume=resume).experiment(name)

    def calibrated(
        self,
        name: str,
        *,
        of: SpecModel | None = None,
        folder: str | Path = "results",
        resume: bool = False,
    ) -> dict[str, xarray.DataArray]:
        """What a `calibrate` statement finds, by name, with axes as written; of the model that it
        names, or of one that is given, with its parameters and interventions. Raises SpecError."""
        from .session import Session  # brings what draws plots

        if name not in self.checked.calibrations:
            known = list(self.checked.calibrations)
            raise _error(f"no calibration is called `{name}`", or_nearest(name, known))
        if of is None:
            values = Session(self, Path(folder), resume=resume).calibrate(name)
            folds = self.checked.calibrations[name].folds
        else:
            found = self._calibration(name, of)
            values = calibrate(
                found,
                of,
                self.library,
                Path(folder) / name,
                seed=self.seed,
                resume=resume,
                values=of.defaults,
            )
            folds = found.folds
        axes = {key: names(own) for fold in folds for key, own in fold.results}
        return {k: xarray.DataArray(v, dims=axes[k], name=k) for k, v in values.items()}

    def _calibration(self, name: str, model: SpecModel) -> CheckedCalibration:
        """The statistics of a statement, of that model."""
        entry, collector = self.module.find(name), Collector()
        assert entry is not None, name
        assert isinstance(entry[0], s.Calibrate), name
        found = calibration_of(model.current, entry[0], entry[1], model.defaults, collector)
        if found is None:
            raise SpecError(collector.diagnostics)
        return found

    def trained(
        self, name: str, *, folder: str | Path = "results", resume: bool = False
    ) -> SpecModel:
        """The model of a training, which is run, or of a `weights` statement."""
        from .session import Session  # brings what draws plots

        model = Session(self, Path(folder), resume=resume).weights(name)
        if name not in self.checked.trainings:
            return model
        measured = self.checked.trainings[name].evaluate.model
        assert measured is not None  # a training has one
        measures = spec_model(measured, self.module, {}, shared=model, seed=self.seed, under=())
        measures.hold(model.held, model)
        return measures


def _usable(device: str) -> str:
    """The device, if it is here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise _error(f"the device `{device}` cannot be used: {reason}", "--device cpu") from None
    return device


def _is_axis(item: s.Item) -> TypeGuard[s.Bind | s.Name]:
    return isinstance(item, s.Bind | s.Name)


def _error(message: str, hint: str | None) -> SpecError:
    return mistake(Slug.WRONG_ARGUMENTS, message, hint=hint)
