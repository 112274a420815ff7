"""Writes a whole program: a function for each kind of turn, classes for what holds parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from ....dsl import sizes as size_rules
from ....dsl.core import Node, names
from ....dsl.ops import INPUT, InputAttrs
from ...fusion.grouping import fused
from ..flow import Flow, flow, titles
from ..functions import Call, Function, Path, functions, path_of
from ..recognise.selection import Plan, plan
from .formatting import body
from .freeing import freed
from .layout import Value, permuted, squeezed
from .loops import Loop, runs, unified
from .names import Names
from .parameters import Module, reference, tree
from .shapes import read_sizes
from .table import rule
from .tails import Tails
from .writer import Beside, Writer, leaf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.program import CheckedModel
    from ....dsl.sizes import Size
    from ...artifact import ContractionCall, KernelCall, RegionCall
    from ...fusion.grouping import Worth
    from ...graph import Graph
    from ..recognise.selection import Contractions
    from .writer import Choice

KEPT = {"param", "state"}


@dataclass(frozen=True)
class Method:
    """A function as written: how it is called, and the layouts of what goes in and comes out."""

    name: str
    arguments: tuple[str, ...]
    layouts: tuple[tuple[str, ...], ...]
    results: tuple[Value, ...]
    sizes: tuple[Size, ...]
    body: tuple[str, ...]
    laid: tuple[tuple[str, Beside], ...]

    @property
    def signature(self) -> str:
        """Its parameters."""
        return ", ".join(("self", *self.arguments))


@dataclass(eq=False)
class Program:
    """A program on its way to source."""

    model: CheckedModel
    flow: Flow
    root: Function
    plans: dict[int, Plan] = field(default_factory=dict)
    methods: dict[int, Method] = field(default_factory=dict)
    homes: dict[Path, list[Function]] = field(default_factory=dict)
    helpers: dict[str, None] = field(default_factory=dict)
    memory: dict[str, tuple[str, ...]] = field(default_factory=dict)  # see `Writer.stored`
    stored: tuple[Node, ...] = ()
    results: tuple[str, ...] = ()
    updates: tuple[
        tuple[str, str], ...
    ] = ()  # values, and the states that the root updates by them
    tails: Tails = field(default_factory=lambda: Tails({}))
    module: Module = field(default_factory=lambda: Module(()))
    kernels: Choice | None = None
    contractions: Contractions | None = None
    fusing: Worth | None = None
    lean: bool = False
    calls: dict[str, KernelCall | ContractionCall | RegionCall] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        graph: Graph,
        model: CheckedModel,
        kernels: Choice | None = None,
        contractions: Contractions | None = None,
        fusing: Worth | None = None,
        *,
        lean: bool = False,
    ) -> Program:
        """The program of a graph, planned."""
        known = flow(graph, titles(model.body, model.aliases))
        count = len(known.results) - len(model.updates)
        updates: dict[str, list[str]] = {}
        for name, site in zip(known.results[count:], model.updates, strict=True):
            updates.setdefault(name, []).append(site)
        root, updated = functions(known, updates)
        program = cls(model, known, root, kernels=kernels, contractions=contractions, fusing=fusing)
        program.lean = lean
        program.updates = tuple(
            (name, site)
            for name, site in zip(known.results[count:], model.updates, strict=True)
            if site not in updated
        )
        program.results = known.results[:count]
        program.tails = Tails(program.plans)
        program._plan(program.root)
        program._settle(program.root, ())
        kept = {s.node.site: s.node for s in model.body.steps if s.node.op.name in KEPT}
        kept |= {n.site: n for n in known.nodes.values() if n.op.name in KEPT}
        program.stored = tuple(kept.values())
        program.module = tree(program.stored)
        return program

    def _plan(self, function: Function) -> None:
        for item in function.items:
            if isinstance(item, Call) and id(item.function) not in self.plans:
                self._plan(item.function)
        own = self.flow_of(function)
        results = (*self.results, *(name for name, _ in self.updates))
        made = plan(
            own,
            function,
            self.plans,
            results=results if function is self.root else None,
            contractions=self.contractions,
        )
        if self.fusing is not None:
            made = fused(own, function.items, made, self.fusing)
        self.plans[id(function)] = made

    def flow_of(self, function: Function) -> Flow:
        """The program as a function sees it: numbers that vary from turn to turn are arguments."""
        if not function.numbers:
            return self.flow
        nodes, reads = dict(self.flow.nodes), dict(self.flow.reads)
        for at, (user, position) in enumerate(function.numbers):
            old = nodes[reads[user][position]]
            name = f"{user}:{position}"
            attrs = InputAttrs((), (), old.dtype)
            nodes[name] = replace(old, name=name, op=INPUT, attrs=attrs, site=f"number_{at}")
            reads[name] = ()
            reads[user] = (*reads[user][:position], name, *reads[user][position + 1 :])
        return replace(self.flow, nodes=nodes, reads=reads)

    def _settle(self, function: Function, home: Path) -> None:
        """Which functions the code of each module has."""
        for item in function.items:
            if not isinstance(item, Call):
                continue
            inner = None
            if item.home is not None:
                inner = (*home, *item.home[len(function.home or ()) :])
                found = self.homes.setdefault(inner, [])
                if item.function not in found:
                    found.append(item.function)
            self._settle(item.function, home if inner is None else inner)

    def wish(self, function: Function, name: str) -> tuple[str, ...] | None:
        """The order of axes in which a function would have a table that it is given."""
        axes = self.flow.nodes[name].axis_names
        for piece in self.plans[id(function)].pieces.values():
            if name in piece.reads and axes <= piece.node.axis_names:
                return tuple(axis for axis in names(piece.node.axes) if axis in axes)
        return None

    def length(self, path: Path) -> int:
        """How many turns stand at a path."""
        module = self.module
        for key in path:
            module = module.parts[key]
        return len(module.parts)

    # ---- functions

    def method(
        self, function: Function, given: Sequence[Value], wanted: dict[int, tuple[str, ...]]
    ) -> Method:
        """The function as written, for operands like these."""
        if id(function) not in self.methods:
            self.methods[id(function)] = self._written(function, given, wanted)
        return self.methods[id(function)]

    def _written(
        self, function: Function, given: Sequence[Value], wanted: dict[int, tuple[str, ...]]
    ) -> Method:
        own = self.flow_of(function)
        held = self.plans[id(function)]
        w = self._writer(own, held, function)
        nodes = [own.nodes[name] for name in (*function.takes, *held.borrowed)]
        layouts = [value.axes for value in given]
        for node, layout, value in zip(nodes, layouts, given, strict=True):
            word = value.text if value.text.isidentifier() else "given"
            self._argument(w, node, layout, word, plain=value.plain)
        for user, position in function.numbers:
            node = own.nodes[f"{user}:{position}"]
            name = w.names.take("number")
            w.arguments[name] = node
            w.values[node.name] = Value(name, dtype=node.dtype, plain=True)
        self._body(w, function)
        for name, site in function.updates:
            self._update(w, name, site, function.home or ())
        results = unified([w.tensor(w.need(name)) for name in function.gives], wanted)
        if results:
            w.line(f"return {', '.join(value.text for value in results)}")
        missing = read_sizes(w)
        return self._finished(function, w, results, layouts, missing)

    def _finished(
        self,
        function: Function,
        w: Writer,
        results: Sequence[Value],
        layouts: Sequence[tuple[str, ...]],
        missing: Sequence[str],
    ) -> Method:
        self.helpers |= w.helpers
        self.memory |= w.stored
        parts = self._parts(function, w)
        return Method(
            self._name(function),
            (*w.arguments, *(w.symbols[symbol] for symbol in missing)),
            tuple(layouts),
            tuple(replace(value, text="") for value in results),
            tuple(size_rules.symbol(symbol) for symbol in missing),
            tuple(body(freed(w.lines.lines, parts, lean=self.lean), parts)),
            tuple(w.laid.items()),
        )

    def _writer(self, own: Flow, held: Plan, function: Function) -> Writer:
        home = function.home

        def parameter(node: Node) -> Value:
            path = path_of(node.site or node.name)
            if home is None or path[: len(home)] != home:
                raise KeyError(node.name)
            return leaf(node, reference(path[len(home) :]))

        w = Writer(own, held, rule, parameter, scope=function.scope)
        w.kernels, w.calls = self.kernels, self.calls
        w.tail = lambda name: self.tails.of(function, name)
        return w

    def _argument(
        self,
        w: Writer,
        node: Node,
        layout: Sequence[str],
        word: str = "given",
        *,
        plain: bool = False,
    ) -> None:
        name = w.names.take(w.label(node, word))
        w.arguments[name] = node
        value = Value(name, tuple(layout), node.dtype, plain=plain)
        w.values[node.name] = value
        w.rounded.add(node.name)
        if not plain:
            w.examples.append(value)

    def _body(self, w: Writer, function: Function) -> None:
        stored = [
            n
            for n in w.flow.nodes.values()
            if n.op.name == "param"
            and function.home is not None
            and path_of(n.site or "")[: len(function.home)] == function.home
        ]
        w.examples += [w.parameter(node) for node in stored[:1]]
        for item in runs(function.items):
            if isinstance(item, list):
                Loop(self, w, item, function.home or (), function).write()
            elif item in w.plan.pieces and not w.plan.inside(item) and item not in w.values:
                w.peek(item)

    def _update(self, w: Writer, name: str, site: str, home: Path) -> None:
        node = next(own for own in self.stored if own.site == site)
        value = w.exactly(w.cast(w.need(name), node.dtype), node.axes)
        w.line(f"{reference(path_of(site)[len(home) :])} = {value.atom}.detach()", node)

    def _name(self, function: Function) -> str:
        if function is self.root:
            return "forward"
        lists = [own for own in self.homes.values() if function in own]
        if lists and all(own[0] is function for own in lists):
            return "forward"
        first = path_of(function.scope)
        word = (
            first[0]
            if lists and len(first) > 2
            else next((key for key in reversed(first) if not key.isdigit()), "turn")
        )
        used = {method.name for method in self.methods.values()}
        return Names(used | {"forward"}).take(word)

    def _parts(self, function: Function, w: Writer) -> dict[str, str]:
        """Where in the spec the calls stand that a function is made of."""
        found: dict[str, tuple[bool, str]] = {}
        for name in function.items:
            if not isinstance(name, str) or name not in w.plan.pieces:
                continue
            node = w.flow.nodes[name]
            part = w.part(node)
            own = node.scope == ".".join(filter(None, (function.scope, part)))
            if part not in found or (own and not found[part][0]):
                line = node.span.source.position(node.span.start)[0]
                found[part] = own, f"{PurePath(node.span.source.name).name}:{line}"
        return {part: place for part, (_, place) in found.items() if part}

    def functions(self) -> list[Function]:
        """All functions, those that are called first."""
        found: dict[int, Function] = {}

        def walk(function: Function) -> None:
            for item in function.items:
                if isinstance(item, Call) and id(item.function) not in found:
                    walk(item.function)
            found[id(function)] = function

        walk(self.root)
        return list(found.values())

    def root_method(self) -> Method:
        """The model's own function, its border as the spec declares it."""
        own, function = self.flow, self.root
        w = self._writer(own, self.plans[id(function)], function)
        inputs = {s.node.name: s.node for s in self.model.body.steps if s.node.op is INPUT}
        inputs |= {n.name: n for n in own.nodes.values() if n.op is INPUT}
        for node in inputs.values():
            self._argument(w, node, _order(node))
        for node in own.nodes.values():
            if node.op.name == "random":
                self._argument(w, node, names(node.axes))
        self._body(w, function)
        results = []
        for name, declared in zip(self.results, self.model.results, strict=True):
            value = squeezed(w.tensor(w.need(name)))
            order = [axis for axis in value.axes if axis not in declared.order]
            results.append(
                permuted(value, [*order, *(a for a in declared.order if a in value.axes)])
            )
        for name, site in self.updates:
            self._update(w, name, site, ())
        w.line(f"return {', '.join(value.text for value in results)}")
        read_sizes(w)
        return self._finished(function, w, results, [], [])


def _order(node: Node) -> tuple[str, ...]:
    assert isinstance(node.attrs, InputAttrs)
    return node.attrs.order
