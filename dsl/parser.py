"""Text to syntax tree. Mistakes go to the collector; Lark's exceptions do not leave this module."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from lark import UnexpectedToken

from . import tables
from .diagnostics import Collector, Slug
from .expected import spellings
from .lexer import Malformed, Reading
from .mistakes import Situation, explain
from .study_nodes import Nodes
from .syntax import Spec, Tree

if TYPE_CHECKING:
    import lark

    from .source import Source

DEEPEST = 150  # nodes inside one another: later stages walk the tree by recursion
_LOCK = Lock()  # the nodes are made by one builder, for one text at a time


def parse(source: Source, collector: Collector) -> Spec | None:
    """The tree of a text; None when it has mistakes, which the collector then holds."""
    reading = Reading(source)
    with _LOCK:
        parser, nodes = _prepared()
        nodes.begin(source, collector)
        try:
            spec = parser.parse(reading)
        except Malformed as error:
            collector.add(error.diagnostic)
            return None
        except UnexpectedToken as error:
            situation = Situation(reading, error.token, _accepts(error, reading))
            collector.add(explain(situation, spellings(parser.terminals)))
            return None
        if nodes.failed:
            return None
    if not isinstance(spec, Spec):
        raise TypeError(f"the grammar gave {spec!r}")
    # a tree is at most as deep as its longest statement, so most need no look
    deep = _too_deep(spec) if reading.longest > DEEPEST else None
    if deep is not None:
        message = f"this expression is nested more than {DEEPEST} deep"
        collector.report(Slug.SYNTAX, message, deep.span, hint="give its parts names of their own")
        return None
    return spec


def tokens(source: Source) -> list[lark.Token]:
    """The tokens of a text, keywords apart from names; of one with mistakes those before the
    first."""
    reading = Reading(source)
    with _LOCK:
        parser, nodes = _prepared()
        nodes.begin(source, Collector())
        with suppress(Malformed, UnexpectedToken):
            parser.parse(reading)
    return [*reading.earlier, *reading.line]


def _accepts(error: UnexpectedToken, reading: Reading) -> frozenset[str]:
    """The terminals that could have stood where the parser stopped."""
    # it reduced before it stopped, and forgot most of them: so back to where it read the token
    error.interactive_parser.parser_state.state_stack[:] = reading.stack
    return frozenset(error.accepts)


@cache
def _prepared() -> tuple[lark.Lark, Nodes]:
    nodes = Nodes()
    return tables.load(nodes), nodes


def _too_deep(spec: Spec) -> Tree | None:
    """The first node that stands too deep, found without recursion."""
    waiting: list[tuple[object, int]] = [(spec, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, tuple):
            waiting += [(item, depth) for item in reversed(part)]
        elif isinstance(part, Tree):
            if depth > DEEPEST:
                return part
            waiting += [(getattr(part, name), depth + 1) for name in reversed(part.__slots__)]
    return None
