"""Reading spec files from disk."""

from __future__ import annotations

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
