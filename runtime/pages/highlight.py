"""The text of a spec in lines, each in pieces of one kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...dsl.parser import tokens
from ...dsl.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Token

KINDS = {"INT": "number", "FLOAT": "number", "STRING": "text", "DOC": "doc", "NAME": ""}
COMMENT = re.compile(r"#[^\n]*")

Piece = tuple[str, str]  # its kind and its text


def highlighted(text: str) -> list[list[Piece]]:
    """The lines of a spec. What cannot be parsed is there, without kinds."""
    lines: list[list[Piece]] = [[]]
    for kind, piece in _pieces(text):
        first, *others = piece.split("\n")
        lines[-1].append((kind, first))
        lines += [[(kind, other)] for other in others]
    found = [[(kind, piece.rstrip("\r")) for kind, piece in line if piece] for line in lines]
    while found and not found[-1]:
        found.pop()
    return found


def _pieces(text: str) -> Iterator[Piece]:
    """The text from its start to its end."""
    at, before = 0, ""
    for token in tokens(Source("spec", text)):
        start, end = token.start_pos or 0, token.end_pos or 0
        if start < at:
            continue
        yield from _between(text[at:start])
        kind = _kind(token)
        yield "defined" if before in DEFINING and token.type == "NAME" else kind, text[start:end]
        at, before = end, str(token) if kind == "keyword" else ""
    yield from _between(text[at:])


DEFINING = {"block", "model", "intervention", "experiment", "train", "data", "weights", "sweep"}


def _kind(token: Token) -> str:
    if token.type in KINDS:
        return KINDS[token.type]
    return "keyword" if token.isidentifier() else "sign"


def _between(text: str) -> Iterator[Piece]:
    """What stands between tokens: space and comments."""
    at = 0
    for found in COMMENT.finditer(text):
        yield "", text[at : found.start()]
        yield "comment", found.group()
        at = found.end()
    yield "", text[at:]
