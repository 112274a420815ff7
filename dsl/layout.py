"""Lines of limited width from text with brackets and operators in it."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 110
STEP = 4  # columns for each level of indentation


@dataclass(frozen=True, slots=True)
class Group:
    """Items between brackets: where a line is broken first."""

    opening: str
    items: tuple[Pieces, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands, each but the first with its operator: where a line is broken if it must be."""

    parts: tuple[Pieces, ...]


Pieces = list["str | Group | Chain"]


def flat(pieces: Pieces) -> str:
    """All of it on one line."""
    return "".join(map(_flat, pieces))


def _flat(piece: str | Group | Chain) -> str:
    match piece:
        case Group(opening, items, closing):
            return f"{opening}{', '.join(map(flat, items))}{closing}"
        case Chain(parts):
            return " ".join(map(flat, parts))
    return piece


def joined(parts: list[Pieces], between: str) -> Pieces:
    """Parts with something between each two of them."""
    made: Pieces = []
    for place, part in enumerate(parts):
        made += [between, *part] if place else part
    return made


def lines(pieces: Pieces, indent: int) -> list[str]:
    """On one line if that is short enough, else on several."""
    return _Layout().lines(pieces, indent, inside=False)


class _Layout:
    """Lays out one statement; each part once for each indentation that is tried."""

    def __init__(self) -> None:
        self.known: dict[object, list[str]] = {}

    def lines(self, pieces: Pieces, indent: int, inside: bool) -> list[str]:
        """`inside` brackets a line may end anywhere."""
        whole = " " * indent + flat(pieces)
        if len(whole) <= WIDTH:
            return [whole]
        key = (*((p if isinstance(p, str) else id(p)) for p in pieces), indent, inside)
        if key not in self.known:
            self.known[key] = self.broken(pieces, indent, inside) or [whole]
        return self.known[key]

    def broken(self, pieces: Pieces, indent: int, inside: bool) -> list[str]:
        """At brackets, or at operators if that is not enough."""
        made = self.at_brackets(_melted(pieces), indent)
        chains = [(n, piece) for n, piece in enumerate(pieces) if isinstance(piece, Chain)]
        if not chains or (made and max(map(len, made)) <= WIDTH):
            return made
        place, chain = max(chains, key=lambda found: len(_flat(found[1])))
        before, after = pieces[:place], pieces[place + 1 :]
        if inside:
            return self.at_operators(before, chain, after, indent)
        # outside of brackets, a line ends only in some that are put around
        return [
            *self.lines([*before, "("], indent, inside),
            *self.at_operators([], chain, [], indent + STEP),
            *self.lines([")", *after], indent, inside),
        ]

    def at_operators(self, before: Pieces, chain: Chain, after: Pieces, indent: int) -> list[str]:
        """Each operand on a line of its own."""
        parts = list(chain.parts)
        parts[0] = before + parts[0]
        parts[-1] = parts[-1] + after
        return [line for part in parts for line in self.lines(part, indent, inside=True)]

    def at_brackets(self, pieces: Pieces, indent: int) -> list[str]:
        """At the brackets where it helps most; nothing if there are none."""
        tried = []
        for place, group in enumerate(pieces):
            if not isinstance(group, Group) or not group.items:
                continue
            before, after = [*pieces[:place], group.opening], [group.closing, *pieces[place + 1 :]]
            fits = indent + max(len(flat(before)), len(flat(after))) <= WIDTH
            middle = self.inside(group, indent + STEP) if fits else []
            # values rather than axes, and of two that are alike the one that holds more
            cost = (not fits, len(middle), group.opening != "(", -len(_flat(group)))
            tried.append((cost, place, before, group, after))
        if not tried:
            return []
        _, _, before, group, after = min(tried, key=lambda found: found[:2])
        return [
            *self.lines(before, indent, inside=False),
            *self.inside(group, indent + STEP),
            *self.lines(after, indent, inside=False),
        ]

    def inside(self, group: Group, indent: int) -> list[str]:
        """What stands between brackets: as many items on a line as it takes."""
        made: list[str] = []
        whole = False  # whether the last item is on one line, which others may share
        for place, item in enumerate(group.items):
            shown: Pieces = [*item, ","] if place < len(group.items) - 1 else item
            if whole and len(made[-1]) + 1 + len(flat(shown)) <= WIDTH:
                made[-1] += f" {flat(shown)}"
            else:
                more = self.lines(shown, indent, inside=True)
                whole = len(more) == 1
                made += more
        return made


def _melted(pieces: Pieces) -> Pieces:
    """Without chains, so that the brackets in them are seen."""
    made: Pieces = []
    for piece in pieces:
        if isinstance(piece, Chain):
            made += _melted(joined(list(piece.parts), " "))
        else:
            made.append(piece)
    return made
