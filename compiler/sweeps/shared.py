"""What all parts of a sweep have in common, as a graph of its own that is run once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import INPUT, PARAM, RANDOM, InputAttrs
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
        """A part's graph that is given these values, but for those that it computes otherwise."""
        with part.edit() as edit:
            for name in self.names:
                if name not in part or not _same(part, self.graph, name):
                    continue
                node = part.node(name)
                attrs = InputAttrs(names(node.axes), node.axes, node.dtype)
                given = edit.add(INPUT, attrs, span=node.span, made_by="sweep")
                edit.put(replace(edit.node(given), site=held_as(name)))
                edit.redirect(name, given)
        return prune(edit.graph, Context())


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
    with graph.edit() as edit:
        edit.set_results(found)
    return Held(prune(edit.graph, Context()), tuple(found))


def _same(part: Graph, whole: Graph, name: str) -> bool:
    """Whether a value is computed in the same way in both."""
    return all(
        other in whole
        and part.node(other).op is whole.node(other).op
        and repr(part.node(other).attrs) == repr(whole.node(other).attrs)
        and part.operands(other) == whole.operands(other)
        for other in (name, *part.ancestors([name]))
    )
