"""What is computed at one point of a loop nest: values as C++ variables, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import Axes as NodeAxes
from ....dsl.core import DType
from ....dsl.ops import Gather, IndexAttrs, IotaAttrs, MapAttrs, Window
from .expressions import OPERATORS, computed_in, literal
from .loops import read, stored
from .places import Term, plus, times

if TYPE_CHECKING:
    from .loops import Lines, Mark
    from .memory import Memory
    from .places import Place
    from .statements import Statement

SCALARS = {DType.FLOAT: "real", DType.INT: "int64_t", DType.BOOL: "bool"}
VECTORS = {DType.FLOAT: "vec", DType.BOOL: "mask"}
WHOLE = range(4, 17)  # powers that are products


@dataclass
class Hoist:
    """The places before the `inner` loops and before the vectors of one turn of them; what lies at
    a base that is `written` here is read where it is needed."""

    inner: frozenset[str]
    loops: Mark
    vectors: Mark
    written: frozenset[str]


class Point:
    """The inside of the loops over some axes; with a vector axis, so many numbers at a time."""

    def __init__(self, memory: Memory, lines: Lines, axes: NodeAxes, vector: str | None) -> None:
        self.memory, self.lines, self.axes, self.vector = memory, lines, axes, vector
        self.size: Term = 0
        if vector is not None:
            self.size = memory.extent(next(axis for axis in axes if axis.name == vector))
        self.values: dict[str, tuple[str, DType]] = {}
        self.stores: list[str] = []
        self.hoist: Hoist | None = None

    def type_of(self, dtype: DType) -> str:
        """What C++ calls a value here."""
        return SCALARS[dtype] if self.vector is None else VECTORS[dtype]

    def indices(self) -> dict[str, Term]:
        """The loop variables, the vector's too."""
        indices = self.memory.indices(self.axes)
        if self.vector is not None:
            indices[self.vector] = "j"
        return indices

    def value(self, name: str, dtype: DType | None = None) -> str:
        """A value at this point, brought to a dtype."""
        memory = self.memory
        numbers = memory.flow.numbers
        if name in numbers:
            own = memory.flow.nodes[name].dtype if dtype is None else dtype
            text = literal(numbers[name], own)
            return (
                text
                if self.vector is None
                else f"spread{'_mask' if own is DType.BOOL else ''}({text})"
            )
        if name not in self.values:
            place = memory.place(name)
            text = read(memory, place, self.indices(), self.vector, self.size)
            variable = f"{memory.word(memory.flow.nodes[name])}_here"
            self.values[name] = self._read(place, variable, text), place.dtype
        text, held = self.values[name]
        if dtype is None or held is dtype:
            return text
        if self.vector is None:
            return f"{SCALARS[dtype]}({text})"
        return f"numbers({text})" if dtype is DType.FLOAT else f"({text} != spread(0))"

    def _read(self, place: Place, variable: str, text: str) -> str:
        """Read what lies at a place, in the outermost of the loops in which it is the same."""
        kind, hoist = self.type_of(place.dtype), self.hoist
        varies = {name for name, step in place.strides.items() if step != 0}
        if hoist is None or place.base in hoist.written:
            self.lines.add(f"const {kind} {variable} = {text};")
            return variable
        inside = bool(varies & hoist.inner)
        if self.vector not in varies:
            mark = hoist.vectors if inside else hoist.loops
            self.lines.add_at(mark, f"const {kind} {variable} = {text};")
            return variable
        if inside or not hoist.inner:
            self.lines.add(f"const {kind} {variable} = {text};")
            return variable
        self.lines.add_at(
            hoist.loops,
            f"{kind} {variable}[U];",
            "#pragma GCC unroll 8",
            "for (int u = 0; u < U; ++u) {",
            "  const long j = j0 + u * W;",
            f"  {variable}[u] = {text};",
            "}",
        )
        return f"{variable}[u]"

    def done(self) -> None:
        """Write what was kept: after all is read, for a carry is written where it is read."""
        for line in self.stores:
            self.lines.add(line)
        self.stores, self.values = [], {}

    def write(self, own: Statement, *, keep: bool) -> None:
        """Compute what a statement makes here, and write it where it is to lie."""
        value = self._computed(own)
        if keep:
            for place in self.memory.targets(own):
                self.stores.append(self.stored(place, value))

    def stored(self, place: Place, value: str) -> str:
        """The statement that writes a value to a place."""
        return stored(self.memory, place, self.indices(), self.vector, self.size, value)

    def _computed(self, own: Statement) -> str:
        if own.kind == "copy":
            return self.value(own.near[0], own.node.dtype)
        return self._pick(own) if own.kind == "pick" else self._map(own)

    def _map(self, own: Statement) -> str:
        node = own.node
        if isinstance(node.attrs, IotaAttrs):
            text = f"int64_t({self.memory.index(node.attrs.axis.name)})"
        else:
            assert isinstance(node.attrs, MapAttrs)
            fn = node.attrs.fn
            dtypes = [self.memory.flow.nodes[name].dtype for name in own.near]
            wanted = computed_in(fn, dtypes, node.dtype)
            power = self.memory.flow.numbers.get(own.near[1]) if fn == "pow" else None
            if power in (2, 3) and node.dtype is DType.FLOAT:
                text = " * ".join([self.value(own.near[0], wanted[0])] * int(power or 0))
            elif power in WHOLE and node.dtype is DType.FLOAT:
                text = f"raised<{int(power or 0)}>({self.value(own.near[0], wanted[0])})"
            else:
                read_ = [self.value(n, d) for n, d in zip(own.near, wanted, strict=True)]
                text = OPERATORS[fn].format(*read_)
        variable = self.memory.word(node)
        self.lines.add(f"const {self.type_of(node.dtype)} {variable} = {text};")
        self.values[node.name] = variable, node.dtype
        return variable

    def _pick(self, own: Statement) -> str:
        attrs = own.node.attrs
        assert isinstance(attrs, IndexAttrs)
        how, indices = attrs.how, self.indices()
        source = self.memory.place(own.far[0])
        node = self.memory.flow.nodes[own.far[0]]
        at = f"at_{self.memory.word(own.node)}"
        if isinstance(how, Window):
            moved = [times(indices[axis.name], by) for axis, by in how.terms]
            position: Term = plus((self.memory.size(how.offset), *moved))
        else:
            assert isinstance(how, Gather)
            position = self.value(own.near[0], DType.INT)
        self.lines.add(f"const int64_t {at} = {position};")
        here = {**indices, how.axis: at}
        size = self.memory.size(node.size(how.axis))
        kind = SCALARS[own.node.dtype]
        fill = literal(how.fill or 0, own.node.dtype)
        variable = self.memory.word(own.node)
        text = f"{at} >= 0 && {at} < {size} ? {kind}({source.element(here)}) : {fill}"
        self.lines.add(f"const {kind} {variable} = {text};")
        return variable
