"""A program to which derivatives are appended, and the words that rules are written in."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from .. import ops, sizes
from ..core import Axis, DType, Node, Step, names
from ..items import item_attrs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ..core import Axes

MADE_BY = "derive"


class Tape:
    """Steps that grow. What is appended belongs to the place (span, scope) of the node `here`,
    which moves to what is differentiated unless it is `fixed`. The tapes of bodies take their
    `numbers` for names from the same source.

    `riding` are axes along which every position is a program of its own: no sum goes over them.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        here: Node,
        riding: Iterable[str] = (),
        *,
        fixed: bool = False,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.steps: list[Step] = []
        self.nodes: dict[str, Node] = {}
        self.operands: dict[str, tuple[str, ...]] = {}
        self.here, self.riding, self.fixed = here, frozenset(riding), fixed
        self.numbers = count() if numbers is None else numbers
        self._places: dict[str, int] = {}
        for step in steps:
            self.put(step.node, step.operands)

    def put(self, node: Node, operands: Sequence[str] = ()) -> Node:
        """Append a node as it is."""
        self._places[node.name] = len(self.steps)
        self.nodes[node.name] = node
        self.operands[node.name] = tuple(operands)
        self.steps.append(Step(node, tuple(operands)))
        return node

    def swap(self, node: Node) -> None:
        """Put another record in the place of the one of the same name."""
        place = self._places[node.name]
        self.nodes[node.name] = node
        self.steps[place] = Step(node, self.steps[place].operands)

    def read(self, node: Node) -> list[Node]:
        """What a node reads."""
        return [self.nodes[name] for name in self.operands[node.name]]

    def fresh(self) -> str:
        """A name that no node has."""
        return next(name for n in self.numbers if (name := f"d{n}") not in self.nodes)

    def turn_to(self, node: Node) -> None:
        """What is appended from now on belongs to the place of that node."""
        if not self.fixed:
            self.here = node

    # ---- operations

    def emit(self, op: ops.OpDef, attrs: ops.Attrs, *operands: Node) -> Node:
        """Append an operation, typed by its rule."""
        axes, dtype = op.infer(attrs, [(node.axes, node.dtype) for node in operands])
        here = self.here
        node = Node(self.fresh(), op, attrs, axes, dtype, here.span, None, here.scope, MADE_BY)
        return self.put(node, [operand.name for operand in operands])

    def input(self, axes: Axes, dtype: DType = DType.FLOAT) -> Node:
        """An input of the program."""
        return self.emit(ops.INPUT, ops.InputAttrs(names(axes), axes, dtype))

    def map(self, fn: str, *operands: Node | float) -> Node:
        """A pointwise function; numbers stand for constants."""
        read = [self.number(o) if not isinstance(o, Node) else o for o in operands]
        return self.emit(ops.MAP, ops.MapAttrs(fn), *read)

    def number(self, value: float) -> Node:
        """A constant."""
        return self.emit(ops.CONST, ops.ConstAttrs(value))

    def add(self, one: Node | None, other: Node | None) -> Node | None:
        """The sum of two derivatives; None is zero."""
        if one is None or other is None:
            return one or other
        return self.map("add", one, other)

    def iota(self, axis: Axis) -> Node:
        """The index along an axis."""
        return self.emit(ops.IOTA, ops.IotaAttrs(axis))

    def rename(self, value: Node, pairs: Iterable[tuple[tuple[str, ...], Axes]]) -> Node:
        """The value with old axes turned into new ones."""
        pairs = tuple(pairs)
        return self.emit(ops.RENAME, ops.RenameAttrs(pairs), value) if pairs else value

    def reduce(self, fn: str, value: Node, axes: Iterable[str]) -> Node:
        """A reduction; over no axes it is the value."""
        gone = tuple(axes)
        return self.emit(ops.REDUCE, ops.ReduceAttrs(fn, gone), value) if gone else value

    def along(self, fn: str, value: Node, axes: Iterable[str]) -> Node:
        """A function along axes."""
        return self.emit(ops.ALONG_OP, ops.AlongAttrs(fn, tuple(axes)), value)

    def gather(self, value: Node, axis: str, at: Node, fill: float | None = None) -> Node:
        """The value at positions of an axis."""
        return self.emit(ops.INDEX, ops.IndexAttrs(ops.Gather(axis, fill)), value, at)

    def window(self, value: Node, axis: str, new: Axis, step: int, offset: sizes.Size) -> Node:
        """Along a new axis the positions `offset + step * index` of an old one, zero outside."""
        how = ops.Window(axis, ((new, step),), offset, 0.0)
        return self.emit(ops.INDEX, ops.IndexAttrs(how), value)

    def item(self, scan: Node, index: int) -> Node:
        """One result of a scan."""
        assert isinstance(scan.attrs, ops.ScanAttrs)
        return self.emit(ops.ITEM, item_attrs(scan.attrs, index), scan)

    # ---- axes

    def spread(self, value: Node, axes: Iterable[Axis]) -> Node:
        """The value repeated along those of the axes that it lacks."""
        for axis in axes:
            if axis.name not in value.axis_names:
                always = self.map("ge", self.iota(axis), 0)
                value = self.map("where", always, value, value)
        return value

    def zeros(self, axes: Iterable[Axis]) -> Node:
        """Nothing, with these axes."""
        return self.spread(self.number(0.0), axes)

    def count(self, axes: Iterable[Axis]) -> Node:
        """How many elements these axes have together."""
        known, total = 1, None
        for axis in axes:
            if isinstance(axis.size, int):
                known *= axis.size
                continue
            here = self.map("ge", self.iota(axis), 0)
            one = self.reduce("sum", here, [axis.name])
            total = one if total is None else self.map("mul", total, one)
        if total is None:
            return self.number(known)
        return total if known == 1 else self.map("mul", total, known)

    def total(self, value: Node, axes: Iterable[Axis]) -> Node:
        """The sum over these axes, along those of which that it lacks the value is repeated."""
        axes = [axis for axis in axes if axis.name not in self.riding]
        lacking = [axis for axis in axes if axis.name not in value.axis_names]
        value = self.reduce("sum", value, [a.name for a in axes if a not in lacking])
        if all(axis.size == 1 for axis in lacking):
            return value
        return self.map("mul", value, self.count(lacking))

    def inside(self, steps: Iterable[Step] = ()) -> Tape:
        """A tape for the body of a scan."""
        return Tape(steps, self.here, self.riding, fixed=self.fixed, numbers=self.numbers)

    def fit(self, value: Node, axes: Axes, over: Axes) -> Node:
        """What comes of a cotangent of a value with the axes `over` for an operand with `axes`,
        which was repeated along the others: their sum."""
        own = names(axes)
        both = {axis.name: axis for axis in (*over, *value.axes)}
        return self.total(value, [axis for name, axis in both.items() if name not in own])

    def prime(self, axis: Axis, *others: Iterable[str]) -> Axis:
        """The axis by a name that none of these has."""
        taken = {name for group in others for name in group}
        name = axis.name
        while name in taken:
            name += "'"
        return Axis(name, axis.size)


def reached(tape: Tape, starts: Collection[str]) -> set[str]:
    """The floats that depend on these through floats, themselves included; a scan is one."""
    found = set(starts)
    for step in tape.steps:
        node = step.node
        differs = node.op is not ops.STOP and node.dtype is DType.FLOAT
        if differs and not found.isdisjoint(step.operands):
            found.add(node.name)
    return found


def feeding(tape: Tape, ends: Iterable[str], among: Collection[str] | None = None) -> set[str]:
    """What these are made of, themselves included; with `among`, through these alone."""
    found = set(ends)
    for step in reversed(tape.steps):
        if step.node.name in found and not (among is not None and step.node.op is ops.STOP):
            found.update(o for o in step.operands if among is None or o in among)
    return found
