"""Files on disk: specs, and what a spec names, below the folder that the user allows."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from .diagnostics import Diagnostic, Slug, SpecError
from .source import Source, Span

if TYPE_CHECKING:
    from pathlib import Path


def read_spec(path: Path) -> str:
    """The text of a spec. Raises SpecError (`bad-file`) if there is none to read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        span = Span(Source(str(path), ""), 0, 0)
        raise SpecError(
            [Diagnostic(Slug.BAD_FILE, f"cannot read {path}: {reason}", span)]
        ) from None


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
    files = [path for path in _inside(root, pattern) if path.is_file()]
    if not files:
        raise DataError(f'no file below "{root.resolve().name}" is called "{pattern}"')
    return files


def find_folder(root: Path, name: str) -> Path | None:
    """The folder of this name below `root`, which is itself called "."; None if it is none."""
    found = _inside(root, name) if name != "." else [root.resolve()]
    return found[0] if len(found) == 1 and found[0].is_dir() else None


def _inside(root: Path, pattern: str) -> list[Path]:
    """What a pattern matches below `root`, sorted; DataError if any of it leads out."""
    root = root.resolve()
    relative = PurePath(pattern)
    if relative.is_absolute() or ".." in relative.parts:
        raise _leads_out(root, pattern)
    try:
        exact = root / relative
        found = [exact] if exact.exists() else sorted(root.glob(pattern))
        inside = [path for path in found if path.resolve().is_relative_to(root)]
    except (ValueError, OSError, RuntimeError):  # no pattern; too long; a loop of links
        raise DataError(f'"{pattern}" is no path that can be read') from None
    if len(inside) < len(found):
        raise _leads_out(root, pattern)
    return inside


def _leads_out(root: Path, pattern: str) -> DataError:
    hint = "only files below the folder of the spec are read, by their path from there"
    return DataError(f'"{pattern}" leads out of the folder "{root.name}"', hint=hint)
