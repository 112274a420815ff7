"""What all parts of a sweep have in common, as a graph of its own that is run once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import INPUT, PARAM, RANDOM, STATE, InputAttrs
from ..context import Context
from ..passes.prune import prune

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..graph import Graph


@dataclass(frozen=True, slots=True)
class Held:
    """`graph` gives values that are the same in all members; `names` are their nodes."""

    graph: Graph
    names: tuple[str, ...]

    def within(self, part: Graph) -> Graph:
        """The graph that they were taken from, given these values."""
        with part.edit() as edit:
            for name in self.names:
                node = part.node(name)
                attrs = InputAttrs(names(node.axes), node.axes, node.dtype)
                given = edit.add(INPUT, attrs, span=node.span, made_by="sweep")
                edit.put(replace(edit.node(given), site=held_as(name)))
                edit.redirect(name, given)
        return prune(edit.graph, Context())

    def only(self, wanted: Collection[str]) -> Held:
        """Some of these values."""
        with self.graph.edit() as edit:
            edit.set_results(list(wanted))
        return Held(prune(edit.graph, Context()), tuple(wanted))


class Contents:
    """Numbers that are equal for values that are computed in the same way, in whatever graph and
    under whatever name."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}

    def of(self, graph: Graph) -> dict[str, int]:
        """By name, for all values of a graph."""
        found: dict[str, int] = {}
        for name in graph.in_order():
            node = graph.node(name)
            label = (node.site or name) if node.op in (INPUT, PARAM, STATE) else ""
            read = tuple(found[operand] for operand in graph.operands(name))
            key = (node.op, label, repr(node.attrs), read)
            found[name] = self._known.setdefault(key, len(self._known))
        return found


def held_as(name: str) -> str:
    """What a value that is held is called as an input."""
    return f"held.{name}"


def apart(graph: Graph, own: Collection[str]) -> Held:
    """What of a graph does not depend on the inputs `own`, and is read by what does.

    What depends on no input at all is left where it is: a mask that is seen is recognised, and a
    parameter is where it is. Drawn numbers are held, so that all parts see the same.
    """
    differs = {*own, *graph.descendants(own)}
    starts = [
        name
        for name in graph.in_order()
        if graph.node(name).op in (INPUT, RANDOM) and name not in differs
    ]
    moved = {*starts, *graph.descendants(starts)} - differs
    found = [
        name
        for name in graph.in_order()
        if name in moved
        and graph.node(name).op not in (INPUT, PARAM)
        and any(user in differs for user, _ in graph.users(name))
    ]
    return Held(graph, ()).only(found)
