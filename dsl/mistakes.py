"""Mistakes that people make, known by their text, with a sentence and a line to paste for each.

A row fits where all that it states holds of the place at which the parser stopped. The first row
that fits speaks; when none does, `expected` says what the parser would have taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .diagnostics import Diagnostic, Note, Slug
from .expected import expected
from .mistake_rows import ROWS

if TYPE_CHECKING:
    from lark.lexer import Token

    from .foreign_words import Row
    from .lexer import Reading
    from .source import Span

LONGEST = 110  # a longer line is no help as a hint
LONGEST_KNOWN = 2000  # nor does anybody look for a known mistake in a longer statement


@dataclass(frozen=True)
class Situation:
    """Where the parser stopped: at which token, and which ones it would have taken."""

    reading: Reading
    token: Token
    accepts: frozenset[str]

    @cached_property
    def start(self) -> int:
        """Where the statement starts."""
        line = self.reading.line
        return (line[0].start_pos if line else self.token.start_pos) or 0

    @cached_property
    def at(self) -> int:
        """Where the token starts."""
        return self.token.start_pos or 0

    @cached_property
    def before(self) -> str:
        """The statement up to the token."""
        return self.reading.source.text[self.start : self.at].rstrip()

    @cached_property
    def after(self) -> str:
        """The token and the rest of its line."""
        text = self.reading.source.text
        end = text.find("\n", self.at)
        rest = text[self.at : len(text) if end < 0 else end]
        return re.sub(r"\s*#[^\"]*$", "", rest).rstrip()

    @cached_property
    def line(self) -> str:
        """The statement, up to the end of the line that the token stands on."""
        text = self.reading.source.text
        return (text[self.start : self.at] + self.after).rstrip()

    @property
    def found(self) -> str:
        """The token, as it is called in a sentence."""
        if self.token.type == "_NL":
            return "the end of the line"
        if self.token.type == "_DEDENT":
            return "the end of these lines"
        if self.token.type == "$END":
            return "the end of the file"
        return _quoted(self.token) or "this"

    @property
    def last(self) -> Token | None:
        """The token in front of it, in the same statement."""
        line = self.reading.line
        before = line[:-1] if line and line[-1] is self.token else line
        return before[-1] if before else None

    @property
    def starts_statement(self) -> bool:
        """Whether the token stands where another statement would start."""
        source = self.reading.source
        (first, column), (line, place) = source.position(self.start), source.position(self.at)
        blank = not source.line(line)[: place - 1].strip()
        return blank and line > first and place <= column

    @property
    def bracket(self) -> Token | None:
        """The innermost bracket that was open when the token was read."""
        opened = self.reading.opened
        if opened and opened[-1].start_pos == self.at:
            return opened[-2] if len(opened) > 1 else None
        return opened[-1] if opened else None

    def span(self, start: int, end: int) -> Span:
        """A stretch of this text."""
        return self.reading.span(start, end)


def explain(situation: Situation, spelling: dict[str, str]) -> Diagnostic:
    """The diagnostic for a place at which the parser stopped."""
    return _of_layout(situation) or _of_rows(situation) or _of_grammar(situation, spelling)


def _of_layout(here: Situation) -> Diagnostic | None:
    """Mistakes that are in the indentation or in brackets left open, not in the line itself."""
    token, end = here.token, here.token.end_pos or 0
    if token.type == "_INDENT":
        message = "this line is indented, but the line above it does not end with `:`"
        return Diagnostic(Slug.INDENTATION, message, here.span(here.at, end))
    header = here.reading.header
    if header is not None:
        place = here.reading.place(header)
        if here.accepts == {"_INDENT"}:
            message = f"nothing is indented under this `{header.value}`"
            return Diagnostic(Slug.INDENTATION, message, place)
        if token.type == "_DEDENT" and "RUN" in here.accepts:
            message = "the last line of a sweep is the value that it gives, and this is none"
            return Diagnostic(Slug.SYNTAX, message, place)
    bracket = here.bracket
    if bracket is None or not here.starts_statement:
        return None
    place = here.reading.place(bracket)
    note = Note(f"{here.found} is read as a part of it", here.span(here.at, end))
    return Diagnostic(Slug.SYNTAX, f"`{bracket}` is not closed", place, notes=(note,))


def _of_rows(here: Situation) -> Diagnostic | None:
    if len(here.line) > LONGEST_KNOWN:
        return None
    for row in ROWS:
        found = _fit(row, here)
        if found is not None:
            return found
    return None


def _fit(row: Row, here: Situation) -> Diagnostic | None:
    if row.accepts is not None and row.accepts not in here.accepts:
        return None
    if row.bracket is not None and (here.bracket or "") != row.bracket:
        return None
    words: dict[str, str] = {"found": here.found}
    place = here.span(here.at, max(here.token.end_pos or 0, here.at + 1))
    for pattern, text, offset in (
        (row.line, here.line, here.start),
        (row.before, here.before, here.start),
        (row.after, here.after, here.at),
    ):
        if pattern is None:
            continue
        match = re.search(pattern, text)
        if match is None:
            return None
        words |= {name: value or "" for name, value in match.groupdict().items()}
        if "at" in match.re.groupindex:
            place = here.span(offset + match.start("at"), offset + match.end("at"))
    hint = row.hint and row.hint.format_map(words)
    if row.fix is not None:
        hint = re.sub(*row.fix, here.line, count=1)
    if hint is not None and ("\n" in hint or len(hint) > LONGEST):
        hint = None
    return Diagnostic(Slug.SYNTAX, row.message.format_map(words), place, hint=hint and f"`{hint}`")


def _of_grammar(here: Situation, spelling: dict[str, str]) -> Diagnostic:
    last = here.last and _quoted(here.last)
    after = f" after {last}" if last else ""
    message = f"expected {expected(here.accepts, spelling)}{after}, found {here.found}"
    span = here.span(here.at, max(here.token.end_pos or 0, here.at + 1))
    return Diagnostic(Slug.SYNTAX, message, span)


def _quoted(token: Token) -> str | None:
    """As a sentence can hold it."""
    return f"`{token.value}`" if len(token) < 40 and "\n" not in token else None
