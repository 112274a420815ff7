"""Text to tokens, with the indentation made explicit.

One regular expression, made from the grammar's terminals, reads every token. A word is a keyword
only where the parser can take it as one, so `data` and `sweep` stay good names elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lark.lexer import Lexer, PatternStr, Token

from .characters import unreadable
from .diagnostics import Diagnostic, Note, Slug
from .source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark.common import LexerConf

    from .source import Source

MOST_BRACKETS = 64  # open at once
MOST_SUITES = 32  # inside one another
MOST_STATES = 1000  # on the parser's stack, which signs and powers in a row make longer
CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Malformed(Exception):
    """A text that cannot be read, with what to say about it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


class Reading:
    """One text being read, and where the lexer stands in it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.line: list[Token] = []  # the tokens of this statement so far
        self.earlier: list[Token] = []  # those of the statements before it
        self.header: Token | None = None  # the first token of the statement before it
        self.longest = 0  # most tokens in one statement
        self.opened: list[Token] = []  # brackets not closed yet
        self.columns = [0]  # indentation of the open suites
        self.stack: list[int] = []  # the parser's, in front of the token that it was last given

    def span(self, start: int, end: int) -> Span:
        """A stretch of this text."""
        return Span(self.source, start, min(end, len(self.source.text)))  # a last line may not end

    def place(self, token: Token) -> Span:
        """Where a token stands."""
        return Span(self.source, token.start_pos or 0, token.end_pos or 0)

    def refusal(self, slug: Slug, message: str, start: int, end: int) -> Malformed:
        """What to raise where this text cannot be read on."""
        return Malformed(Diagnostic(slug, message, self.span(start, end)))

    def end_line(self) -> None:
        """A statement or a header ends here."""
        self.longest = max(self.longest, len(self.line))
        self.header = self.line[0] if self.line else self.header
        self.earlier += self.line
        self.line = []


class SpecLexer(Lexer):
    """The lexer that Lark drives: it is given a Reading in place of a text."""

    __future_interface__ = 2  # Lark hands over the parser's state too

    def __init__(self, conf: LexerConf) -> None:
        def order(terminal: Any) -> tuple[int, int, str]:
            return -terminal.priority, -terminal.pattern.max_width, terminal.name

        fixed = {
            terminal.pattern.value: terminal.name
            for terminal in conf.terminals
            if isinstance(terminal.pattern, PatternStr)
        }
        self.keywords = {text: name for text, name in fixed.items() if text.isidentifier()}
        patterns = "|".join(
            f"(?P<{terminal.name}>{terminal.pattern.to_regexp()})"
            for terminal in sorted(conf.terminals, key=order)
            if terminal.name not in self.keywords.values() and terminal.name != "WS_INLINE"
        )
        self._match = re.compile(rf"[ \t]*(?:{patterns})").match

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Token]:
        """The tokens of the Reading in `lexer_state`, as the parser asks for them."""
        reading: Reading = lexer_state.text
        text = reading.source.text
        states, stack = parser_state.parse_conf.states, parser_state.state_stack
        match, keywords, opened = self._match, self.keywords, reading.opened
        position = _first(reading)
        while found := match(text, position):
            kind = found.lastgroup or ""
            start, position = found.span(kind)
            value = text[start:position]
            if kind == "NAME":
                keyword = keywords.get(value)
                if keyword is not None and keyword in states[stack[-1]]:
                    kind = keyword
            elif kind == "_NL":
                if position == len(text):
                    break
                for token in () if opened else _new_line(reading, start, position, value):
                    reading.stack = stack[:]
                    yield token
                continue
            elif kind == "COMMENT":
                continue
            elif value in "([{":
                _open(reading, start, value)
            elif value in ")]}":
                _close(reading, start, value)
            if len(stack) > MOST_STATES:
                message = "this expression is nested too deep"
                raise reading.refusal(Slug.SYNTAX, message, start, position)
            reading.stack = stack[:]
            token = Token(kind, value, start, end_pos=position)
            reading.line.append(token)
            yield token
        for token in _last_line(reading, position):
            reading.stack = stack[:]
            yield token
        reading.stack = stack[:]


def _first(reading: Reading) -> int:
    """Where the text starts, after a byte order mark."""
    text = reading.source.text
    start = 1 if text.startswith("\ufeff") else 0
    indent = re.compile(r"[ \t]+(?=[^\s#])").match(text, start)
    if indent:
        message = "the first line of a spec is not indented"
        raise reading.refusal(Slug.INDENTATION, message, start, indent.end())
    return start


def _new_line(reading: Reading, start: int, end: int, value: str) -> Iterator[Token]:
    """The end of a line, and how the next one is indented."""
    indent = value[value.rindex("\n") + 1 :]
    column = len(indent)
    if "\t" in indent:
        message = "a tab stands in the indentation; a spec is indented with four spaces a level"
        raise reading.refusal(Slug.INDENTATION, message, end - column, end)
    at = reading.place(reading.line[-1]).end if reading.line else start
    yield Token("_NL", "\n", at, end_pos=at + 1)
    reading.end_line()
    columns = reading.columns
    if column > columns[-1]:
        if len(columns) > MOST_SUITES:
            message = f"suites stand more than {MOST_SUITES} deep in one another"
            raise reading.refusal(Slug.INDENTATION, message, end - column, end)
        columns.append(column)
        yield Token("_INDENT", indent, end - column, end_pos=end)
        return
    if column not in columns:
        known = ", ".join(map(str, columns[:-1]))
        message = (
            f"this line is indented by {column} spaces, "
            f"where {known} or {columns[-1]} would go with a line above"
        )
        raise reading.refusal(Slug.INDENTATION, message, end - column, end)
    while column < columns[-1]:
        columns.pop()
        yield Token("_DEDENT", "", end, end_pos=end)


def _last_line(reading: Reading, position: int) -> Iterator[Token]:
    """What ends a text: the end of its last line and of every suite that is open."""
    text = reading.source.text
    rest = len(text) - len(text[position:].lstrip(" \t"))
    if rest < len(text) and not text[rest:].isspace():
        raise Malformed(unreadable(reading.source, rest))
    if reading.opened:
        bracket = reading.opened[-1]
        place = reading.place(bracket)
        message = f"`{bracket}` is never closed"
        raise reading.refusal(Slug.SYNTAX, message, place.start, place.end)
    end = reading.place(reading.line[-1]).end if reading.line else position
    if reading.line:
        yield Token("_NL", "\n", end, end_pos=end + 1)
        reading.end_line()
    for _ in reading.columns[1:]:
        yield Token("_DEDENT", "", end, end_pos=end)


def _open(reading: Reading, start: int, value: str) -> None:
    if len(reading.opened) >= MOST_BRACKETS:
        message = f"brackets stand more than {MOST_BRACKETS} deep in one another"
        raise reading.refusal(Slug.SYNTAX, message, start, start + 1)
    reading.opened.append(Token("OPEN", value, start, end_pos=start + 1))


def _close(reading: Reading, start: int, value: str) -> None:
    if not reading.opened:
        raise reading.refusal(Slug.SYNTAX, f"`{value}` closes nothing", start, start + 1)
    bracket = reading.opened.pop()
    if CLOSERS[bracket] != value:
        raise Malformed(
            Diagnostic(
                Slug.SYNTAX,
                f"found `{value}` where `{CLOSERS[bracket]}` must close `{bracket}`",
                reading.span(start, start + 1),
                notes=(Note(f"`{bracket}` is opened", reading.place(bracket)),),
                hint=f"`{CLOSERS[bracket]}`",
            )
        )
