"""The specs that come with neuraxis: the standard library, models, interventions, a tour."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["names", "read"]

SUFFIX = ".nax"


def names() -> tuple[str, ...]:
    """All of them, sorted: `models/gpt2`, `std/norm`, `tour`."""
    return tuple(sorted(_walk(files(__name__), "")))


def read(name: str) -> str:
    """The text of a spec by its name, such as `std/norm`; a KeyError if there is none."""
    parts = name.split("/")
    if not all(part.isidentifier() for part in parts):  # so no name leads out of this folder
        raise KeyError(name)
    *folders, last = parts
    file = files(__name__).joinpath(*folders, last + SUFFIX)
    if not file.is_file():
        raise KeyError(name)
    return file.read_text(encoding="utf-8")


def _walk(folder: Traversable, prefix: str) -> list[str]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            found.append(prefix + entry.name.removesuffix(SUFFIX))
    return found
