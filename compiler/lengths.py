"""Lengths of ragged axes as values: how many positions each example has, and which those are.

An axis is ragged if examples have it at lengths of their own: lengths given from outside, under the
symbol of its size, or what a node of the program counts. Where values of several examples have been
put together at each position (a mean over `b`), the axis is as long as the longest of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dsl import sizes
from ..dsl.core import Axis, DType, names
from ..dsl.ops import (
    CONST,
    INPUT,
    IOTA,
    MAP,
    REDUCE,
    ConstAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..dsl.core import Axes, Node
    from ..dsl.ops import Attrs, OpDef
    from ..dsl.source import Span
    from .graph import Edit

    Joined = frozenset[str]
    Atoms = Callable[[sizes.Atom, Node], str]


class UnsupportedError(Exception):
    """Something that is not done to ragged axes; says what and where."""

    def __init__(self, message: str, span: Span) -> None:
        self.message, self.span = message, span
        super().__init__(message, span)


def lengths_name(symbol: str) -> str:
    """The address of the input that holds the lengths."""
    return f"lengths.{symbol}"


class Lengths:
    """Nodes added to a program, or `inside` the body of a scan, whose inputs have no addresses.

    `over` has, for each ragged size symbol (or, if lengths are `counted`, each node that counts
    one), the axes for each place of which there is a length. `inputs` has the lengths by symbol,
    where something needs them; `joined`, for each value and ragged axis, over which of those axes
    values were put together: None if the value depends on nothing but indices.
    """

    def __init__(
        self,
        edit: Edit,
        over: Mapping[str, Axes],
        *,
        counted: bool = False,
        inside: bool = False,
    ) -> None:
        self.edit, self.over, self.counted, self.inside = edit, over, counted, inside
        self.inputs: dict[str, str] = {}
        self.dependent: set[str] = set(over) if counted else set()  # values that lengths change
        self.joined: dict[str, dict[str, Joined | None]] = {}
        self.stepping: dict[str, Axis] = {}  # ragged axes of scans around, by those they are over
        self._lengths: dict[tuple[sizes.Size, Joined], str] = {}
        self._masks: dict[tuple[Axis, Joined], str] = {}

    # ---- ragged axes

    def symbols(self, axis: Axis) -> list[str]:
        """The ragged symbols in the size of an axis."""
        found = sizes.counts(axis.size) if self.counted else sizes.symbols(axis.size)
        return sorted(found & set(self.over))

    def examples(self, axis: Axis) -> Joined:
        """The axes for each place of which an axis has a length."""
        return frozenset(n for s in self.symbols(axis) for n in names(self.over[s]))

    def ragged(self, name: str, wanted: Iterable[str] | None = None) -> list[Axis]:
        """The ragged axes of a value, or those among the wanted ones."""
        axes = self.edit.node(name).axes
        chosen = {axis.name for axis in axes} if wanted is None else set(wanted)
        return [axis for axis in axes if axis.name in chosen and self.symbols(axis)]

    def joined_of(self, name: str, axis: str) -> Joined:
        """Over which axes the values at each position of an axis were put together."""
        return self.joined.get(name, {}).get(axis) or frozenset()

    def mixed(self, name: str, over: Iterable[str]) -> list[Axis]:
        """The ragged axes of a value of which a function over these axes must know the lengths:
        those among them, and those that have their lengths for each place of one of them."""
        over = set(over)
        return [
            axis
            for axis in self.ragged(name)
            if axis.name in over
            or not over.isdisjoint(self.examples(axis) - self.joined_of(name, axis.name))
        ]

    # ---- lengths

    def length(self, size: sizes.Size, cause: Node, joined: Joined = frozenset()) -> str:
        """The number that a size stands for, in each example; of those joined, the largest."""
        if isinstance(size, int):
            return self.number(size, replace(cause, scope=""))
        if (size, joined) not in self._lengths:
            cause = replace(cause, scope=self._scope(size))
            found = self._sum(size, self._atom, cause)
            gone = joined & self.edit.node(found).axis_names
            if gone:
                attrs = ReduceAttrs("max", tuple(sorted(gone)))
                found = self.add(REDUCE, attrs, cause, found)
            self._lengths[size, joined] = found
        return self._lengths[size, joined]

    def whole(self, size: sizes.Size, cause: Node) -> str:
        """The number of positions that the arrays of a batch have."""
        return self._sum(size, self._extent, replace(cause, scope=""))

    def _scope(self, size: sizes.Size) -> str:
        """Where lengths are made: what is counted, beside what counts it."""
        for name in sorted(sizes.counts(size)):
            if name in self.edit:
                return self.edit.node(name).scope
        return ""

    def _sum(self, size: sizes.Size, number: Atoms, cause: Node) -> str:
        if isinstance(size, int):
            return self.number(size, cause)
        terms = []
        for monomial, count in size.terms:
            factors = [number(atom, cause) for atom in monomial]
            if count != 1 or not factors:
                factors.append(self.number(count, cause))
            terms.append(self._chained("mul", factors, cause))
        return self._chained("add", terms, cause)

    def _atom(self, atom: sizes.Atom, cause: Node) -> str:
        match atom:
            case sizes.Quotient(top, bottom):
                number = self.number(bottom, cause)
                return self.map("floordiv", cause, self.length(top, cause), number)
            case sizes.Count(node) if self.counted:
                return self.input(node, cause)
            case str() if not self.counted:
                return self.input(atom, cause)
        return self._extent(atom, cause)

    def _extent(self, atom: sizes.Atom, cause: Node) -> str:
        match atom:
            case sizes.Quotient(top, bottom):
                number = self.number(bottom, cause)
                return self.map("floordiv", cause, self.whole(top, cause), number)
            case sizes.Count(_, most):
                return self.whole(most, cause)
            case str():
                index = self.add(IOTA, IotaAttrs(Axis(atom, sizes.symbol(atom))), cause)
                here = self.map("ge", cause, index, self.number(0, cause))
                return self.add(REDUCE, ReduceAttrs("sum", (atom,)), cause, here)

    def input(self, symbol: str, cause: Node) -> str:
        """The lengths themselves: given from outside, or counted in the program."""
        if self.counted and symbol in self.edit:
            return symbol
        if symbol not in self.inputs:
            if symbol not in self.over:
                message = f"a size that mixes `{symbol}` with lengths that examples have themselves"
                raise UnsupportedError(message, cause.span)
            if self.counted and not self.inside:
                message = "this is packed inside a scan, and read outside of it: unpack it there"
                raise UnsupportedError(message, cause.span)
            axes = self.over[symbol]
            name = self.add(INPUT, InputAttrs(names(axes), axes, DType.INT), cause)
            if not self.inside:
                self.edit.put(replace(self.edit.node(name), site=lengths_name(symbol)))
            self.inputs[symbol] = name
            self.dependent.add(name)
        return self.inputs[symbol]

    def exists(self, axis: Axis, cause: Node, joined: Joined = frozenset()) -> str:
        """True at the positions that an example has, or one of those joined."""
        if (axis, joined) not in self._masks:
            cause = replace(cause, scope=self._scope(axis.size))
            index = self.add(IOTA, IotaAttrs(axis), cause)
            length = self.length(axis.size, cause, joined)
            self._masks[axis, joined] = self.map("lt", cause, index, length)
        return self._masks[axis, joined]

    def only(
        self,
        value: str,
        axes: Iterable[Axis],
        otherwise: float | bool,
        cause: Node,
        like: str | None = None,
    ) -> str:
        """The value where it exists, or where another does, and a number elsewhere."""
        asked = value if like is None else like
        for axis in axes:
            other = self.number(otherwise, cause)
            mask = self.exists(axis, cause, self.joined_of(asked, axis.name))
            value = self.map("where", cause, mask, value, other)
        return value

    # ---- adding nodes

    def add(self, op: OpDef, attrs: Attrs, cause: Node, *operands: str) -> str:
        """A node for the sake of another."""
        name = self.edit.add(op, attrs, operands, span=cause.span, scope=cause.scope, made_by="pad")
        if not self.dependent.isdisjoint(operands):
            self.dependent.add(name)
        return name

    def map(self, fn: str, cause: Node, *operands: str) -> str:
        """A pointwise node."""
        return self.add(MAP, MapAttrs(fn), cause, *operands)

    def number(self, value: float | bool, cause: Node) -> str:
        """A constant."""
        return self.add(CONST, ConstAttrs(value), cause)

    def index(self, axis: Axis, cause: Node) -> str:
        """The index along an axis."""
        return self.add(IOTA, IotaAttrs(axis), cause)

    def _chained(self, fn: str, values: list[str], cause: Node) -> str:
        whole, *others = values
        for other in others:
            whole = self.map(fn, cause, whole, other)
        return whole
