"""What is kept with results beside the numbers: what was run, from which spec, with what, and how.

It stands in the attributes of their netCDF file: texts and numbers as they are, the rest as JSON.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from ..dsl import syntax as s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray

    from ..dsl.modules import Module
    from .program import Program
    from .training.expectations import Expectation

PACKAGES: Final = ("neuraxis", "torch", "numpy", "xarray")
PLAIN: Final = ("str", "int", "float")


@dataclass(frozen=True, slots=True)
class Expected:
    """An `expect` with its numbers; `line` is where it stands in the spec, and `file` in which."""

    label: str
    op: str
    left: float
    right: float | None
    holds: bool
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure: its kind, the value that it shows, and its file beside the results, without
    `.svg` and `.png`."""

    kind: str
    value: str
    title: str
    file: str


@dataclass(frozen=True, slots=True)
class Record:
    """One experiment or training that was run."""

    kind: str
    name: str
    about: str
    spec_name: str
    spec: str
    uses: Mapping[str, str]
    settings: tuple[str, ...]
    seed: int
    device: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    started: str
    seconds: float
    expectations: tuple[Expected, ...] = ()
    shown: tuple[str, ...] = ()
    plots: tuple[Drawn, ...] = ()
    how: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def on(self, dataset: xarray.Dataset) -> xarray.Dataset:
        """The data set with this in its attributes."""
        kept = {own.name: getattr(self, own.name) for own in fields(self)}
        texts = {
            name: value if isinstance(value, str | int | float) else _json(value)
            for name, value in kept.items()
        }
        return dataset.assign_attrs(texts)

    @classmethod
    def of(cls, dataset: xarray.Dataset) -> Record | None:
        """What stands in the attributes of a data set; None if they hold no record."""
        given: dict[str, Any] = {}
        for own in fields(cls):
            if own.name not in dataset.attrs:
                return None
            value = dataset.attrs[own.name]
            given[own.name] = value if own.type in PLAIN else json.loads(value)
        given["seed"], given["seconds"] = int(given["seed"]), float(given["seconds"])
        given["expectations"] = tuple(Expected(**found) for found in given["expectations"])
        given["plots"] = tuple(Drawn(**found) for found in given["plots"])
        given["settings"], given["shown"] = tuple(given["settings"]), tuple(given["shown"])
        given["how"] = {name: tuple(lines) for name, lines in given["how"].items()}
        return cls(**given)


def recorded(
    program: Program,
    kind: str,
    name: str,
    *,
    started: str,
    seconds: float,
    expectations: Iterable[Expectation] = (),
    shown: Iterable[str] = (),
    plots: Iterable[Drawn] = (),
    how: Mapping[str, tuple[str, ...]] | None = None,
) -> Record:
    """The record of what a program ran."""
    module = program.module
    return Record(
        kind,
        name,
        _about(module, name),
        _file(module),
        module.tree.span.source.text,
        {_file(other): other.tree.span.source.text for other in _used(module)},
        tuple(program.settings),
        program.seed,
        program.device,
        versions(),
        machine(program.device),
        started,
        round(seconds, 3),
        tuple(map(_expected, expectations)),
        tuple(shown),
        tuple(plots),
        how or {},
    )


def versions() -> dict[str, str]:
    """Of Python and of what computes, as they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout
            module = sys.modules.get(package)
            found[package] = str(getattr(module, "__version__", "unknown"))
    return found


def machine(device: str) -> dict[str, str]:
    """What it ran on, without names of hosts or people."""
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(cpu_count() or "unknown"),
        "threads": str(torch.get_num_threads()),
    }
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    """What the processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _about(module: Module, name: str) -> str:
    """The documentation of an experiment or training."""
    tree = module.own.get(name)
    body = tree.body if isinstance(tree, s.Experiment | s.Train) else ()
    return "\n".join(step.text.strip() for step in body if isinstance(step, s.Doc))


def _used(module: Module) -> list[Module]:
    """The files beside the spec that it uses, directly or not."""
    found: dict[int, Module] = {}
    waiting = [module]
    while waiting:
        for other, _ in waiting.pop().imported.values():
            if other.folder is not None and id(other) not in found and other is not module:
                found[id(other)] = other
                waiting.append(other)
    return list(found.values())


def _file(module: Module) -> str:
    """The name of a file without its folder, which is of the machine."""
    return module.name.replace("\\", "/").rsplit("/", 1)[-1]


def _expected(found: Expectation) -> Expected:
    file = found.span.source.name.replace("\\", "/").rsplit("/", 1)[-1]
    return Expected(
        found.label, found.op, found.left, found.right, found.holds, file, found.span.line
    )


def _json(value: object) -> str:
    """As JSON; numbers that are not finite as Python reads them."""
    return json.dumps(value, default=asdict, ensure_ascii=False)
