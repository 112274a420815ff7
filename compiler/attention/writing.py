"""Writes a contraction as a program of its own: what is computed inside, and what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import Axis, Body, DType, Node, Step, names
from ...dsl.ops import (
    ALONG_OP,
    CONST,
    CONTRACT,
    INDEX,
    INPUT,
    IOTA,
    MAP,
    REDUCE,
    STOP,
    AlongAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    StopAttrs,
)
from ...dsl.source import GENERATED
from .contraction import DOT, KEY, QUERY, Contraction
from .places import Read, Unfit, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...dsl.ops import Attrs, OpDef
    from ..emit.recognise.patterns import View
    from .places import Places


class Writing:
    """The program as it grows. `opens` says which values are computed inside if they can be."""

    def __init__(
        self,
        view: View,
        lanes: Sequence[Axis],
        query: Axis,
        key: Axis,
        opens: Callable[[str], bool],
    ) -> None:
        self.view, self.opens = view, opens
        self.words = {axis.name: f"l{at}" for at, axis in enumerate(lanes)}
        self.words |= {query.name: QUERY, key.name: KEY}
        self.lanes = tuple(Axis(self.words[axis.name], axis.size) for axis in lanes)
        self.query, self.key = query, key
        self.inputs: list[Step] = []
        self.steps: list[Step] = []
        self.reads: list[Read] = []
        self.nodes: dict[str, Node] = {}
        self.inner: set[str] = set()
        self._made: dict[object, str] = {}
        self._tables = 0

    def contracted(
        self, top: str, places: Places, score: str, inputs: Sequence[str], *, softmax: bool
    ) -> Contraction:
        """The contraction of what `top` is made of. Raises Unfit."""
        q, k, v = inputs
        self.score, self.product = score, self.add(CONTRACT, ContractAttrs((DOT,)), q, k)
        weight = self.value(top, places)
        if not {QUERY, KEY} <= self.nodes[weight].axis_names:
            raise Unfit
        results = []
        if softmax:
            pattern = self.add(ALONG_OP, AlongAttrs("softmax", (KEY,)), weight)
            results = [self.add(REDUCE, ReduceAttrs("logsumexp", (KEY,)), weight)]
        else:
            pattern = weight
        results.insert(0, self.add(CONTRACT, ContractAttrs((KEY,)), pattern, v))
        body = Body((*self.inputs, *self.steps), tuple(results))
        return Contraction(body, self.lanes, self.product, weight, softmax)

    def add(self, op: OpDef, attrs: Attrs, *operands: str) -> str:
        """A node; the same one for the same."""
        exact = repr(attrs) if isinstance(attrs, ConstAttrs) else attrs  # 1, 1.0 and True are equal
        known = (op.name, exact, operands)
        if known not in self._made:
            axes, dtype = op.infer(
                attrs, [(self.nodes[o].axes, self.nodes[o].dtype) for o in operands]
            )
            name = f"x{len(self.nodes)}"
            self.nodes[name] = Node(name, op, attrs, axes, dtype, GENERATED)
            self.steps.append(Step(self.nodes[name], operands))
            self._made[known] = name
        return self._made[known]

    # ---- what is read

    def read(self, name: str, places: Places, words: Mapping[str, str] | None = None) -> Read:
        """How a value from outside is read."""
        known = {**self.words, **(words or {})}
        own = []
        for axis in self.view.flow.nodes[name].axes:
            parts = places[axis.name]
            own.append((axis.name, tuple(Axis(known[part.name], part.size) for part in parts)))
        return Read(name, tuple(own))

    def leaf(self, name: str, places: Places, words: Mapping[str, str] | None = None) -> str:
        """An input of the program."""
        try:
            read = self.read(name, places, words)
        except KeyError:
            raise Unfit from None
        if read not in self._made:
            node = self.view.flow.nodes[name]
            axes = tuple(axis for _, parts in read.places for axis in parts)
            if len(set(names(axes))) < len(axes):
                raise Unfit
            attrs = InputAttrs(names(axes), axes, node.dtype)
            made = Node(f"x{len(self.nodes)}", INPUT, attrs, axes, node.dtype, GENERATED)
            made = made.at(made.name)
            self.nodes[made.name] = made
            self.inputs.append(Step(made, ()))
            self.reads.append(read)
            self._made[read] = made.name
        return self._made[read]

    # ---- what is computed

    def value(self, name: str, places: Places) -> str:
        """A value of the program, computed inside where that is possible."""
        flow = self.view.flow
        node, read = flow.nodes[name], flow.reads[name]
        if name == self.score:
            return self.product
        if name in flow.numbers:
            return self.add(CONST, ConstAttrs(_exactly(flow.numbers[name], node.dtype)))
        axes = {axis.name for own in names(node.axes) for axis in places[own]}
        pair = {self.query.name, self.key.name}
        leads = self.opens(name) and name not in flow.closed
        positions = name in flow.closed and axes and axes <= pair and node.dtype is not DType.FLOAT
        inside = leads or pair <= axes or positions
        alone = name in flow.closed or leads or len(flow.users[name]) == 1
        if not inside or not alone or name in flow.lengths or not self.view.opens(name):
            if leads:
                raise Unfit
            return self.leaf(name, places)
        match node.attrs:
            case IotaAttrs(axis=axis) if len(places[axis.name]) == 1:
                (own,) = places[axis.name]
                return self.add(IOTA, IotaAttrs(Axis(self.words[own.name], own.size)))
            case MapAttrs() | ContractAttrs(axes=()):
                return self._pointwise(node, read, places)
            case StopAttrs():
                self.inner.add(name)
                return self.add(STOP, StopAttrs(), self.value(read[0], places))
            case RenameAttrs(pairs=pairs):
                try:
                    below = renamed(places, pairs, flow.nodes[read[0]])
                except Unfit:
                    if leads:
                        raise
                    return self.leaf(name, places)
                self.inner.add(name)
                return self.value(read[0], below)
            case IndexAttrs(how=Gather() as how) if not leads:
                return self._gathered(node, how, read, places)
        if leads:
            raise Unfit
        return self.leaf(name, places)

    def _pointwise(self, node: Node, read: tuple[str, ...], places: Places) -> str:
        flow = self.view.flow
        self.inner.add(node.name)
        own = [
            self.value(o, {axis: places[axis] for axis in names(flow.nodes[o].axes)}) for o in read
        ]
        if isinstance(node.attrs, MapAttrs):
            return self.add(MAP, node.attrs, *own)
        product = own[0]
        for other in own[1:]:
            product = self.add(MAP, MapAttrs("mul"), product, other)
        return product

    def _gathered(self, node: Node, how: Gather, read: tuple[str, ...], places: Places) -> str:
        """A table at positions that are computed inside."""
        flow = self.view.flow
        table, at = (flow.nodes[name] for name in read)
        rest = {axis: places.get(axis, ()) for axis in table.axis_names - {how.axis}}
        taken = {part.name for own in rest.values() for part in own}
        if taken & {self.query.name, self.key.name} or table.dtype is not DType.FLOAT:
            return self.leaf(node.name, places)
        self.inner.add(node.name)
        row = Axis(f"r{self._tables}", table.size(how.axis))
        self._tables += 1
        held = self.leaf(table.name, {**rest, how.axis: (row,)}, {row.name: row.name})
        positions = self.value(at.name, {axis: places[axis] for axis in at.axis_names})
        return self.add(INDEX, IndexAttrs(Gather(row.name, how.fill)), held, positions)


def _exactly(value: float | int | bool, dtype: DType) -> float | int | bool:
    if dtype is DType.FLOAT:
        return float(value)
    return bool(value) if dtype is DType.BOOL else int(value)
