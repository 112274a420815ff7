"""Characters that no spec has, and what was probably meant by them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from .diagnostics import Diagnostic, Slug
from .source import Span

if TYPE_CHECKING:
    from .source import Source

QUOTES = "'\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
MEANT = {
    "!": "not",
    "&": "and",
    "→": "->",
    "←": "from",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "\N{MULTIPLICATION SIGN}": "*",
    "·": "*",
    "⋅": "*",
    "÷": "/",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "…": "..",
    "∞": "inf",
    "∈": "in",
    "“": '"',
    "”": '"',
    "„": '"',
}
SAID = {
    ";": ("`;` is not needed: a statement ends with its line", None),
    "?": (
        "there is no `?`: a choice between values is made by `where`",
        "`where(condition, a, b)`",
    ),
    "\\": ("a line does not go on with `\\`: it goes on inside brackets", None),
    "$": ("`$` does not stand in a spec: names are written plainly", None),
    "`": ("a name is written without backquotes", None),
    "\r": ("a carriage return stands in the middle of a line", None),
}


def unreadable(source: Source, start: int) -> Diagnostic:
    """What to say of a character that starts no token."""
    text = source.text
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    end, hint = start + 1, None
    char = text[start]
    if text.startswith('"""', start):
        message, end, hint = 'this text is never closed: `"""` is missing', start + 3, '`"""`'
    elif char == '"':
        message, end = "this text is not closed before its line ends", line_end
        hint = f'`{text[start:end].rstrip()}"`'
    elif char in QUOTES:
        closing = next((i for i in range(start + 1, line_end) if text[i] in QUOTES), start)
        message, end = 'a text stands in double quotes: `"`', closing + 1
        hint = f'`"{text[start + 1 : closing]}"`' if closing > start else None
    elif char in MEANT:
        message, hint = f"`{char}` does not stand in a spec", f"`{MEANT[char]}`"
        end += char == "&" and text.startswith("&&", start)
    elif char in SAID:
        message, hint = SAID[char]
    else:
        message, hint = _foreign(char)
    return Diagnostic(Slug.SYNTAX, message, Span(source, start, end), hint=hint)


def _foreign(char: str) -> tuple[str, str | None]:
    name = unicodedata.name(char, "")
    if char.isalpha():
        plain = name.rpartition(" LETTER ")[2].partition(" WITH ")[0].lower()
        hint = f"`{plain}`" if plain.isidentifier() and plain.isascii() else None
        return f"`{char}` cannot stand in a name: names are a-z, A-Z, 0-9 and `_`", hint
    if char.isprintable() and not char.isspace():
        return f"`{char}` does not stand in a spec", None
    called = f" ({name})" if name else ""
    return f"a character that cannot be seen stands here: U+{ord(char):04X}{called}", None
