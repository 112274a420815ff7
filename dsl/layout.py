"""Lines of limited width from text with brackets in it."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 110
STEP = 4  # columns for each level of indentation


@dataclass(frozen=True, slots=True)
class Group:
    """Items between brackets: where a line may be broken."""

    opening: str
    items: tuple[Pieces, ...]
    closing: str


Pieces = list["str | Group"]


def flat(pieces: Pieces) -> str:
    """All of it on one line."""
    return "".join(
        piece
        if isinstance(piece, str)
        else f"{piece.opening}{', '.join(map(flat, piece.items))}{piece.closing}"
        for piece in pieces
    )


def joined(parts: list[Pieces], between: str) -> Pieces:
    """Parts with something between each two of them."""
    made: Pieces = []
    for place, part in enumerate(parts):
        made += [between, *part] if place else part
    return made


def lines(pieces: Pieces, indent: int) -> list[str]:
    """On one line if that is short enough, else broken at the longest brackets."""
    whole = flat(pieces)
    places = [place for place, piece in enumerate(pieces) if _can_break(piece)]
    if indent + len(whole) <= WIDTH or not places:
        return [" " * indent + whole]
    place = max(places, key=lambda place: len(flat([pieces[place]])))
    group = pieces[place]
    assert isinstance(group, Group)
    inside = indent + STEP
    content = ", ".join(map(flat, group.items))
    if inside + len(content) <= WIDTH:
        middle = [" " * inside + content]
    else:
        *first, last = group.items
        middle = [line for item in first for line in lines([*item, ","], inside)]
        middle += lines(last, inside)
    return [
        *lines([*pieces[:place], group.opening], indent),
        *middle,
        *lines([group.closing, *pieces[place + 1 :]], indent),
    ]


def _can_break(piece: str | Group) -> bool:
    return isinstance(piece, Group) and bool(piece.items)
