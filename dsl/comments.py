"""The comments of a text, which its tree does not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .source import Source

# texts come first, because a `#` in a text starts no comment
_PATTERN = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|(?P<comment>#[^\n]*)')


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment and where it stands."""

    text: str
    start: int
    end: int
    column: int  # from 0
    alone: bool  # nothing else is on its line


class Comments:
    """The comments of a text in their order, each to be taken once."""

    def __init__(self, source: Source) -> None:
        self._text = source.text
        self._waiting = [
            _comment(source, found) for found in _PATTERN.finditer(source.text) if found["comment"]
        ]
        self._ends = {comment.end: comment for comment in self._waiting}
        self._waiting.reverse()

    def before(self, offset: int) -> list[Comment]:
        """Take those that start before an offset."""
        taken = []
        while self._waiting and self._waiting[-1].start < offset:
            taken.append(self._waiting.pop())
        return taken

    def tail(self, offset: int, column: int) -> list[Comment]:
        """Take those before an offset, as long as they are indented as far as `column`."""
        taken = []
        while self._waiting and self._waiting[-1].start < offset:
            if self._waiting[-1].column < column:
                break
            taken.append(self._waiting.pop())
        return taken

    def beside(self, end: int) -> str:
        """Take the comment that follows what ends at an offset, on the same line."""
        if self._waiting and not self._waiting[-1].alone:
            start = self._waiting[-1].start
            if start >= end and "\n" not in self._text[end:start]:
                return f"  {self._waiting.pop().text}"
        return ""

    def within(self, end: int) -> bool:
        """Take those of a statement that is kept as written for them; whether there are any."""
        return bool(self.before(end))

    def code_before(self, offset: int) -> int:
        """The end of the last thing in front of an offset that is neither blank nor comment."""
        while True:
            while offset and self._text[offset - 1].isspace():
                offset -= 1
            if offset not in self._ends:
                return offset
            offset = self._ends[offset].start


def _comment(source: Source, found: re.Match[str]) -> Comment:
    start = found.start()
    text = found[0].rstrip()
    line, column = source.position(start)
    alone = not source.line(line)[: column - 1].strip()
    return Comment(text, start, start + len(text), column - 1, alone)
