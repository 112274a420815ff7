"""Derives the step of a causal model: what is computed at new positions, from what is kept of old.

Demand runs from the results backwards. A value is wanted at the new positions of an axis, or, where
a sum or a softmax runs along it, at old ones too. A value of one such axis that is wanted at old
positions is not computed there again: it is kept, and the new ones are put behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ...dsl import sizes
from ...dsl.core import Axis, Body, DType, Node, Step
from ...dsl.items import item_attrs
from ...dsl.ops import (
    CONCAT,
    CONST,
    INDEX,
    INPUT,
    IOTA,
    ITEM,
    MAP,
    REDUCE,
    ConcatAttrs,
    ConstAttrs,
    InputAttrs,
    IotaAttrs,
    ItemAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    Select,
    StopAttrs,
    Window,
)
from ...dsl.ops import IndexAttrs as Index
from ...dsl.ops import MapAttrs as Map
from ...dsl.resize import resized
from ..graph import Graph
from ..lift import retyped
from .bands import bands
from .parts import Decoding, NotCausalError, State
from .rules import RULES

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Sequence

    from ...dsl.ops import Attrs, OpDef
    from ...dsl.sizes import Size
    from ..graph import Edit
    from .parts import Kind, Mode

    Asked = tuple[str, Mode]
    Making = Generator[Asked, str, str]

T = TypeVar("T")
NOW: Mode = frozenset()  # at the new positions alone
LEAVES = {"param", "state", "input", "random"}


def derive(graph: Graph, results: int, axis: Axis, count: Size | None = None) -> Decoding:
    """The two graphs of a model whose first `results` results are its own, along an axis that its
    inputs have, for so many new positions at a time. Raises NotCausalError."""
    work = Derivation(graph, axis, axis.size if count is None else count)
    made = [work.result(name) for name in graph.results[:results]]
    unsaid = set(work.past) - {state.reach for state in work.states if state.kind == "cache"}
    if unsaid:  # nothing that is kept says how many old positions there are: their indices do
        work = Derivation(graph, axis, work.count, unsaid)
        made = [work.result(name) for name in graph.results[:results]]
    with graph.edit() as edit:
        edit.set_results([*graph.results[:results], *(_at_end(edit, work, s) for s in work.states)])
    return Decoding(
        axis,
        edit.graph,
        work.graph([*made, *(work.news[state.name] for state in work.states)]),
        results,
        tuple(work.states),
        work.position_site,
        {reach: str(size) for reach, size in work.past.items()},
    )


class Derivation:
    """A step on its way. `size` is that of the axis in the model: what has it is along time."""

    def __init__(
        self, source: Graph, axis: Axis, count: Size, unsaid: Container[int | None] = ()
    ) -> None:
        self.unsaid = unsaid
        self.source, self.axis, self.size, self.count = source, axis, axis.size, count
        self.bands = bands(source, self.size)
        self.place = {name: index for index, name in enumerate(source.in_order())}
        self.closed = _closed(source)
        self.nodes: dict[str, Node] = {}
        self.steps: list[tuple[int, Step]] = []
        self.known: dict[Asked, str] = {}
        self.states: list[State] = []
        self.news: dict[str, str] = {}  # what each state becomes
        self.origins: dict[str, str] = {}  # the value in the model that a state is of
        self.past: dict[int | None, Size] = {}
        self.outputs: dict[str, dict[int, str]] = {}  # of scans: what their items are
        self.sites = set(source.sites())
        self.used: set[str] = set()
        self.position_site = self._free("position")
        self.at = 0  # the place in the model of what is being made

    # ---- what is along time

    def times(self, name: str) -> tuple[str, ...]:
        """The axes of a value that are along time."""
        return tuple(axis.name for axis in self.source.node(name).axes if axis.size == self.size)

    def inner(self, name: str, mode: Mode) -> Mode:
        """What of a mode a value has to do with."""
        own = set(self.times(name))
        return frozenset((axis, reach) for axis, reach in mode if axis in own)

    def kept(self, reach: int | None) -> Size:
        """How many old positions there are at hand."""
        if reach not in self.past:
            name = "past" if reach is None else f"past_{reach}"
            taken = {str(a.size) for n in self.source.in_order() for a in self.source.node(n).axes}
            while name in taken:
                name += "_"
            self.past[reach] = sizes.symbol(name)
        return self.past[reach]

    def along(self, axis: str, mode: Mode) -> Axis:
        """An axis of the model as the step has it."""
        reach = dict(mode).get(axis, 0)
        old = 0 if reach == 0 else self.kept(reach)
        return Axis(axis, sizes.add(old, self.count))

    def at_new(self, attrs: T) -> T:
        """Attributes, and programs in them, that have the new positions alone."""
        return resized(attrs, lambda size: self.count if size == self.size else size)

    def refuse(self, name: str, why: str, hint: str | None = None) -> NotCausalError:
        """What is in the way, at a value."""
        node = self.source.node(name)
        where = f"`{node.site}` " if node.site else "this "
        return NotCausalError(f"{where}{why}", node.span, hint)

    # ---- making values

    def result(self, name: str) -> str:
        """A result of the model at the new positions; along other such axes, at all."""
        times = self.times(name)
        own = self.axis.name if self.axis.name in times else (times or ("",))[0]
        return self.value(name, frozenset((axis, None) for axis in times if axis != own))

    def value(self, name: str, mode: Mode) -> str:
        """A value in a mode, and all that it needs, operands first."""
        if (name, mode) in self.known:
            return self.known[name, mode]
        waiting = [((name, mode), self._making(name, mode))]
        given: str | None = None
        while waiting:
            asked, making = waiting[-1]
            self.at = self.place[asked[0]]
            try:
                needed = making.send(given) if given is not None else next(making)
            except StopIteration as done:
                waiting.pop()
                given = self.known[asked] = done.value
                continue
            given = self.known.get(needed)
            if given is None:
                waiting.append((needed, self._making(*needed)))
        return self.known[name, mode]

    def _making(self, name: str, mode: Mode) -> Making:
        node = self.source.node(name)
        times = self.times(name)
        for own in node.axes:
            if own.size != self.size and self._speaks(own.size):
                why = f"has {own.size} positions, which are not those of `{self.axis.name}`"
                raise self.refuse(name, why)
        if mode and len(times) == 1 and name not in self.closed and not _is_view(node):
            ((axis, reach),) = mode
            new = yield name, NOW
            return self.held(name, axis, reach, new)
        return (yield from RULES[node.op.name](self, node, mode))

    def _speaks(self, size: Size) -> bool:
        return not sizes.symbols(size).isdisjoint(sizes.symbols(self.size))

    def held(self, name: str, axis: str, reach: int | None, new: str) -> str:
        """The value at old positions too: kept, and the new ones behind them."""
        node = self.nodes[new]
        old = Axis(axis, self.kept(reach))
        axes = tuple(old if own.name == axis else own for own in node.axes)
        before = self.state("cache", name, axes, node.dtype, axis, reach)
        whole = self.put(CONCAT, ConcatAttrs(axis), (before, new), node)
        self.news[before] = whole
        return whole

    def state(
        self,
        kind: Kind,
        name: str,
        axes: Sequence[Axis],
        dtype: DType,
        axis: str = "",
        reach: int | None = None,
        *,
        place: int = 0,
        fill: float = 0.0,
        of: str | None = None,
    ) -> str:
        """An input for what is kept of a value."""
        node = self.source.node(name)
        others = [own for own in axes if own.name != axis]
        others.sort(key=lambda own: isinstance(own.size, int))  # examples in front
        order = [own.name for own in others]
        if len(others) < len(
            axes
        ):  # in memory positions stand together, as attention and windows read them
            order.insert(max(len(order) - 1, 0), axis)
        of = of or node.site or node.name
        site = self._free(f"{of if '.' in of or node.site else kind}_past")
        attrs = InputAttrs(tuple(order), tuple(axes), dtype, axis if kind == "cache" else "")
        made = self.put(INPUT, attrs, (), node, site=site)
        self.states.append(State(kind, made, site, axis, reach, of, place, fill))
        self.origins[made] = name
        return made

    def _free(self, site: str) -> str:
        while site in self.sites:
            site += "_"
        self.sites.add(site)
        return site

    def position(self) -> str:
        """How many positions there were before."""
        asked = "", NOW
        if asked not in self.known:
            like = self.source.node(self.source.in_order()[0])
            attrs = InputAttrs((), (), DType.INT)
            before, self.at = self.at, -1
            self.known[asked] = self.put(INPUT, attrs, (), like, site=self.position_site)
            self.at = before
        return self.known[asked]

    def index(self, node: Node, axis: str, mode: Mode) -> str:
        """The positions along an axis."""
        reach = dict(mode).get(axis, 0)
        if reach != 0 and reach in self.unsaid:
            return self.held(node.name, axis, reach, self.index(node, axis, NOW))
        index = self.plain(self.along(axis, mode), node)
        if reach is None:
            return index
        first = self.position()
        if reach:
            held = self.length(node, Axis(axis, self.kept(reach)))
            first = self.put(MAP, Map("sub"), (first, held), node)
        return self.put(MAP, Map("add"), (index, first), node)

    def length(self, node: Node, axis: Axis) -> str:
        """The size of an axis as a value."""
        index = self.plain(axis, node)
        there = self.put(MAP, Map("ge"), (index, self.number(0, node)), node)
        return self.put(REDUCE, ReduceAttrs("sum", (axis.name,)), (there,), node)

    def number(self, value: float, node: Node) -> str:
        """A number."""
        return self.put(CONST, ConstAttrs(value), (), node)

    def plain(self, axis: Axis, node: Node) -> str:
        """The index along an axis, from 0."""
        return self.put(IOTA, IotaAttrs(axis), (), node)

    def shifted(self, index: str, by: Size, node: Node) -> str:
        """Positions so much further on."""
        if by == 0:
            return index
        if not isinstance(by, int):
            raise self.refuse(node.name, f"reads from position {by} on")
        return self.put(MAP, Map("add"), (index, self.number(by, node)), node)

    def spread(self, value: str, axis: Axis, node: Node) -> str:
        """A value repeated along an axis, if it lacks it."""
        if axis.name in self.nodes[value].axis_names:
            return value
        always = self.put(MAP, Map("ge"), (self.plain(axis, node), self.number(0, node)), node)
        return self.put(MAP, Map("where"), (always, value, value), node)

    def filled(self, value: str, like: Node, node: Node) -> str:
        """A value with the axes and the dtype of a carry that it becomes."""
        for axis in like.axes:
            value = self.spread(value, axis, node)
        if self.nodes[value].dtype is not like.dtype:
            value = self.put(MAP, Map(str(like.dtype)), (value,), node)
        return value

    def site_of(self, node: Node) -> str | None:
        """The address of a node of the model, if nothing of the step has it yet."""
        if node.site is None or node.site in self.used:
            return None
        return node.site

    def put(
        self,
        op: OpDef,
        attrs: Attrs,
        operands: Sequence[str],
        like: Node,
        *,
        site: str | None = None,
        name: str | None = None,
    ) -> str:
        """Add a node, with the type that its rule gives, where `like` stands."""
        read = [self.nodes[operand] for operand in operands]
        base = name = name or f"{like.name}_{op.name}"
        number = 1
        while name in self.nodes:
            name = f"{base}_{number}"
            number += 1
        bare = Node(name, op, attrs, (), like.dtype, like.span, site, like.scope, "decode")
        node = retyped(bare, read)
        if site is not None:
            self.used.add(site)
        self.nodes[name] = node
        self.steps.append((self.at, Step(node, tuple(operands))))
        return name

    def again(self, node: Node, operands: Sequence[str], attrs: Attrs | None = None) -> str:
        """The same operation on other operands, under the address of the node if it is free."""
        site = self.site_of(node)
        attrs = node.attrs if attrs is None else attrs
        return self.put(node.op, attrs, operands, node, site=site, name=node.name)

    def graph(self, results: Sequence[str]) -> Graph:
        """The step, its nodes in the order of the model's."""
        ordered = sorted(self.steps, key=lambda entry: entry[0])
        return Graph.from_body(Body(tuple(step for _, step in ordered), tuple(results)))


