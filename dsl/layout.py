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
    """On one line if that is short enough, else broken at the brackets where that helps most."""
    whole = flat(pieces)
    groups = [(n, piece) for n, piece in enumerate(pieces) if not isinstance(piece, str)]
    groups = [(n, group) for n, group in groups if group.items]
    if indent + len(whole) <= WIDTH or not groups:
        return [" " * indent + whole]
    place, group = min(groups, key=lambda found: _cost(pieces, *found, indent))
    return [
        *lines([*pieces[:place], group.opening], indent),
        *_inside(group, indent + STEP),
        *lines([group.closing, *pieces[place + 1 :]], indent),
    ]


def _cost(pieces: Pieces, place: int, group: Group, indent: int) -> tuple[bool, int, bool, int]:
    """How little a break at this group helps."""
    before = indent + len(flat(pieces[:place])) + 1
    after = indent + len(flat(pieces[place + 1 :])) + 1
    fits = before <= WIDTH and after <= WIDTH
    number = len(_inside(group, indent + STEP)) if fits else 0
    # values rather than axes, and of two that are alike the one that holds more
    return not fits, number, group.opening != "(", -len(flat([group]))


def _inside(group: Group, indent: int) -> list[str]:
    """What stands between the brackets: on one line if that is short enough."""
    content = ", ".join(map(flat, group.items))
    if indent + len(content) <= WIDTH:
        return [" " * indent + content]
    *first, last = group.items
    broken = [line for item in first for line in lines([*item, ","], indent)]
    return broken + lines(last, indent)
