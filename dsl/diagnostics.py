"""What is wrong in a spec, and how it is said: one form for every stage and for every output."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from .source import GENERATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .source import Source, Span

WIDEST = 160  # a longer line is shown as a window around its caret


class Severity(StrEnum):
    """Whether a spec with this diagnostic may be used."""

    ERROR = "error"
    WARNING = "warning"


class Slug(StrEnum):
    """Every kind of diagnostic; each has an example in `tests/dsl/bad/`."""

    # reading
    SYNTAX = "syntax"
    INDENTATION = "indentation"
    UNBUILT = "unbuilt"
    BAD_IMPORT = "bad-import"
    # names
    UNKNOWN_NAME = "unknown-name"
    UNKNOWN_AXIS = "unknown-axis"
    UNKNOWN_SITE = "unknown-site"
    UNKNOWN_BLOCK = "unknown-block"
    UNKNOWN_FIELD = "unknown-field"
    UNKNOWN_OPTION = "unknown-option"
    DUPLICATE_NAME = "duplicate-name"
    REASSIGNED = "reassigned"
    RECURSIVE = "recursive"
    MISPLACED = "misplaced"
    # axes and sizes
    AXIS_MISMATCH = "axis-mismatch"
    SIZE_MISMATCH = "size-mismatch"
    MISSING_AXIS = "missing-axis"
    SHARED_NO_AXIS = "shared-no-axis"  # a warning
    NOT_AN_AXIS = "not-an-axis"
    BAD_SIZE = "bad-size"
    BAD_INDEX = "bad-index"
    TOO_LARGE = "too-large"
    # values
    WRONG_DTYPE = "wrong-dtype"
    WRONG_ARGUMENTS = "wrong-arguments"
    NOT_A_VALUE = "not-a-value"
    NOT_CONSTANT = "not-constant"
    # recurrences
    CARRY_ORDER = "carry-order"
    UNREAD_CARRY = "unread-carry"
    # interventions
    BAD_WRITE = "bad-write"
    OVERLAPPING_WRITE = "overlapping-write"  # a warning
    NO_PATH = "no-path"  # a warning
    # running
    BAD_FILE = "bad-file"
    FAILED_EXPECTATION = "failed-expectation"
    INPUT_MISMATCH = "input-mismatch"
    NOT_CAUSAL = "not-causal"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Note:
    """A line of explanation; with a span, also the other place that it is about."""

    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell the user: what is wrong, where, and what to write instead."""

    slug: Slug
    message: str
    span: Span
    severity: Severity = Severity.ERROR
    notes: tuple[Note, ...] = ()
    hint: str | None = None

    def __str__(self) -> str:
        return "\n".join(_lines(self))


