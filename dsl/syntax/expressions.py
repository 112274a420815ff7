"""What a value is written as, and what stands in brackets."""

from __future__ import annotations

from dataclasses import dataclass

from .tree import Tree


@dataclass(frozen=True, slots=True)
class Number(Tree):
    """`3`, `0.5`: an int or a float."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Tree):
    """`"pairs.jsonl"`."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Tree):
    """`x`, `true`, `inf`, `n'`: which of these it is, the checker knows."""

    id: str


@dataclass(frozen=True, slots=True)
class At(Tree):
    """`@subject`: a position for each example."""

    id: str


@dataclass(frozen=True, slots=True)
class SizeOf(Tree):
    """`|k|`, or of a pack `|*i|`."""

    axis: str
    pack: bool = False


@dataclass(frozen=True, slots=True)
class Unary(Tree):
    """`-x`, `+x`, `not x`."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Tree):
    """Arithmetic, comparison, `and`, `or`, `in`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Argument(Tree):
    """`x` or `alpha = 2` in a call."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Tree):
    """`target(args)`. Brackets in front of the parentheses make `target` an Index."""

    target: Expr
    args: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Index(Tree):
    """`base[items]`: a selection, a rename, the axes of a call or the turn of a repeat."""

    base: Expr
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Attr(Tree):
    """`base.name`; the name `*` is any part, and a number counts calls of one block."""

    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Range(Tree):
    """`1..5`, `1..`, `..-1`: half open."""

    start: Expr | None
    stop: Expr | None


@dataclass(frozen=True, slots=True)
class Tuple(Tree):
    """`(g, u)`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Listing(Tree):
    """`[0, 65]`, or with braces `{1, 5}`."""

    items: tuple[Expr, ...]
    braces: bool = False


Expr = (
    Number
    | Text
    | Name
    | At
    | SizeOf
    | Unary
    | Binary
    | Call
    | Index
    | Attr
    | Range
    | Tuple
    | Listing
)


# ---- what stands in brackets


@dataclass(frozen=True, slots=True)
class Star(Tree):
    """`*` any turn, or `*i` a pack of axes."""

    pack: str | None = None


@dataclass(frozen=True, slots=True)
class Bind(Tree):
    """`axis = value`, with what stands outside as `otherwise`."""

    axis: str
    value: Expr
    otherwise: Expr | None = None


@dataclass(frozen=True, slots=True)
class Everything(Tree):
    """`:`, all of an array's axis."""


@dataclass(frozen=True, slots=True)
class Arrow(Tree):
    """`left -> right`; either side may be empty. In `[h, k -> d]` the arrow holds `k` and `d`."""

    left: Side | None
    right: Side | None


Side = Expr | Star | Bind | Everything
Item = Side | Arrow
