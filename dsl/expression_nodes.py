"""From what the parser found to nodes: expressions and what stands in brackets.

Each method is called by the parser for the rule or alias of its name, with the rule's children:
tokens, nodes, `Several` for lists, None for an absent part. It builds, and judges nothing that
depends on what a name means.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import syntax
from .diagnostics import Slug
from .source import GENERATED, Span
from .syntax import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .diagnostics import Collector
    from .source import Source

Children = list[Any]  # the grammar, not the type checker, knows what stands in which place

MOST_DIGITS = 18  # what 64 bits hold
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class Several(list[Any]):
    """The items of a list, and where it stands."""

    start_pos = end_pos = 0


def several(items: Iterable[Any], start: int, end: int) -> Several:
    """A list with its place."""
    made = Several(items)
    made.start_pos, made.end_pos = start, end
    return made


def start_of(part: Any) -> int:
    """The offset at which a token, a node or a list starts."""
    return part.span.start if isinstance(part, Tree) else part.start_pos


def end_of(part: Any) -> int:
    """The offset at which a token, a node or a list ends."""
    return part.span.end if isinstance(part, Tree) else part.end_pos


class ExpressionNodes:
    """Builds expressions for the text last given to `begin`."""

    source: Source = GENERATED.source
    collector: Collector
    failed = False

    def begin(self, source: Source, collector: Collector) -> None:
        """Build for this text from now on."""
        self.source, self.collector, self.failed = source, collector, False

    def report(self, slug: Slug, message: str, span: Span, hint: str | None = None) -> None:
        """Report a mistake; the text gives no tree then."""
        self.failed = True
        self.collector.report(slug, message, span, hint=hint)

    def span(self, first: Any, last: Any) -> Span:
        """From the start of one part to the end of another."""
        return Span(self.source, start_of(first), end_of(last))

    def list_of(self, c: Children) -> Several:
        """`a, b, c` with or without a comma at the end."""
        parts = [part for part in c if part is not None]
        return several(parts[::2], start_of(parts[0]), end_of(parts[-1]))

    args = exprs = items = list_of

    # ---- atoms

    def name(self, c: Children) -> syntax.Name:
        """`x`."""
        return syntax.Name(c[0].value, span=self.span(c[0], c[0]))

    def integer(self, c: Children) -> syntax.Number:
        """`3`."""
        return syntax.Number(self.count(c[0]), span=self.span(c[0], c[0]))

    def count(self, token: Any) -> int:
        """The value of an integer; one that no size could need is refused."""
        if len(token) <= MOST_DIGITS:
            return int(token)
        message = f"this number has more than {MOST_DIGITS} digits"
        self.report(Slug.TOO_LARGE, message, self.span(token, token))
        return 0

    def decimal(self, c: Children) -> syntax.Number:
        """`0.5`, `3e-4`."""
        span = self.span(c[0], c[0])
        value = float(c[0])
        if math.isinf(value):
            self.report(Slug.TOO_LARGE, f"`{c[0]}` is too large for a float", span, "`inf`")
        return syntax.Number(value, span=span)

    def quoted(self, c: Children) -> syntax.Text:
        """`"text"`, with the escapes that it may hold."""

        def plain(found: re.Match[str]) -> str:
            letter = found[1]
            if letter not in ESCAPES:
                at = c[0].start_pos + 1 + found.start()
                self.report(
                    Slug.SYNTAX,
                    f"`\\{letter}` is not an escape; these are: `\\n`, `\\t`, `\\r`, "
                    '`\\"` and `\\\\`',
                    Span(self.source, at, at + 2),
                    f"`\\\\{letter}`",
                )
            return ESCAPES.get(letter, letter)

        inside = c[0].value[1:-1]
        value = re.sub(r"\\(.)", plain, inside) if "\\" in inside else inside
        return syntax.Text(value, span=self.span(c[0], c[0]))

    def at(self, c: Children) -> syntax.At:
        """`@subject`."""
        return syntax.At(c[1].value, span=self.span(c[0], c[1]))

    def size(self, c: Children) -> syntax.SizeOf:
        """`|k|`."""
        return syntax.SizeOf(c[1].value, span=self.span(c[0], c[2]))

    def pack_size(self, c: Children) -> syntax.SizeOf:
        """`|*i|`."""
        return syntax.SizeOf(c[2].value, pack=True, span=self.span(c[0], c[3]))

    def wrapped(self, c: Children) -> Tree:
        """`(x)`: the same node, with the parentheses in its span."""
        node: Tree = c[1]
        return replace(node, span=self.span(c[0], c[2]))

    def group_of(self, c: Children) -> syntax.Tuple:
        """`(g, u)`."""
        return syntax.Tuple(tuple(self.list_of(c[1:-1])), span=self.span(c[0], c[-1]))

    def listing(self, c: Children) -> syntax.Listing:
        """`[0, 65]` or `{1, 5}`."""
        return syntax.Listing(tuple(c[1] or ()), c[0].value == "{", span=self.span(c[0], c[2]))

    # ---- operators

    def unary(self, c: Children) -> syntax.Unary:
        """`-x`, `not x`."""
        return syntax.Unary(c[0].value, c[1], span=self.span(c[0], c[1]))

    def binary(self, c: Children) -> syntax.Binary:
        """`x + y` and all the others."""
        left, op, right = c
        span = Span(self.source, left.span.start, right.span.end)
        return syntax.Binary(op.value, left, right, span=span)

    def index(self, c: Children) -> syntax.Index:
        """`x[t = 1]`."""
        return syntax.Index(c[0], tuple(c[2] or ()), span=self.span(c[0], c[3]))

    def call(self, c: Children) -> syntax.Call:
        """`f(x)`."""
        return syntax.Call(c[0], tuple(c[2] or ()), span=self.span(c[0], c[3]))

    def attr(self, c: Children) -> syntax.Attr:
        """`x.out`, `layernorm.2`, `x.*`."""
        return syntax.Attr(c[0], c[2].value, span=self.span(c[0], c[2]))

    def arg(self, c: Children) -> syntax.Argument:
        """`x` in a call."""
        return syntax.Argument(None, c[0], span=c[0].span)

    def named(self, c: Children) -> syntax.Argument:
        """`alpha = 2` in a call."""
        return syntax.Argument(c[0].value, c[2], span=self.span(c[0], c[2]))

    def spanned(self, c: Children) -> syntax.Range:
        """`1..5`, `1..`."""
        return syntax.Range(c[0], c[2], span=self.span(c[0], c[2] or c[1]))

    def up_to(self, c: Children) -> syntax.Range:
        """`..5`."""
        return syntax.Range(None, c[1], span=self.span(c[0], c[1]))

    # ---- in brackets

    def star(self, c: Children) -> syntax.Star:
        """`*`, `*i`."""
        return syntax.Star(c[1] and c[1].value, span=self.span(c[0], c[1] or c[0]))

    def bind(self, c: Children) -> syntax.Bind:
        """`t = -1`, `t = e else 0`."""
        return syntax.Bind(c[0].value, c[2], c[4], span=self.span(c[0], c[4] or c[2]))

    def everything(self, c: Children) -> syntax.Everything:
        """`:`."""
        return syntax.Everything(span=self.span(c[0], c[0]))

    def arrow(self, c: Children) -> syntax.Arrow:
        """`t -> s`, `k ->`."""
        return syntax.Arrow(c[0], c[2], span=self.span(c[0], c[2] or c[1]))

    def arrow_in(self, c: Children) -> syntax.Arrow:
        """`-> s`."""
        return syntax.Arrow(None, c[1], span=self.span(c[0], c[1]))
