"""Files and the names in them: what a spec defines, imports and may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from .. import specs
from . import syntax as s
from .diagnostics import Collector, Note, Slug, or_any, or_nearest
from .parser import parse
from .source import Source

if TYPE_CHECKING:
    from pathlib import Path

Definition = s.Block | s.Intervention | s.Data | s.Weights | s.Experiment | s.Train | s.Calibrate
_DEFINES = (s.Block, s.Intervention, s.Data, s.Weights, s.Experiment, s.Train, s.Calibrate)


@dataclass(eq=False)
class Module:
    """One file: its tree, what it defines, what it imports. `folder` is where `use` looks, `root`
    the folder below which files are read; where none is said, the same."""

    name: str
    tree: s.Spec
    folder: Path | None = None
    root: Path | None = None
    own: dict[str, Definition] = field(default_factory=dict)
    imported: dict[str, tuple[Module, str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # imports that were already reported
    axis_words: dict[str, frozenset[str]] = field(default_factory=dict)  # by block, see `structure`
    owners: dict[str, bool] = field(default_factory=dict)  # which blocks make parameters
    library: Library | None = None  # the standard library, if it is not the one that all share

    def find(self, name: str) -> tuple[Definition, Module] | None:
        """What a name stands for in this file, with the module that defines it; `std` last."""
        if name in self.own:
            return self.own[name], self
        if name in self.imported:
            module, original = self.imported[name]
            return module.find(original)
        return (self.library or SHARED).find(name)

    def with_own_library(self) -> None:
        """From now on the standard library of this file, and of those that it imports, is theirs
        alone: what is changed in it is changed nowhere else."""
        library, waiting = Library(), [self]
        while waiting:
            module = waiting.pop()
            if module.library is not library:
                module.library = library
                waiting += [other for other, _ in module.imported.values()]

    def names(self) -> list[str]:
        """The names of this file, without those of `std`."""
        return [*self.own, *self.imported]

    def visible(self) -> list[str]:
        """All names that `find` knows."""
        return [*self.own, *self.imported, *std_index()]


def define(module: Module, collector: Collector) -> None:
    """Fill in what the file defines; a name is defined once."""
    for statement in module.tree.statements:
        if isinstance(statement, _DEFINES):
            earlier = module.own.get(statement.name)
            if earlier is not None:
                collector.report(
                    Slug.DUPLICATE_NAME,
                    f"`{statement.name}` is defined twice in this file",
                    statement.span,
                    notes=[Note("the first stands", earlier.span)],
                )
            else:
                module.own[statement.name] = statement
        if (
            isinstance(statement, s.Unbuilt)
            and statement.parts
            and isinstance(statement.parts[0], s.Name)
        ):
            module.broken.add(statement.parts[0].id)  # `verify sound of ...`


@dataclass
class Loader:
    """Reads files once each; `root` is the folder below which a spec may name files."""

    collector: Collector
    modules: dict[str, Module] = field(default_factory=dict)
    loading: list[str] = field(default_factory=list)

    def from_text(self, name: str, text: str, folder: Path | None) -> Module | None:
        """A module from its text, with all that it imports."""
        tree = parse(Source(name, text), self.collector)
        if tree is None:
            return None
        module = Module(name, tree, folder)
        define(module, self.collector)
        for statement in tree.statements:
            if isinstance(statement, s.Use):
                self._use(module, statement)
        return module

    def _use(self, module: Module, use: s.Use) -> None:
        other = self._load(use, module.folder)
        for used in use.names:
            if used.alias in module.own or used.alias in module.imported:
                self.collector.report(
                    Slug.DUPLICATE_NAME,
                    f"`{used.alias}` is already a name in this file",
                    used.span,
                    hint=f"`{used.name} as another_name`",
                )
            elif other is None:
                module.broken.add(used.alias)
            elif used.name in other.own or used.name in other.imported:
                module.imported[used.alias] = (other, used.name)
            else:
                self.collector.report(
                    Slug.BAD_IMPORT,
                    f"`{'.'.join(use.path)}` has no `{used.name}`",
                    used.span,
                    hint=or_any(used.name, other.own),
                )
                module.broken.add(used.alias)

    def _load(self, use: s.Use, folder: Path | None) -> Module | None:
        key = "/".join(use.path)
        path = folder / f"{key}.nax" if folder is not None else None
        shipped = key in specs.names()
        where = str(path) if path is not None and path.is_file() else key
        if where in self.modules:
            return self.modules[where]
        if where in self.loading:
            self.collector.report(
                Slug.BAD_IMPORT, f"`{'.'.join(use.path)}` imports itself, through {where}", use.span
            )
            return None
        if path is not None and path.is_file():
            try:
                text, next_folder = path.read_text(encoding="utf-8"), folder
            except (OSError, UnicodeDecodeError) as error:
                self.collector.report(Slug.BAD_FILE, f"cannot read {key}.nax: {error}", use.span)
                return None
            shown = f"{key}.nax"
        elif shipped:
            text, next_folder, shown = specs.read(key), None, f"specs/{key}.nax"
        else:
            self.collector.report(
                Slug.BAD_IMPORT,
                f"no file `{key}.nax` beside this one, and no shipped spec of that name",
                use.span.word(".".join(use.path)),
                hint=or_nearest(".".join(use.path), [n.replace("/", ".") for n in specs.names()]),
            )
            return None
        self.loading.append(where)
        module = self.from_text(shown, text, next_folder)
        self.loading.pop()
        if module is not None:
            self.modules[where] = module
        return module


@cache
def std_index() -> dict[str, str]:
    """Which std file defines which name, found without parsing."""
    index: dict[str, str] = {}
    for name in specs.names():
        if name.startswith("std/"):
            for line in specs.read(name).splitlines():
                if line.startswith("block "):
                    index[line[6:].split("[")[0].split("(")[0].strip()] = name
    return index


class Library:
    """The standard library; only those files of it that a spec uses are parsed."""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}

    def find(self, name: str) -> tuple[Definition, Module] | None:
        """What a name stands for in it."""
        home = std_index().get(name)
        if home is None:
            return None
        module = self.module(home)
        return (module.own[name], module) if name in module.own else None

    def module(self, name: str) -> Module:
        """A file of it."""
        if name not in self.modules:
            collector = Collector()
            tree = parse(Source(f"specs/{name}.nax", specs.read(name)), collector)
            collector.raise_if_errors()
            assert tree is not None
            module = self.modules[name] = Module(name, tree, library=self)
            define(module, collector)
        return self.modules[name]


SHARED = Library()
