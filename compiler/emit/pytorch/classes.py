"""Lays a program out as a file: which classes there are, what each holds and does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from .formatting import body
from .names import Names, camel
from .parameters import ClassText, Holders, Module, entries
from .table import rule
from .writer import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..functions import Path
    from .program import Method, Program


@dataclass(frozen=True)
class ModuleText:
    """All that the template lays out."""

    title: str
    classes: tuple[ClassText, ...]
    functions: tuple[Method, ...]
    helpers: frozenset[str]
    entry: str


def laid_out(program: Program, passes: Sequence[str]) -> ModuleText:
    """The program as the template wants it."""
    return _Sheet(program).text(passes)


class _Sheet:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.taken = Names({"Part", "SideBySide", "Joined", "Cache"}, between="")

    def text(self, passes: Sequence[str]) -> ModuleText:
        program = self.program
        root = program.root_method()
        entry = self.taken.take(camel(program.model.name))
        groups = self._groups()
        classes: dict[Path, str] = {}
        for paths in groups:
            word = next(key for key in reversed(paths[0]) if not key.isdigit())
            classes |= dict.fromkeys(paths, self.taken.take(camel(word)))
        holders = Holders(classes, rule, self.taken.take, program.memory)
        made = []
        for paths in groups:
            methods = [program.methods[id(f)] for f in program.homes[paths[0]]]
            name = classes[paths[0]]
            made.append(self._class(self._at(paths[0]), name, holders, _kind(paths), methods))
        about = f"The model `{program.model.name}`."
        whole = self._class(program.module, entry, holders, about, [root])
        bound = {id(f) for own in program.homes.values() for f in own}
        loose = [
            program.methods[id(f)]
            for f in program.functions()
            if f is not program.root and id(f) not in bound
        ]
        return ModuleText(
            self._title(passes),
            (*holders.found.values(), *reversed(made), whole),
            tuple(loose),
            frozenset([*program.helpers, *holders.helpers]),
            entry,
        )

    def _groups(self) -> list[list[Path]]:
        """Modules that hold the same and do the same."""
        groups: dict[object, list[Path]] = {}
        for path, found in self.program.homes.items():
            key = self._at(path).key(), tuple(id(f) for f in found)
            groups.setdefault(key, []).append(path)
        return list(groups.values())

    def _title(self, passes: Sequence[str]) -> str:
        model = self.program.model
        file = PurePath(model.span.source.name).name
        after = f" after {', '.join(passes)}" if passes else ""
        return f"{model.name} ({file}), written by neuraxis{after}."

    def _at(self, path: Path) -> Module:
        module = self.program.module
        for key in path:
            module = module.parts[key]
        return module

    @staticmethod
    def _class(
        module: Module, name: str, holders: Holders, about: str, methods: Sequence[Method]
    ) -> ClassText:
        lines = Lines()
        content = holders.content(module, lines)
        lines.add(f"super().__init__({', '.join(content)})")
        laid = Lines()
        for attribute, beside in dict.fromkeys(row for m in methods for row in m.laid):
            laid.add(f"self.{attribute} = {beside.made}")
        made, laid_out = (tuple(body(part.lines, {})) for part in (lines, laid))
        return ClassText(name, about, *entries(module), made, laid_out, tuple(methods))


def _kind(paths: Sequence[Path]) -> str:
    """Which turns a class is for."""
    first, last = paths[0], paths[-1]
    if not first[-1].isdigit():
        return f"`{'.'.join(first)}`."
    where = ".".join(first[:-1])
    if any(path[:-1] != first[:-1] for path in paths):
        return f"`{where}[{first[-1]}]` and others like it."
    numbers = [int(path[-1]) for path in paths]
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"`{where}[{first[-1]}]` to `{where}[{last[-1]}]`."
    return f"`{where}[{', '.join(map(str, numbers))}]`."
