"""The graph that every pass reads and rewrites: nodes of the core language over networkx."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import networkx

from ..dsl.core import Body, Node, Step
from ..dsl.ops import AlongAttrs, MapAttrs, ReduceAttrs
from .lift import retyped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..dsl.ops import Attrs, OpDef
    from ..dsl.source import Span
    from .lift import Typed


class InternalError(Exception):
    """A mistake of ours, not of the spec: which pass made it, at which node, and what is wrong."""

    def __init__(self, pass_name: str, node: str, why: str) -> None:
        self.pass_name, self.node, self.why = pass_name, node, why
        super().__init__(pass_name, node, why)

    def __str__(self) -> str:
        return f"after {self.pass_name}: %{self.node} {self.why}"


class Graph:
    """Nodes, what each reads, and the results. Never changed: `edit` and `rewrite` give another.

    The tables are in an order in which the nodes can be run; `nx` is the same as networkx.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        operands: Mapping[str, tuple[str, ...]],
        results: tuple[str, ...],
    ) -> None:
        self._nodes, self._operands, self._results = nodes, operands, results

    @classmethod
    def from_body(cls, body: Body) -> Graph:
        """The graph of a program. Raises InternalError if it names a node twice or has a cycle."""
        nodes = {step.node.name: step.node for step in body.steps}
        operands = {step.node.name: step.operands for step in body.steps}
        if len(nodes) < len(body.steps):
            listed = [step.node.name for step in body.steps]
            twice = next(name for name in listed if listed.count(name) > 1)
            raise InternalError("build", twice, "is there twice")
        return cls._ordered(nodes, operands, body.results)

    @classmethod
    def _ordered(
        cls, nodes: dict[str, Node], operands: dict[str, tuple[str, ...]], results: tuple[str, ...]
    ) -> Graph:
        for result in results:
            if result not in nodes:
                raise InternalError("edit", result, "is a result, but not there")
        order = _order(nodes, operands)
        return cls({n: nodes[n] for n in order}, {n: operands[n] for n in order}, results)

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the results."""
        return self._results

    def to_body(self) -> Body:
        """The same as a program."""
        steps = (Step(node, self._operands[name]) for name, node in self._nodes.items())
        return Body(tuple(steps), self.results)

    @cached_property
    def nx(self) -> networkx.MultiDiGraph:
        """As networkx, frozen: attribute `node` on nodes, the operand position as edge key."""
        graph: networkx.MultiDiGraph = networkx.MultiDiGraph()
        graph.add_nodes_from((name, {"node": node}) for name, node in self._nodes.items())
        graph.add_edges_from(
            (operand, name, position, {})
            for name, operands in self._operands.items()
            for position, operand in enumerate(operands)
        )
        frozen: networkx.MultiDiGraph = networkx.freeze(graph)
        return frozen

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes>"

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self._nodes[name]

    def operands(self, name: str) -> tuple[str, ...]:
        """What a node reads, in position order."""
        return self._operands[name]

    def users(self, name: str) -> tuple[tuple[str, int], ...]:
        """Who reads a node, and at which position, in the order of the graph."""
        return tuple(self._users.get(name, ()))

    @cached_property
    def _users(self) -> dict[str, list[tuple[str, int]]]:
        users: dict[str, list[tuple[str, int]]] = {}
        for name, operands in self._operands.items():
            for position, operand in enumerate(operands):
                users.setdefault(operand, []).append((name, position))
        return users

    def in_order(self) -> tuple[str, ...]:
        """All names so that operands come first; otherwise in order of appearance."""
        return self._in_order

    @cached_property
    def _in_order(self) -> tuple[str, ...]:
        return tuple(self._nodes)

    def at_site(self, address: str) -> str | None:
        """The name of the node at an address."""
        return self._sites.get(address)

    def sites(self) -> dict[str, str]:
        """The node at each address. What stands in a scan's body has its own graph."""
        return dict(self._sites)

    @cached_property
    def _sites(self) -> dict[str, str]:
        return {n.site: name for name, n in self._nodes.items() if n.site is not None}

    def descendants(self, names: Iterable[str]) -> frozenset[str]:
        """Everything that a change of these can change; not themselves, unless through another."""
        return _reached(names, lambda name: [user for user, _ in self._users.get(name, ())])

    def ancestors(self, names: Iterable[str]) -> frozenset[str]:
        """Everything that these need; not themselves, unless another of them needs them."""
        return _reached(names, self._operands.__getitem__)

    @contextmanager
    def edit(self) -> Iterator[Edit]:
        """One editable copy; what came of it is `edit.graph` afterwards."""
        edit = Edit(dict(self._nodes), dict(self._operands), self.results)
        yield edit
        edit.done()

    def rewrite(self, rule: Callable[[Edit, Node], str | None]) -> Graph:
        """Ask the rule about each node in order; where it names another, that one replaces it.

        Replaced nodes that nobody reads any more are gone. What the rule adds is not asked about.
        """
        with self.edit() as edit:
            for name in self._nodes:
                if name not in edit:
                    continue
                new = rule(edit, edit.node(name))
                if new is not None and new != name:
                    edit.redirect(name, new)
                    if not edit.users(name):
                        edit.remove(name)
        return edit.graph


