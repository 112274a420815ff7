"""Files that a spec names: only those below the folder that the user allows."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from ...dsl.diagnostics import Slug

if TYPE_CHECKING:
    from pathlib import Path


class DataError(Exception):
    """Data that cannot be had or is not what the spec says. The caller knows where it says so."""

    def __init__(self, message: str, *, slug: Slug = Slug.BAD_FILE, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.slug = slug
        self.hint = hint


def find_file(root: Path, name: str) -> Path:
    """The one file of this name below `root`."""
    found = find_files(root, name)
    if len(found) > 1:
        raise DataError(f'"{name}" is {len(found)} files, and one is needed')
    return found[0]


def find_files(root: Path, pattern: str) -> list[Path]:
    """The files below `root` that a pattern such as `corpus/*.txt` matches, sorted."""
    root = root.resolve()
    relative = PurePath(pattern)
    if relative.is_absolute() or ".." in relative.parts:
        raise _leads_out(root, pattern)
    try:
        exact = root / relative
        found = [exact] if exact.exists() else sorted(root.glob(pattern))
        inside = [path for path in found if path.resolve().is_relative_to(root)]
        files = [path for path in inside if path.is_file()]
    except (ValueError, OSError, RuntimeError):  # no pattern; too long; a loop of links
        raise DataError(f'"{pattern}" is no path that can be read') from None
    if len(inside) < len(found):
        raise _leads_out(root, pattern)
    if not files:
        raise DataError(f'no file below "{root.name}" is called "{pattern}"')
    return files


def read_bytes(path: Path) -> bytes:
    """All of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f'"{path.name}" cannot be read: {error.strerror}') from None


def _leads_out(root: Path, pattern: str) -> DataError:
    hint = "only files below the folder of the spec are read, by their path from there"
    return DataError(f'"{pattern}" leads out of the folder "{root.name}"', hint=hint)
