"""A spec, loaded: what `neuraxis.load` gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dsl import syntax as s
from ..dsl.check import Checked, check_module
from ..dsl.diagnostics import Collector, Diagnostic, Slug, SpecError, or_nearest
from ..dsl.elaborate.models import ModelRequest, elaborate_model
from ..dsl.elaborate.values import Known, Template, Val
from ..dsl.files import read_spec
from ..dsl.modules import Loader, Module
from ..dsl.settings import apply_settings
from ..dsl.source import GENERATED
from .model import SpecModel, spec_model
from .sources import Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..dsl.program import CheckedModel
    from .experiment import Outcome


class Program:
    """A checked spec. `root` is the folder below which its data and weights may stand."""

    def __init__(
        self, module: Module, checked: Checked, root: Path, *, seed: int = 0, device: str = "cpu"
    ) -> None:
        self.module, self.checked, self.root = module, checked, root
        self.seed, self.device = seed, device
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
        apply_settings(module, settings, collector)
        checked = check_module(module, collector)
        collector.raise_if_errors()
        return cls(
            module,
            checked,
            Path(root) if root is not None else folder or Path.cwd(),
            seed=seed,
            device=device,
        )

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The warnings."""
        return self.checked.diagnostics

    # ---- models

    def elaborated(
        self,
        name: str | None = None,
        given: dict[str, Any] | None = None,
        *,
        training: bool = False,
    ) -> CheckedModel:
        """The program of a model, with sizes and values by name. Raises SpecError."""
        return self._elaborated(self._request(name, dict(given or {}), training=training))

    def _elaborated(self, request: ModelRequest) -> CheckedModel:
        collector = Collector()
        found = elaborate_model(request, collector)
        if found is None:
            raise SpecError(collector.diagnostics)
        return found

    def _request(
        self, name: str | None, given: dict[str, Any], *, training: bool = False
    ) -> ModelRequest:
        block, module = self._model(name)
        axes = {
            i.axis if isinstance(i, s.Bind) else i.id
            for i in block.axes
            if isinstance(i, s.Bind | s.Name)
        }
        params = {param.name: param for param in block.params}
        typed = {axis.name for param in block.params for axis in param.axes or ()}
        sized: dict[str, int] = {}
        values: dict[str, Val] = {}
        for key, value in given.items():
            if key in axes | typed and isinstance(value, int):
                sized[key] = value
            elif key in params and params[key].kind == "block" and isinstance(value, str):
                found = self.module.find(value)
                if found is None or not isinstance(found[0], s.Block):
                    raise _error(
                        f"no block is called `{value}`", or_nearest(value, self.module.visible())
                    )
                values[key] = Template(found[0], found[1])
            elif key in params:
                values[key] = Known(value)
            else:
                raise _error(
                    f"`{block.name}` has no size or value `{key}`",
                    or_nearest(key, [*axes, *params]),
                )
        return ModelRequest(block, module, sized, values, training=training)

    def _model(self, name: str | None) -> tuple[s.Block, Module]:
        models = [
            n
            for n in self.module.names()
            if (f := self.module.find(n)) and isinstance(f[0], s.Block) and f[0].kind == "model"
        ]
        if name is None:
            own = [n for n in models if n in self.module.own] or models
            if len(own) != 1:
                raise _error(f"which model? this file has {', '.join(models) or 'none'}", None)
            name = own[0]
        found = self.module.find(name)
        if found is None or not isinstance(found[0], s.Block) or found[0].kind != "model":
            raise _error(f"no model is called `{name}`", or_nearest(name, models))
        return found[0], found[1]

    def model(self, name: str | None = None, *, seed: int | None = None, **given: Any) -> SpecModel:
        """A model as a torch module, with sizes (axes) and values by name: `model("gpt", d=128, L=2)`."""
        request = self._request(name, given)
        checked = self._elaborated(request)
        return spec_model(checked, self.module, {}, seed=self.seed if seed is None else seed).to(
            self.device
        )

    # ---- running

    def run(self, name: str, *, folder: str | Path = "results", resume: bool = False) -> Outcome:
        """Run an experiment, and the trainings that it needs."""
        from .session import Session

        return Session(self, Path(folder), resume=resume).experiment(name)


def _error(message: str, hint: str | None) -> SpecError:
    return SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, GENERATED, hint=hint)])
