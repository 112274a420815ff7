"""Lays out statements that are too long for a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .writer import Line

WIDTH = 100
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def wrapped(text: str, indent: int) -> list[str]:
    """The statement as lines of at most WIDTH: broken inside brackets, or before operators."""
    if len(text) + indent <= WIDTH:
        return [" " * indent + text]
    head, whole, tail = _parts(text)
    found = _bulk(whole)
    if found is not None:
        start, end = found
        return _opened(
            head + whole[: start + 1], whole[start + 1 : end], whole[end:] + tail, indent
        )
    several = _split(whole)
    if len(several) > 1:  # commas bind less than any operator
        return _opened(f"{head}(", whole, f"){tail}", indent)
    pieces = _terms(whole)
    if len(pieces) > 1:
        inside = [line for piece in pieces for line in wrapped(piece, indent + 4)]
        return [f"{' ' * indent}{head}(", *inside, f"{' ' * indent}){tail}"]
    return [" " * indent + text]


def _parts(text: str) -> tuple[str, str, str]:
    """What is assigned or returned, with what stands before and after."""
    for word in ("return ", "del "):
        if text.startswith(word):
            return word, text.removeprefix(word), ""
    if text.startswith("for ") and " in " in text:
        head, _, rest = text.partition(" in ")
        return f"{head} in ", rest.removesuffix(":"), ":"
    for at, char, depth in _scan(text):
        if char == "=" and not depth and text[at - 1] == text[at + 1] == " ":
            return text[: at + 2], text[at + 2 :], ""
    word, equals, rest = text.partition("=")
    if equals and word.isidentifier() and rest[:1] != "=":  # an argument by name
        return f"{word}=", rest, ""
    return "", text, ""


def _opened(head: str, inside: str, tail: str, indent: int) -> list[str]:
    """What stands in a pair of brackets, on lines of its own."""
    pad = " " * (indent + 4)
    if len(inside) + indent + 4 <= WIDTH:
        middle = [pad + inside]
    else:
        parts = _split(inside)
        call = len(head) > 1 and (head[-2].isalnum() or head[-2] in "_])")
        comma = "," if call or len(parts) > 1 or inside.endswith(",") else ""
        middle = [line for part in parts for line in _with(wrapped(part, indent + 4), comma)]
    return [" " * indent + head, *middle, " " * indent + tail]


def _with(lines: list[str], tail: str) -> list[str]:
    return [*lines[:-1], lines[-1] + tail]


def _scan(text: str) -> Iterator[tuple[int, str, int]]:
    """Each character that is not in a string, with how many brackets are open before it."""
    depth, quoted = 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        if quoted:
            continue
        if char in _PAIRS.values():
            depth -= 1
        yield at, char, depth
        if char in _PAIRS:
            depth += 1


def _bulk(text: str) -> tuple[int, int] | None:
    """The outermost brackets that hold most of the text."""
    starts, best = 0, (0, 0)
    for at, char, depth in _scan(text):
        if depth == 0 and char in _PAIRS:
            starts = at
        elif depth == 0 and char in _PAIRS.values() and at - starts > best[1] - best[0]:
            best = starts, at
    return best if 2 * (best[1] - best[0]) > len(text) else None


def _terms(text: str) -> list[str]:
    """Parts before the outermost operators that bind least."""
    for operators in ((" & ", " | "), (" + ", " - "), (" * ", " / ", " @ ", " % ", " // ")):
        cuts = [at for at, _, depth in _scan(text) if not depth and text.startswith(operators, at)]
        if cuts:
            ends = [*cuts, len(text)]
            return [text[start:end].strip() for start, end in zip([0, *cuts], ends, strict=True)]
    return [text]


def _split(text: str) -> list[str]:
    """Parts between the outermost commas."""
    cuts = [at for at, char, depth in _scan(text) if char == "," and not depth]
    ends = [*cuts, len(text)]
    parts = [text[start:end].strip(" ,") for start, end in zip([0, *cuts], ends, strict=True)]
    return [part for part in parts if part]


def body(lines: Sequence[Line], places: Mapping[str, str], indent: int = 8) -> Iterator[str]:
    """The statements of a function; before each group, which call of the spec it is, and where."""
    last = ""
    for line in lines:
        if line.part != last and line.part in places and not line.depth:
            yield f"{' ' * indent}# {line.part}: {places[line.part]}"
        if not line.depth:
            last = line.part
        yield from wrapped(line.text, indent + 4 * line.depth)