class Edit:
    """The one editable copy of a graph that a pass makes all its changes on."""

    def __init__(
        self, nodes: dict[str, Node], operands: dict[str, tuple[str, ...]], results: tuple[str, ...]
    ) -> None:
        self._nodes, self._operands, self._results = nodes, operands, results
        self._users: dict[str, dict[tuple[str, int], None]] = {name: {} for name in nodes}
        for name, read in operands.items():
            for position, operand in enumerate(read):
                self._users[operand][name, position] = None
        self._counts: dict[str, int] = {}
        self._graph: Graph | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the results."""
        return self._results

    def node(self, name: str) -> Node:
        """The node of that name, as it is now."""
        return self._nodes[name]

    def operands(self, name: str) -> tuple[str, ...]:
        """What a node reads now, in position order."""
        return self._operands[name]

    def users(self, name: str) -> tuple[tuple[str, int], ...]:
        """Who reads a node now, and at which position; the oldest first."""
        return tuple(self._users[name])

    def type_of(self, name: str) -> Typed:
        """Axes and dtype of a node's value."""
        node = self._nodes[name]
        return node.axes, node.dtype

    def fresh(self, label: str) -> str:
        """A name that is not taken; the same one for the same edits."""
        count = self._counts.get(label, 0)
        while f"{label}_{count}" in self._nodes:
            count += 1
        self._counts[label] = count + 1
        return f"{label}_{count}"

    def add(
        self,
        op: OpDef,
        attrs: Attrs,
        operands: Iterable[str] = (),
        *,
        span: Span,
        site: str | None = None,
        scope: str = "",
        made_by: str,
    ) -> str:
        """Add a node with the type that its rule gives; its fresh name."""
        operands = tuple(operands)
        axes, dtype = op.infer(attrs, [self.type_of(name) for name in operands])
        name = self.fresh(
            attrs.fn if isinstance(attrs, (MapAttrs, ReduceAttrs, AlongAttrs)) else op.name
        )
        self._nodes[name] = Node(name, op, attrs, axes, dtype, span, site, scope, made_by)
        self._users[name] = {}
        self._operands[name] = ()
        self.set_operands(name, operands)
        return name

    def put(self, node: Node) -> None:
        """Put another record under the name of a node that is there."""
        if node.name not in self._nodes:
            raise KeyError(node.name)
        self._nodes[node.name] = node

    def redirect(self, old: str, new: str, *, only: Iterable[str] | None = None) -> None:
        """Whoever reads `old`, results included, reads `new`; with `only`, just these users.

        `new` itself goes on reading `old`.
        """
        chosen = None if only is None else frozenset(only)
        for user, position in self.users(old):
            if user == new or (chosen is not None and user not in chosen):
                continue
            read = list(self._operands[user])
            read[position] = new
            self._operands[user] = tuple(read)
            del self._users[old][user, position]
            self._users[new][user, position] = None
        if chosen is None:
            self._results = tuple(new if name == old else name for name in self._results)

    def set_operands(self, name: str, operands: Iterable[str]) -> None:
        """Make a node read these."""
        for position, operand in enumerate(self._operands[name]):
            del self._users[operand][name, position]
        self._operands[name] = tuple(operands)
        for position, operand in enumerate(self._operands[name]):
            self._users[operand][name, position] = None

    def remove(self, name: str) -> None:
        """Take out a node that nobody reads. Raises InternalError if somebody does."""
        if self._users[name] or name in self._results:
            raise InternalError("edit", name, "is removed, but still read")
        self.set_operands(name, ())
        del self._nodes[name], self._operands[name], self._users[name]

    def set_results(self, names: Iterable[str]) -> None:
        """Make these the results."""
        self._results = tuple(names)

    def retype(self, names: Iterable[str]) -> None:
        """Give these and what follows from them the types that the rules say.

        A value that has gained an axis lifts over it whatever reads it, scans and their bodies too.
        """
        stale = set(names)
        for name in _order(self._nodes, self._operands):
            read = self._operands[name]
            if name not in stale and stale.isdisjoint(read):
                continue
            node = self._nodes[name]
            new = retyped(node, [self._nodes[operand] for operand in read])
            if new != node:
                self._nodes[name] = new
                stale.add(name)

    def done(self) -> Graph:
        """The graph as it is now."""
        self._graph = Graph._ordered(dict(self._nodes), dict(self._operands), self._results)
        return self._graph

    @property
    def graph(self) -> Graph:
        """What came of the edits, once they are done."""
        if self._graph is None:
            raise RuntimeError("the edit is not done")
        return self._graph


def _order(nodes: Mapping[str, Node], operands: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Order of appearance, but what was added later stands before the first that reads it.

    Inputs keep their order: a scan's body gets its operands by it.
    """
    seen: set[str] = set()
    for name, read in operands.items():
        if not seen.issuperset(read):
            break
        seen.add(name)
    else:
        return list(nodes)
    inputs = [name for name, node in nodes.items() if node.op.name == "input"]
    placed: dict[str, None] = {}
    open_: dict[str, None] = {}
    for root in [*inputs, *nodes]:
        stack = [root]
        while stack:
            name = stack[-1]
            if name in placed:
                stack.pop()
                continue
            if name not in operands:
                raise InternalError("edit", name, "is read, but not there")
            waiting = [operand for operand in operands[name] if operand not in placed]
            if not waiting:
                placed[name] = None
                open_.pop(name, None)
                stack.pop()
                continue
            if name in open_:
                raise InternalError("edit", name, "needs itself")
            open_[name] = None
            stack += reversed(waiting)
    return list(placed)


def _reached(starts: Iterable[str], following: Callable[[str], Iterable[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        fresh = [name for name in following(waiting.pop()) if name not in found]
        found.update(fresh)
        waiting += fresh
    return frozenset(found)
