"""A folder for the parts of a result, beside a fingerprint of what they are parts of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..dsl.diagnostics import Diagnostic, Note, Slug, SpecError
from .atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dsl.source import Span

ABOUT: Final = "sweep.json"
NAMES: Final = {
    "spec": "another spec",
    "data": "other data",
    "seed": "another seed",
    "weights": "other weights",
}


@dataclass(frozen=True)
class Folder:
    """Parts of a sweep, which is called `what` in messages. `about` are short texts, each equal
    only for a sweep that means the same, on equal data and weights, with an equal seed."""

    path: Path
    what: str
    about: Mapping[str, str]
    span: Span

    def open(self, *, resume: bool) -> None:
        """Get ready to keep parts; those of before go, unless the sweep is to go on from them.

        Raises SpecError if those are of another sweep.
        """
        about = self.path / ABOUT
        if resume and about.exists():
            found = json.loads(about.read_text(encoding="utf-8"))
            if differ := [part for part in self.about if found.get(part) != self.about[part]]:
                raise self._other(differ)
            return
        for old in self.path.glob("*.nc"):
            old.unlink()
        write_text(about, json.dumps(dict(self.about), indent=1))

    def _other(self, differ: list[str]) -> SpecError:
        what = " and ".join(NAMES[part] for part in differ)
        message = f"what was kept of {self.what} was computed with {what}"
        notes = (Note("only the very same sweep can be taken up where it was left"),)
        hint = "without `--resume` the sweep starts anew"
        return SpecError([Diagnostic(Slug.BAD_FILE, message, self.span, notes=notes, hint=hint)])
