"""The arrays of safetensors files by name: found first, and read one at a time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from ..dsl.diagnostics import or_nearest
from ..dsl.files import DataError, find_files, find_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import torch

    Pick = slice | int

HINT = "weights are read from .safetensors files, which hold numbers and nothing that runs"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"  # as they are published


@dataclass(frozen=True, slots=True)
class Stored:
    """An array in a file. `kind` is what its numbers are, as safetensors says it: `BF16`."""

    path: Path
    name: str
    shape: tuple[int, ...]
    kind: str

    def read(self, picks: tuple[Pick, ...]) -> torch.Tensor:
        """A part of it. The file is open for no longer, so that no memory is held for it."""
        with safe_open(self.path, framework="pt") as opened:
            found: torch.Tensor = opened.get_slice(self.name)[picks or ...]
            return found


def stored_arrays(root: Path, place: str) -> dict[str, Stored]:
    """All arrays of a checkpoint by name: a folder as it is published, in one file or in several
    with an index; or the files that a pattern names. Raises DataError."""
    found: dict[str, Stored] = {}
    folder = find_folder(root, place)
    for path in _published(root, folder, place) if folder else find_files(root, place):
        try:
            with safe_open(path, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # no dict
                    part = opened.get_slice(name)
                    found[name] = Stored(path, name, tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as error:
            raise DataError(f'"{path.name}" cannot be read: {error}', hint=HINT) from None
    return found


def _published(root: Path, folder: Path, place: str) -> list[Path]:
    """The files of a folder."""
    within = folder.relative_to(root.resolve())
    index = folder / INDEX
    if not index.is_file():
        if not (folder / WHOLE).is_file():
            message = f'the folder "{place}" has no "{WHOLE}", and no "{INDEX}"'
            raise DataError(message, hint=HINT)
        return find_files(root, (within / WHOLE).as_posix())
    (path,) = find_files(root, (within / INDEX).as_posix())
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
        return [find_files(root, (within / name).as_posix())[0] for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f'"{INDEX}" does not say in which file each array is') from None


def named(names: Iterable[str], arrays: Mapping[str, Stored], text: str) -> Stored:
    """The first array that there is; `*` in a name is any text, if but one array is called so.
    `text` are the names of all, each on a line. Raises DataError."""
    names = tuple(names)
    for name in names:
        found = matching(name, text) if "*" in name else [name] if name in arrays else []
        if len(found) > 1:
            raise DataError(
                f"`{name}` is {len(found)} arrays: {', '.join(f'`{n}`' for n in found[:3])}"
                + (", ..." if len(found) > 3 else "")
            )
        if found:
            return arrays[found[0]]
    shown = " and no ".join(f"`{name}`" for name in names)
    raise DataError(f"holds no {shown}", hint=or_nearest(names[0].strip("*"), arrays))


def matching(name: str, text: str) -> list[str]:
    """The names, each on a line of the text, that a name with `*` in it stands for."""
    pattern = re.escape(name).replace(r"\*", r"[^\n]*")
    return re.findall(rf"^{pattern}$", text, re.MULTILINE)