class SpecError(Exception):
    """A spec that cannot be used; as text, all its diagnostics."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


class Collector:
    """Gathers diagnostics, so that one reading tells a user everything that is wrong."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Span], Diagnostic] = {}
        self._sources: dict[Source, int] = {}
        self.errors = 0  # all that were reported, also those dropped as said before

    def report(
        self,
        slug: Slug,
        message: str,
        span: Span,
        *,
        notes: Sequence[Note] = (),
        hint: str | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Add one; a second of the same kind at the same place is dropped."""
        self.add(Diagnostic(Slug(slug), message, span, severity, tuple(notes), hint))

    def add(self, diagnostic: Diagnostic) -> None:
        """Add one that is already made."""
        self.errors += diagnostic.severity is Severity.ERROR
        self._sources.setdefault(diagnostic.span.source, len(self._sources))
        self._found.setdefault((diagnostic.slug, diagnostic.span), diagnostic)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All of them in source order, files in the order of their first diagnostic."""
        return tuple(
            sorted(
                self._found.values(),
                key=lambda found: (self._sources[found.span.source], found.span.start),
            )
        )

    @property
    def has_errors(self) -> bool:
        """Whether any of them is more than a warning."""
        return self.errors > 0

    def raise_if_errors(self) -> None:
        """Raise a SpecError with everything found, if an error is among it."""
        if self.has_errors:
            self.fail()

    def fail(self) -> NoReturn:
        """Raise a SpecError with everything found."""
        raise SpecError(self.diagnostics)


# ---- as text


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Plain text: a blank line between diagnostics, none at the end, no colour."""
    return "\n\n".join(str(diagnostic) for diagnostic in diagnostics)


def _lines(found: Diagnostic) -> list[str]:
    head = f"{found.severity}[{found.slug}]: {found.message}"
    gutter, lines = "", [head]
    if found.span.source is not GENERATED.source:
        number, column = found.span.source.position(found.span.start)
        gutter = " " * len(str(number))
        shown, before, width = _snippet(found.span, number, column)
        lines += [
            f"{gutter}--> {found.span}",
            f"{gutter} |",
            f"{number} | {shown}".rstrip(),
            f"{gutter} | {' ' * before}{'^' * width}",
        ]
    for note in found.notes:
        lines.append(f"{gutter} = note: {note.text}{_at(note.span, found.span)}")
    if found.hint is not None:
        lines.append(f"{gutter} = hint: {found.hint}")
    return ["".join(map(_visible, line)) for line in lines]


def _at(span: Span | None, main: Span) -> str:
    if span is None or span.source is GENERATED.source:
        return ""
    place = f"{span.line}:{span.column}" if span.source is main.source else str(span)
    return f" at {place}"


def _snippet(span: Span, number: int, column: int) -> tuple[str, int, int]:
    """The line as shown, the blanks before the caret, and the length of the caret run."""
    line = span.source.line(number)
    before = column - 1
    width = max(1, min(span.end - span.start, len(line) - before))
    if len(line) <= WIDEST:
        return line, before, width
    first = max(0, before - WIDEST // 2)
    last = min(len(line), first + WIDEST)
    width = max(1, min(width, last - before))
    left = "..." if first else ""
    right = "..." if last < len(line) else ""
    return f"{left}{line[first:last]}{right}", len(left) + before - first, width


def _visible(char: str) -> str:
    """One column for each character, and nothing but line ends that a terminal would act on."""
    if char == "\t":
        return " "
    return char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}"


# ---- as data


def to_json(diagnostics: Iterable[Diagnostic]) -> str:
    """The same diagnostics for programs: a list of objects, lines and columns from 1."""
    return json.dumps([_record(found) for found in diagnostics], indent=2, ensure_ascii=False)


def _record(found: Diagnostic) -> dict[str, object]:
    return {
        "slug": str(found.slug),
        "severity": str(found.severity),
        "message": found.message,
        **_place(found.span),
        "notes": [
            {"text": note.text, **(_place(note.span) if note.span else {})} for note in found.notes
        ],
        "hint": found.hint,
    }


def _place(span: Span) -> dict[str, object]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


# ---- near misses


def nearest(word: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """The candidates that `word` may have been meant to be, the nearest first."""
    return difflib.get_close_matches(word, sorted(set(candidates)), n=most, cutoff=0.6)


def or_nearest(word: str, candidates: Iterable[str]) -> str | None:
    """A hint that offers the nearest candidates; None if none is near."""
    return alternatives(nearest(word, candidates))


def or_any(word: str, candidates: Iterable[str], most: int = 12) -> str | None:
    """A hint that offers the nearest candidates, or if none is near all of them, if they are
    few."""
    known = list(dict.fromkeys(candidates))
    near = or_nearest(word, known)
    if near is not None or not 0 < len(known) <= most:
        return near
    return ("one of " if len(known) > 1 else "there is ") + ", ".join(f"`{name}`" for name in known)


def alternatives(near: Iterable[str]) -> str | None:
    """A hint that offers these; None if there are none."""
    *first, last = [None, *(f"`{candidate}`" for candidate in near)]
    if last is None:
        return None
    return f"did you mean {' or '.join(filter(None, [', '.join(filter(None, first)), last]))}?"
