"""Reads off how the new carries of a scan depend on the old ones.

Carries that depend on each other are one `Group`; carries of other groups are known before. A group
is of the first `Kind` that fits: of each kind follow the parallel forms that it allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import networkx

from ...dsl.core import names
from ...dsl.ops import INPUT, ContractAttrs
from ..graph import Edit, Graph
from ..show import called
from .algebra import Algebra
from .interpret import Interpreter, Unsaid
from .mixing import mixing
from .parts import parts

if TYPE_CHECKING:
    from ...dsl.ops import ScanAttrs
    from ...dsl.source import Span
    from .interpret import Form
    from .parts import Correction, Parts


class Kind(StrEnum):
    """What a new carry is of the old one, the easiest to run in parallel first."""

    ELEMENTWISE = "elementwise linear"
    LOW_RANK = "diagonal plus low rank"
    AFFINE = "affine"
    SEPARATE = "nonlinear, each element by itself"
    NONLINEAR = "nonlinear"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a group from an easier kind, and where it stands in the spec."""

    text: str
    span: Span

    def __str__(self) -> str:
        return f"{self.text} ({self.span})"


@dataclass(frozen=True, slots=True)
class Group:
    """Carries that depend on each other, by their places in the scan.

    `parts` has for each of them the decays, corrections and inputs that its new value is the sum
    of, if it is affine. `mixed` are the axes along which an element depends on others.
    """

    carries: tuple[int, ...]
    kind: Kind
    parts: tuple[Parts, ...] | None
    mixed: frozenset[str]
    obstacle: Obstacle | None

    @property
    def corrections(self) -> tuple[Correction, ...]:
        """What is of low rank in it."""
        return tuple(c for own in self.parts or () for c in own.corrections)


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A scan, taken apart. Groups stand in an order in which they can be run.

    `body` is the scan's body and the coefficients that were read off it. `level` says for each of
    its nodes which group it depends on last; -1 is none.
    """

    scan: ScanAttrs
    body: Edit
    order: tuple[str, ...]
    carries: tuple[str, ...]
    groups: tuple[Group, ...]
    forms: tuple[dict[str, Form], ...]
    algebra: Algebra
    level: dict[str, int]

    def form(self, group: int, name: str) -> Form:
        """The value of a node as an expression of a group's old carries."""
        found = self.forms[group].get(name)
        return self.algebra.known(name) if found is None else found


def classify(scan: ScanAttrs) -> Recurrence:
    """What a scan with carries is. Its body has no idle nodes: run `prune` before."""
    graph = Graph.from_body(scan.body)
    order = graph.in_order()
    inputs = [name for name in order if graph.node(name).op is INPUT]
    carries = tuple(inputs[: scan.carries])
    edit = Edit(
        {name: graph.node(name) for name in order},
        {name: graph.operands(name) for name in order},
        graph.results,
    )
    taken = {axis for name in order for axis in names(graph.node(name).axes)}
    algebra = Algebra(edit, graph.node(inputs[0]), {*taken, scan.axis.name})
    groups, forms = [], []
    for members in _coupled(graph, carries):
        interpreter = Interpreter(algebra, {carries[place]: place for place in members})
        interpreter.run(order)
        groups.append(_group(scan, graph, carries, members, interpreter))
        forms.append(interpreter.forms)
    level = dict.fromkeys(order, -1)
    for at, group in enumerate(groups):
        own = [carries[place] for place in group.carries]
        level |= dict.fromkeys(graph.descendants(own) | set(own), at)
    return Recurrence(scan, edit, order, carries, tuple(groups), tuple(forms), algebra, level)


def _coupled(graph: Graph, carries: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Carries that depend on each other, together; what depends on others comes after them."""
    places = {name: place for place, name in enumerate(carries)}
    needs: networkx.DiGraph[int] = networkx.DiGraph()
    needs.add_nodes_from(range(len(carries)))
    for place, new in enumerate(graph.results[: len(carries)]):
        above = graph.ancestors([new]) | {new}
        needs.add_edges_from((places[name], place) for name in carries if name in above)
    together = networkx.condensation(needs)
    # among those that may come next, the first as written
    turns = networkx.lexicographical_topological_sort(
        together, key=lambda node: min(together.nodes[node]["members"])
    )
    return [tuple(sorted(together.nodes[node]["members"])) for node in turns]


def _group(
    scan: ScanAttrs,
    graph: Graph,
    carries: tuple[str, ...],
    members: tuple[int, ...],
    interpreter: Interpreter,
) -> Group:
    own = [carries[place] for place in members]
    results = [scan.body.results[place] for place in members]
    mixed = mixing(graph, own)
    along = frozenset(axis for name in results for axis in mixed.get(name, ()))
    alike = len({frozenset(graph.node(name).axes) for name in own}) == 1
    said = [interpreter.form(name) for name in results]
    unsaid = sorted((f for f in said if isinstance(f, Unsaid)), key=lambda form: form.linear)
    if unsaid:
        kind = Kind.AFFINE
        if not unsaid[0].linear:
            kind = Kind.SEPARATE if alike and not along else Kind.NONLINEAR
        return Group(members, kind, None, along, _unsaid(graph, unsaid[0], along))
    found = tuple(
        parts(interpreter.algebra, form, members) for form in said if not isinstance(form, Unsaid)
    )
    span = next((graph.node(n).span for n in graph.in_order() if mixed.get(n)), None)
    span = span or graph.node(results[0]).span
    other = next((own.other for own in found if own.other), "")
    if other or not alike:
        why = other or "the carries that depend on each other have different axes"
        return Group(members, Kind.AFFINE, found, along, Obstacle(why, span))
    if not any(own.corrections for own in found):
        return Group(members, Kind.ELEMENTWISE, found, along, None)
    over = frozenset(axis for own in found for c in own.corrections for axis in c.over)
    why = f"the old carry is summed over {_listed(over)}"
    return Group(members, Kind.LOW_RANK, found, along, Obstacle(why, span))


def _unsaid(graph: Graph, form: Unsaid, along: frozenset[str]) -> Obstacle:
    """Why a value is no sum of products of old carries."""
    node = graph.node(form.cause)
    if form.linear:
        why = f"`{called(node)}` of the carry is no product with what is known before"
    elif isinstance(node.attrs, ContractAttrs) or called(node) in ("mul", "div"):
        why = "it is multiplied by, or divided by, what depends on it"
    else:
        why = f"the carry goes through `{called(node)}`"
    if along and not form.linear:
        why += f", and its elements are mixed along {_listed(along)}"
    return Obstacle(why, node.span)


def _listed(axes: frozenset[str]) -> str:
    return " and ".join(f"`{axis}`" for axis in sorted(axes))
