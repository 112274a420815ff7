"""Lays out statements that are too long for a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .writer import Line

WIDTH = 100
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def wrapped(text: str, indent: int) -> list[str]:
    """The statement as lines of at most WIDTH, broken inside its outermost last brackets."""
    if len(text) + indent <= WIDTH:
        return [" " * indent + text]
    found = _breakable(text)
    if found is None:
        return [" " * indent + text]
    start, end = found
    head, inside, tail = text[: start + 1], text[start + 1 : end], text[end:]
    if len(inside) + indent + 4 <= WIDTH and len(head) + indent <= WIDTH:
        middle = [" " * (indent + 4) + inside]
    else:
        parts = _split(inside)
        comma = "" if len(parts) == 1 and " for " in inside else ","  # none after a comprehension
        middle = [line for part in parts for line in wrapped(f"{part}{comma}", indent + 4)]
    return [" " * indent + head, *middle, " " * indent + tail]


def _breakable(text: str) -> tuple[int, int] | None:
    """The longest pair of outermost brackets."""
    best: tuple[int, int] | None = None
    stack: list[int] = []
    quoted = False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        if quoted:
            continue
        if char in _PAIRS:
            stack.append(at)
        elif char in _PAIRS.values():
            start = stack.pop()
            if not stack and (best is None or at - start > best[1] - best[0]):
                best = start, at
    return best if best is not None and best[1] - best[0] > 1 else None


def _split(text: str) -> list[str]:
    """Parts between the outermost commas."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in _PAIRS:
            depth += 1
        elif char in _PAIRS.values():
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
    rest = text[start:].strip()
    return [*parts, rest] if rest else parts


def body(lines: Sequence[Line], places: Mapping[str, str], indent: int = 8) -> Iterator[str]:
    """The statements of a function; a comment before each group says which call it is, and where."""
    last = ""
    for line in lines:
        if line.part != last and line.part and not line.depth:
            yield f"{' ' * indent}# {line.part}: {places.get(line.part, '')}".rstrip(": ")
        if not line.depth:
            last = line.part
        yield from wrapped(line.text, indent + 4 * line.depth)
