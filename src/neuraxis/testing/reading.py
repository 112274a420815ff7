"""The laws of text: formatting says the same, and checking answers whatever it is given."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ..compiler.garbage import uncollected
from ..dsl.check import check_text
from ..dsl.diagnostics import Collector, render, to_json
from ..dsl.format import format_spec
from ..dsl.parser import parse
from ..dsl.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from ..dsl.check import Checked
    from ..dsl.diagnostics import Diagnostic
    from ..dsl.syntax import Spec

SECONDS = 1.0
"""The longest that a check may take, of processor time."""

MEGABYTES = 256
"""The most memory that a check may add to what the process had at its largest."""


def check_formatting(text: str) -> None:
    """The canonical form of a spec parses to the same tree, and its own canonical form is itself.

    Raises SpecError if the text has mistakes of syntax.
    """
    made = format_spec(Source("spec.nax", text))
    assert _read(made) == _read(text), f"the canonical form says something else:\n{made}"
    again = format_spec(Source("spec.nax", made))
    assert again == made, f"formatted again:\n{again}\nformatted once:\n{made}"


def _read(text: str) -> Spec:
    collector = Collector()
    spec = parse(Source("spec.nax", text), collector)
    assert spec is not None, f"{render(collector.diagnostics)}\nin\n{text}"
    return spec


def check_any_text(
    text: str,
    folder: Path | None = None,
    *,
    seconds: float = SECONDS,
    megabytes: float = MEGABYTES,
) -> Checked:
    """Any text at all gives a result or diagnostics, never another exception, in bounded time and
    memory; each diagnostic can be shown, and points into a text. `folder` is where imports are
    looked for. Gives what `check` gives."""
    with uncollected():  # what the process held before is not gone through on the way
        started, largest = time.process_time(), _peak()
        found = check_text("spec.nax", text, folder)
    took, more = time.process_time() - started, _peak() - largest
    assert took <= seconds, f"checking took {took:.2f} s of\n{text}"
    assert more <= megabytes, f"checking took {more:.0f} MB more for\n{text}"
    assert found.ok or found.diagnostics, f"nothing is said to be wrong in\n{text}"
    for diagnostic in found.diagnostics:
        _check_place(diagnostic)
    assert to_json(found.diagnostics)
    return found


def _check_place(diagnostic: Diagnostic) -> None:
    span = diagnostic.span
    assert 0 <= span.start <= span.end <= len(span.source.text), f"{diagnostic} points nowhere"
    assert "^" in str(diagnostic), f"{diagnostic} has no caret"


def _peak() -> float:
    """The most memory that the process has had, in MB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
