"""A body as lines of Triton: one for each value, in an order in which they can be computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.core import Axes, DType, without
from ....dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
)
from ..cpp.expressions import computed_in
from ..flow import flow
from ..simplify import simplified
from ..unsupported import UnsupportedError
from .contractions import contracted
from .expressions import CALLED, OPERATORS, REDUCTIONS, RUNNING, converted, literal
from .positions import flipped, indexed, joined, put, renamed
from .tiles import Tile, Tiles, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....dsl.core import Body, Node


class Writer:
    """Writes the values of a body, given tiles for its inputs."""

    def __init__(self, body: Body, tiles: Tiles) -> None:
        body = simplified(body)
        self.inputs = [step.node for step in body.steps if step.node.op.name == "input"]
        nodes = {step.node.name: step.node for step in body.steps}
        self.results = [nodes[name] for name in body.results]
        self.flow, self.tiles = flow(body), tiles
        self.lines: list[str] = []
        self.work = 0
        """Numbers that are computed; sixteen products of a matrix are one."""
        self.dots = 0
        self._values: dict[str, Tile] = {}
        self._words: set[str] = set()

    def write(self, given: Mapping[str, Tile]) -> None:
        """The lines of all that the results need."""
        self._values = dict(given)
        for name in self.flow.nodes:
            self.need(name)

    def live(self) -> int:
        """How many numbers are held at once, at the most, in the order in which they are made."""
        left = {name: len(set(users)) for name, users in self.flow.users.items()}
        held = most = 0
        for name in self.flow.nodes:
            held += self._held(name)
            most = max(most, held)
            for operand in set(self.flow.reads[name]):
                left[operand] -= 1
                held -= 0 if left[operand] else self._held(operand)
        return most

    def _held(self, name: str) -> int:
        if self.flow.is_number(name) or name in self.flow.closed:
            return 0
        return self.tiles.count(self.tiles.inside(self.flow.nodes[name].axes))

    def need(self, name: str) -> Tile:
        """A value, written first if it was not yet."""
        if name in self._values:
            return self._values[name]
        node, read = self.flow.nodes[name], self.flow.reads[name]
        if name in self.flow.numbers:
            made = Tile(literal(self.flow.numbers[name], node.dtype), (), node.dtype)
        elif name in self.flow.lengths:
            axis = next(a for a in self.flow.nodes[read[0]].axes)
            made = Tile(self.tiles.size(axis), (), node.dtype)
        else:
            for operand in read:
                self.need(operand)
            made = self._made(node, read)
        self._values[name] = made
        return made

    def result(self, at: int) -> Tile:
        """One of the results."""
        return self._values[self.flow.results[at]]

    def value(self, name: str, dtype: DType | None = None) -> Tile:
        """A value, brought to a dtype."""
        own = self._values[name]
        if dtype is None or own.dtype is dtype:
            return own
        if name in self.flow.numbers:
            return Tile(literal(self.flow.numbers[name], dtype), (), dtype)
        return Tile(converted(own.text, own.dtype, dtype), own.axes, dtype)

    def keep(self, text: str, axes: Axes, dtype: DType, name: str) -> Tile:
        """A line that gives a value a name."""
        self.work += self.tiles.count(axes)
        label = start = f"x_{word(name)}"
        more = 1
        while label in self._words:
            label, more = f"{start}_{more}", more + 1
        self._words.add(label)
        self.lines.append(f"{label} = {text}")
        return Tile(label, axes, dtype)

    def only(self, tile: Tile, axes: Axes, gone: tuple[str, ...], nothing: str) -> str:
        """A tile in which elements that are not there along some axes count for nothing."""
        there = self.tiles.there(axes, gone)
        text = self.tiles.spread(tile, axes)
        return f"tl.where({' & '.join(there)}, {text}, {nothing})" if there else text

    # ---- one for each operation

    def _made(self, node: Node, read: tuple[str, ...]) -> Tile:
        match node.attrs:
            case MapAttrs(fn=fn):
                return self._map(node, fn, read)
            case IotaAttrs(axis=axis):
                return Tile(self.tiles.index(axis), self.tiles.inside([axis]), DType.INT)
            case ReduceAttrs(fn=fn, axes=axes):
                return self._reduce(node, fn, self.value(read[0]), axes)
            case ContractAttrs(axes=axes):
                return contracted(self, node, [self.value(n, DType.FLOAT) for n in read], axes)
            case AlongAttrs(fn="flip", axes=(axis,)):
                return flipped(self, node, self.value(read[0]), axis)
            case AlongAttrs(fn=fn, axes=(axis,)) if fn in RUNNING:
                own = self.value(read[0], node.dtype)
                place = [a.name for a in own.axes].index(axis)
                return self.keep(
                    RUNNING[fn].format(own.text, place), own.axes, node.dtype, node.name
                )
            case RenameAttrs(pairs=pairs):
                return renamed(self, node, self.value(read[0]), pairs)
            case IndexAttrs(how=how):
                return indexed(self, node, how, [self.value(n) for n in read])
            case ConcatAttrs():
                return joined(self, node, [self.value(n, node.dtype) for n in read])
            case ScatterAttrs():
                return put(self, node, [self.value(n) for n in read])
        raise UnsupportedError(f"{getattr(node.attrs, 'fn', node.op.name)} in a step")

    def _map(self, node: Node, fn: str, read: tuple[str, ...]) -> Tile:
        if fn not in OPERATORS:
            raise UnsupportedError(f"the function {fn}")
        whole = fn in ("floordiv", "mod") and node.dtype is not DType.FLOAT
        if whole and not self.flow.numbers.get(read[1]):
            raise UnsupportedError(f"{fn} of ints may divide by 0")
        dtypes = [self.flow.nodes[name].dtype for name in read]
        wanted = computed_in(fn, dtypes, node.dtype)
        given = [self.value(n, d) for n, d in zip(read, wanted, strict=True)]
        axes = self.tiles.inside(a for own in given for a in own.axes)
        texts = [self.tiles.spread(own, axes) for own in given]
        power = self.flow.numbers.get(read[1]) if fn == "pow" else None
        if power in (1, 2, 3):
            text = " * ".join([texts[0]] * int(power or 0))
        elif fn == "pow" and node.dtype is not DType.FLOAT:
            raise UnsupportedError("a power of whole numbers")
        else:
            format_ = OPERATORS[fn]
            if whole:
                format_ = format_.replace("(", "_int(", 1)
            bare = fn in CALLED
            text = format_.format(*(t if bare or t[0] != "-" else f"({t})" for t in texts))
        if all(not own.axes and not own.text.isidentifier() for own in given):
            text = f"tl.full([], {text}, tl.float32)" if node.dtype is DType.FLOAT else text
        return self.keep(text, axes, node.dtype, node.name)

    def _reduce(self, node: Node, fn: str, own: Tile, gone: tuple[str, ...]) -> Tile:
        if fn not in REDUCTIONS:
            raise UnsupportedError(f"{fn} over axes of a step")
        row = REDUCTIONS[fn]
        counted = fn in ("any", "all") or (own.dtype is DType.BOOL)
        inner = DType.INT if counted else own.dtype
        if fn in ("mean", "norm"):
            inner = DType.FLOAT
        tile = Tile(converted(own.text, own.dtype, inner), own.axes, inner)
        if inner is DType.INT and fn in ("max", "min") and self.tiles.there(own.axes, gone):
            raise UnsupportedError(f"{fn} of ints along an axis that is no power of two")
        text = self.only(tile, own.axes, gone, row.nothing)
        if fn == "norm":
            held = self.keep(text, own.axes, DType.FLOAT, f"{node.name} own")
            text = f"{held.text} * {held.text}"
        axes = list(own.axes)
        for place in reversed(range(len(axes))):
            if axes[place].name in gone:
                text = row.text.format(text, place)
                del axes[place]
        if fn == "mean":
            sizes = [self.tiles.size(a) for a in own.axes if a.name in gone]
            text = f"{text} / ({' * '.join(sizes) or '1'})"
        text = f"tl.sqrt_rn({text})" if fn == "norm" else text
        left = without(own.axes, gone)
        return self.keep(converted(text, inner, node.dtype), left, node.dtype, node.name)
