"""Writes a group of statements as one loop nest.

From the outside in: the axes that all sums keep, the vector axis a few vectors at a time, the axes
that are summed, the rows. So a sum stays in registers while what it is made of goes by.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ....dsl.core import Axes as NodeAxes
from ....dsl.core import DType
from ....dsl.ops import ContractAttrs, ReduceAttrs
from .alone import write_line, write_put
from .expressions import REDUCTIONS
from .loops import nested, read, stored
from .places import Term, times
from .points import SCALARS, Hoist, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ....dsl.core import Axis
    from .groups import Group
    from .loops import Lines
    from .memory import Memory
    from .statements import Statement


BESIDE = 4  # the most places of sums across vectors that rows are multiplied with at once


def write_group(memory: Memory, group: Group, lines: Lines) -> None:
    """Write the loops of a group."""
    first = group.statements[0]
    if first.kind == "put":
        write_put(Point(memory, lines, first.axes, None), first)
    elif first.kind == "line":
        write_line(Point(memory, lines, first.axes, None), first)
    else:
        vector = memory.vector_of(first.axes, first.scalar)
        with lines.block(""):  # its variables are its own
            _Nest(Point(memory, lines, first.axes, vector), group).write()


class _Nest:
    def __init__(self, point: Point, group: Group) -> None:
        self.point, self.group = point, group
        self.memory, self.lines = point.memory, point.lines
        self.vector, self.size = point.vector, point.size
        sums = [own for own in group.made if own.kind == "reduce"]
        loops = [axis for axis in self.memory.ordered(point.axes) if axis.name != self.vector]
        rows = [axis for axis in loops if self.memory.is_rows(axis.name)]
        gone = {name for own in sums for name in own.reduced}
        self.outer = [a for a in loops if a.name not in gone and not (sums and a in rows)]
        self.inner = [a for a in loops if a.name in gone] + (rows if sums else [])
        self.rows = bool(rows and sums)
        self.sums = sums
        count = sum(self._in_registers(own) and not self._across(own) for own in sums)
        self.held = max(count, 1) * (4 if self.rows else 1)
        self.later = [own for own in sums if self._is_later(own)]
        self.beside = self._axis_beside()
        if self.beside is not None:
            self.outer.remove(self.beside)
            self.held *= BESIDE

    def _axis_beside(self) -> Axis | None:
        """The axis of places that share what is read of the rows: one place alone, with a sum for
        each row, would wait for its last product before the next."""
        if not (self.rows and self.outer and self.sums):
            return None
        size = self.outer[-1].size
        across = all(self._across(own) and self._in_registers(own) for own in self.sums)
        divides = isinstance(size, int) and size % BESIDE == 0
        return self.outer[-1] if across and divides and self.sums == self.later else None

    # ---- kinds of sums

    def _across(self, own: Statement) -> bool:
        """Whether a sum goes along the vector axis."""
        return self.vector in own.reduced

    def _in_registers(self, own: Statement) -> bool:
        """Whether all loops inside of where a sum starts are over what it sums."""
        return all(a.name in own.reduced or self.memory.is_rows(a.name) for a in self.inner)

    def _is_later(self, own: Statement) -> bool:
        """Whether a sum ends when all loops are done: many across vectors are taken together."""
        if not self._in_registers(own):
            return True
        kept = [axis for axis in self._kept_axes(own) if not self.memory.is_rows(axis.name)]
        return self._across(own) and bool(kept)

    def _apart(self) -> str:
        """In how many parts a sum across vectors is: one addition need not wait for another."""
        across = sum(self._in_registers(own) and self._across(own) for own in self.sums)
        return f"side_by_side({across})"

    def _sum(self, own: Statement) -> str:
        """The variable of a sum that is held in registers."""
        name = f"sum_{self.memory.word(own.node)}"
        row = "[" + self.memory.index(self.inner[-1].name) + "]" if self.rows else ""
        return name + row + ("" if self.beside is None else "[q]")

    def _shape(self, own: Statement) -> str:
        rows = "[R]" if self.rows else ""
        if self.beside is not None:
            return rows + "[BESIDE]"
        if self.vector is None or (self.rows and self._across(own)):
            return rows
        return rows + f"[{self._apart() if self._across(own) else 'U'}]"

    def _taken(self, own: Statement) -> str:
        """The variable that a vector is added to."""
        if self.vector is None or self.beside is not None or (self.rows and self._across(own)):
            return self._sum(own)
        return self._sum(own) + (f"[u % {self._apart()}]" if self._across(own) else "[u]")

    def _whole(self, own: Statement) -> str:
        """The vector of a sum across vectors."""
        total = self._sum(own)
        return total if self.rows else f"joined({total}, {_combine(own)})"

    # ---- the loops

    def write(self) -> None:
        """The nest."""
        for own in self.sums:
            if not self._in_registers(own):
                self._clear(own)
        with nested(self.memory, self.outer, self.lines), self._turns():
            across = [o for o in self.sums if self._in_registers(o) and self._across(o)]
            self._declare(across)
            if self.vector is None:
                self._inside()
            else:
                head = (
                    f"over<side_by_side({self.held})>({self.size}, [&](auto count, long j0) "
                    "__attribute__((always_inline))"
                )
                with self.lines.block(head, "});"):
                    self.lines.add("constexpr int U = decltype(count)::value;")
                    self._inside()
            later = [own for own in across if own in self.later]
            rows = self.inner[-1:] if self.rows and later else []
            with nested(self.memory, rows, self.lines), self._places():
                for own in later:
                    place = self.memory.partial(own, across=True)
                    at = place.pointer(self.point.indices())
                    self.lines.add(f"store<true>({at}, {self._whole(own)}, W);")
            self._finish([own for own in across if own not in self.later])
        for own in self.later:
            self._collect(own)

    @contextmanager
    def _turns(self) -> Iterator[None]:
        """The loop over the first of places that are taken at once."""
        if self.beside is None:
            yield
            return
        start, size = f"from_{self.memory.index(self.beside.name)}", self.beside.size
        with self.lines.block(f"for (long {start} = 0; {start} < {size}; {start} += BESIDE)"):
            yield

    @contextmanager
    def _places(self) -> Iterator[None]:
        """The loop over places that are taken at once."""
        if self.beside is None:
            yield
            return
        index = self.memory.index(self.beside.name)
        self.lines.add("#pragma GCC unroll 4")
        with self.lines.block("for (int q = 0; q < BESIDE; ++q)"):
            self.lines.add(f"const long {index} = from_{index} + q;")
            yield

    def _inside(self) -> None:
        own = [o for o in self.sums if self._in_registers(o) and not self._across(o)]
        self._declare(own)
        loops = self.lines.mark()
        with nested(self.memory, self.inner, self.lines), self._places():
            if self.vector is None:
                self._point()
            else:
                beside = [] if self.beside is None else [self.beside]
                inner = frozenset(axis.name for axis in (*self.inner, *beside))
                written = self._written()
                self.point.hoist = Hoist(inner, loops, self.lines.mark(), written)
                self._unrolled_point()
                self.point.hoist = None
        if own:
            self._finish(own, vectors=True)

    def _written(self) -> frozenset[str]:
        """The bases of all that is written inside of the loops."""
        targets = [place for own in self.group.made for place in self.memory.targets(own)]
        return frozenset(place.base for place in targets)

    def _unrolled_point(self) -> None:
        """A few vectors; what they add to a sum across them that lies in memory is added once."""
        sums = [o for o in self.sums if self._across(o) and not self._in_registers(o)]
        for own in sums:
            self.lines.add(f"vec {self._more(own)} = {self._start(own)};")
        self._unrolled(self._point)
        for own in sums:
            at = self.memory.partial(own, across=True).pointer(self.point.indices())
            total = f"{_combine(own)}(load<true>({at}, W), {self._more(own)})"
            alone = self._in_one_turn(own)
            if alone is not None:
                total = f"{alone} ? {self._more(own)} : {total}"
            self.lines.add(f"store<true>({at}, {total}, W);")

    def _in_one_turn(self, own: Statement) -> str | None:
        """Whether what comes to each place of a sum is all that there is, as C++ asks."""
        if not isinstance(self.size, int) or any(a.name in own.reduced for a in self.inner):
            return None
        return f"in_one_turn({self.held}, {self.size})"

    def _more(self, own: Statement) -> str:
        return f"more_{self.memory.word(own.node)}"

    def _unrolled(self, inside: Callable[[], None]) -> None:
        self.lines.add("#pragma GCC unroll 8")
        with self.lines.block("for (int u = 0; u < U; ++u)"):
            self.lines.add("const long j = j0 + u * W;")
            inside()

    def _declare(self, sums: Sequence[Statement]) -> None:
        for own in sums:
            name, start = f"sum_{self.memory.word(own.node)}", self._start(own)
            shape = self._shape(own)
            self.lines.add(f"{self.point.type_of(own.node.dtype)} {name}{shape};")
            if self.rows:
                inner = "for (auto &one : row) one" if shape != "[R]" else "row"
                self.lines.add(f"for (auto &row : {name}) {inner} = {start};")
            elif shape:
                self.lines.add(f"for (auto &one : {name}) one = {start};")
            else:
                self.lines.add(f"{name} = {start};")

    def _start(self, own: Statement) -> str:
        start = REDUCTIONS[_fn(own)].start
        kind = SCALARS[own.node.dtype]
        text = f"{kind}({start})"
        if start in ("LEAST", "MOST"):
            text = f"std::numeric_limits<{kind}>::{'max' if start == 'MOST' else 'lowest'}()"
            if own.node.dtype is DType.FLOAT:
                text = f"real({'' if start == 'MOST' else '-'}INFINITY)"
        return text if self.vector is None else f"spread({text})"

    # ---- one point of the loops

    def _point(self) -> None:
        for own in self.group.made:
            if own.kind == "reduce":
                self._add(own)
            else:
                self.point.write(own, keep=own in self.group.statements)
        self.point.done()

    def _factors(self, own: Statement) -> str:
        fn = own.node.attrs
        dtype = own.node.dtype
        if isinstance(fn, ContractAttrs):
            return " * ".join(self.point.value(name, dtype) for name in own.near)
        return self.point.value(own.near[0], dtype)

    def _add(self, own: Statement) -> None:
        row = REDUCTIONS[_fn(own)]
        value = self._factors(own)
        if self._across(own):
            whole, left = self.memory.whole(self.size), f"{self.size} - j"
            value = f"within<{whole}>({value}, {left}, {self._start(own)})"
        if "{1} * {1}" in row.step:
            name = f"term_{self.memory.word(own.node)}"
            self.lines.add(f"const {self.point.type_of(own.node.dtype)} {name} = {value};")
            value = name
        if self._in_registers(own):
            target = self._taken(own)
            self.lines.add(f"{target} = {row.step.format(target, value)};")
            return
        if self._across(own):
            self.lines.add(f"{self._more(own)} = {row.step.format(self._more(own), value)};")
            return
        place = self.memory.partial(own, across=False)
        old = read(self.memory, place, self.point.indices(), self.vector, self.size)
        new = row.step.format(old, value)
        self.lines.add(self.point.stored(place, new))

    # ---- the ends of sums

    def _result(self, own: Statement, total: str) -> str:
        count: Term = 1
        for axis in own.axes:
            if axis.name in own.reduced:
                count = times(count, self.memory.extent(axis))
        return REDUCTIONS[_fn(own)].finish.format(total, count)

    def _finish(self, sums: Sequence[Statement], *, vectors: bool = False) -> None:
        """Write sums out of registers."""
        if not sums:
            return
        rows = self.inner[-1:] if self.rows else []
        with nested(self.memory, rows, self.lines):
            if vectors and self.vector is not None:
                self._unrolled(lambda: self._write_sums(sums, "[u]"))
            else:
                self._write_sums(sums, "")

    def _write_sums(self, sums: Sequence[Statement], which: str) -> None:
        for own in sums:
            self._write_sum(own, which)

    def _write_sum(self, own: Statement, which: str) -> None:
        total, vector = self._sum(own) + which, self.vector
        if self._across(own):
            total, vector = f"together({self._whole(own)}, {_combine(own)})", None
        result = self._result(own, total)
        for place in self.memory.targets(own):
            self.lines.add(
                stored(self.memory, place, self.point.indices(), vector, self.size, result)
            )

    def _kept_axes(self, own: Statement) -> NodeAxes:
        return tuple(axis for axis in own.axes if axis.name not in own.reduced)

    def _clear(self, own: Statement) -> None:
        """Nothing yet, where a sum is held in memory."""
        memory, across = self.memory, self._across(own)
        place = memory.partial(own, across=across)
        axes = self._kept_axes(own)
        vector = None if across else self.vector
        loops = [axis for axis in memory.ordered(axes) if axis.name != vector]
        alone = self._in_one_turn(own) if across else None
        if alone is not None:
            self.lines.add(f"if (!{alone})")
        with nested(memory, loops, self.lines):
            indices = memory.indices(axes)
            if across:
                self.lines.add(f"store<true>({place.pointer(indices)}, {self._start(own)}, W);")
            elif vector is None:
                self.lines.add(f"{place.element(indices)} = {self._start(own)};")
            else:
                indices[vector] = "j"
                with self.lines.block(f"for (long j = 0; j < {self.size}; j += W)"):
                    self.lines.add(
                        stored(memory, place, indices, vector, self.size, self._start(own))
                    )

    def _collect(self, own: Statement) -> None:
        """Write a sum out that was held in memory; across vectors, of several places at once."""
        memory, across = self.memory, self._across(own)
        place = memory.partial(own, across=across)
        axes = self._kept_axes(own)
        ordered = memory.ordered(axes)
        vector = self.vector
        if across:
            is_line = bool(ordered) and not memory.is_rows(ordered[-1].name)
            vector = ordered[-1].name if is_line else None
        loops = [axis for axis in ordered if axis.name != vector]
        with nested(memory, loops, self.lines):
            indices = memory.indices(axes)
            if vector is None:
                total = place.element(indices)
                if across:
                    total = f"together(load<true>({place.pointer(indices)}, W), {_combine(own)})"
                self._write_total(own, total, indices, None, 0)
                return
            indices[vector] = "j"
            size = memory.extent(next(axis for axis in axes if axis.name == vector))
            with self.lines.block(f"for (long j = 0; j < {size}; j += W)"):
                total = read(memory, place, indices, vector, size)
                if across:
                    total = f"totals({place.pointer(indices)}, {size} - j, {_combine(own)})"
                self._write_total(own, total, indices, vector, size)

    def _write_total(
        self,
        own: Statement,
        total: str,
        indices: Mapping[str, Term],
        vector: str | None,
        size: Term,
    ) -> None:
        result = self._result(own, total)
        for target in self.memory.targets(own):
            self.lines.add(stored(self.memory, target, indices, vector, size, result))


def _fn(own: Statement) -> str:
    return own.node.attrs.fn if isinstance(own.node.attrs, ReduceAttrs) else "sum"


def _combine(own: Statement) -> str:
    """A lambda of what a reduction does with two."""
    step = REDUCTIONS[_fn(own)].step
    text = "a + b" if "{1} * {1}" in step else step.format("a", "b")
    return f"[](auto a, auto b) {{ return {text}; }}"
