"""Expressions as text, with no more parentheses than they need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import syntax
from .layout import Chain, Group, Pieces, joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .syntax import Tree

# how tightly each operator binds; the sides of a comparison are sums, so those do not chain
LOOSEST, NOT, COMPARISON, SUM, TERM, SIGNED, POWER, POSTFIX = 0, 3, 4, 5, 6, 7, 8, 9
LEVELS = {
    "or": (1, 1, 2),
    "and": (2, 2, NOT),
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">", "in"), (COMPARISON, SUM, SUM)),
    **dict.fromkeys(("+", "-"), (SUM, SUM, TERM)),
    **dict.fromkeys(("*", "/", "//", "%"), (TERM, TERM, SIGNED)),
    "^": (POWER, POSTFIX, SIGNED),
}
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"})
_NUMBER = re.compile(r"\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+")


def expression(node: Tree, level: int = LOOSEST) -> Pieces:
    """A node as text, in parentheses if it binds less tightly than `level`."""
    pieces, own = _pieces(node)
    if own < level:
        return [Group("(", (pieces,), ")")]
    return pieces


def group(opening: str, items: Iterable[Tree], closing: str) -> Group:
    """Items between brackets."""
    return Group(opening, tuple(expression(item) for item in items), closing)


def _pieces(node: Tree) -> tuple[Pieces, int]:
    match node:
        case syntax.Unary(op, operand):
            if op == "not":
                return ["not ", *expression(operand, NOT)], NOT
            return [op, *expression(operand, SIGNED)], SIGNED
        case syntax.Binary(op, left, right):
            own, left_level, right_level = LEVELS[op]
            parts: tuple[Pieces, ...] = (expression(left, left_level),)
            if isinstance(left, syntax.Binary) and LEVELS[left.op][0] == own == left_level:
                (chain,) = parts[0]
                assert isinstance(chain, Chain)
                parts = chain.parts
            return [Chain((*parts, [f"{op} ", *expression(right, right_level)]))], own
        case syntax.Range(start, stop):
            return [*_maybe(start), "..", *_maybe(stop)], LOOSEST
        case syntax.Bind(axis, value, otherwise):
            outside = [" else ", *expression(otherwise)] if otherwise else []
            return [f"{axis} = ", *expression(value), *outside], LOOSEST
        case syntax.Arrow(left, right):
            sides: list[Pieces] = [_maybe(left), ["->"], _maybe(right)]
            return joined([side for side in sides if side], " "), LOOSEST
        case syntax.Argument(name, value):
            return [*([f"{name} = "] if name else []), *expression(value)], LOOSEST
    return _postfix(node), POSTFIX


def _maybe(node: Tree | None) -> Pieces:
    return [] if node is None else expression(node)


def _postfix(node: Tree) -> Pieces:
    match node:
        case syntax.Call(target, args):
            return [*expression(target, POSTFIX), group("(", args, ")")]
        case syntax.Index(base, items):
            return [*expression(base, POSTFIX), group("[", items, "]")]
        case syntax.Attr(base, name):
            return [*expression(base, POSTFIX), f".{name}"]
        case syntax.Tuple(items):
            return [group("(", items, ")")]
        case syntax.Listing(items, braces):
            return [group("{", items, "}") if braces else group("[", items, "]")]
        case syntax.Number():
            return [_number(node)]
        case syntax.Text(value):
            return [f'"{value.translate(ESCAPES)}"']
        case syntax.Name(name):
            return [name]
        case syntax.At(name):
            return [f"@{name}"]
        case syntax.SizeOf(axis, pack):
            return [f"|*{axis}|" if pack else f"|{axis}|"]
        case syntax.Star(pack):
            return [f"*{pack or ''}"]
        case syntax.Everything():
            return [":"]
        case syntax.Unbuilt():
            # what is reserved has no parts to print it from; a break inside it says nothing
            return [re.sub(r"\s*\n\s*", " ", node.span.text)]
    raise TypeError(f"{type(node).__name__} is not an expression")


def _number(node: syntax.Number) -> str:
    """As it was written: `3e-4` should not become `0.0003`."""
    written = _NUMBER.search(node.span.text)
    return written[0] if written else repr(node.value)