def _is_view(node: Node) -> bool:
    """Whether it is the same value under another name, which is kept only once."""
    match node.attrs:
        case RenameAttrs(pairs):
            return all(len(old) == len(new) == 1 for old, new in pairs)
    return isinstance(node.attrs, StopAttrs)


def _closed(graph: Graph) -> frozenset[str]:
    """Values of indices and numbers alone."""
    found: set[str] = set()
    for name in graph.in_order():
        apart = graph.node(name).op.name in {*LEAVES, "scan", "item"}
        if not apart and found.issuperset(graph.operands(name)):
            found.add(name)
    return frozenset(found)


def _at_end(edit: Edit, work: Derivation, state: State) -> str:
    """What a state is when the prompt is read."""
    name = work.origins[state.name]
    node = edit.node(name)

    def add(op: OpDef, attrs: Attrs) -> str:
        return edit.add(op, attrs, (name,), span=node.span, scope=node.scope, made_by="decode")

    match state.kind:
        case "window":
            assert state.reach is not None
            term = Axis(state.axis, state.reach)
            first = sizes.subtract(work.size, state.reach)
            return add(INDEX, Index(Window(state.axis, ((term, 1),), first, state.fill)))
        case "total":
            return add(INDEX, Index(Select(state.axis, -1)))
        case "first":
            return add(INDEX, Index(Select(state.axis, 0)))
        case "carry":
            assert isinstance(node.attrs, ScanAttrs)
            place = state.place
            for user, _ in edit.users(name):
                attrs = edit.node(user).attrs
                if isinstance(attrs, ItemAttrs) and attrs.index == place:
                    return user
            return add(ITEM, item_attrs(node.attrs, place))
    return name
