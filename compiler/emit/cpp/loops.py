"""Lines of C++: loops, and what reads and writes at a place, a number or a vector at a time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.core import Axes as NodeAxes
from ....dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ....dsl.core import Axis
    from .memory import Memory
    from .places import Place, Term


@dataclass
class Mark:
    """A place between lines, at which more can be added later."""

    at: int
    depth: int


@dataclass
class Lines:
    """Lines of C++, indented as they nest."""

    lines: list[str] = field(default_factory=list)
    depth: int = 1
    marks: list[Mark] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Append a line."""
        self.lines.append("  " * self.depth + text)

    def mark(self) -> Mark:
        """The place behind the last line."""
        self.marks.append(Mark(len(self.lines), self.depth))
        return self.marks[-1]

    def add_at(self, mark: Mark, *texts: str) -> None:
        """Add lines at a place, behind those that were added there before."""
        start = mark.at
        self.lines[start:start] = ["  " * mark.depth + text for text in texts]
        for other in self.marks:
            if other is mark or other.at > start:
                other.at += len(texts)

    @contextmanager
    def block(self, head: str, tail: str = "}") -> Iterator[None]:
        """What is added meanwhile stands in braces."""
        self.add(f"{head} {{".lstrip())
        self.depth += 1
        yield
        self.depth -= 1
        self.add(tail)


def write_copy(memory: Memory, axes: NodeAxes, source: Place, target: Place, lines: Lines) -> None:
    """Copy one place to another."""
    same = source.dtype is target.dtype is DType.FLOAT
    vector = memory.vector_of(axes, not same)
    loops = [axis for axis in memory.ordered(axes) if axis.name != vector]
    turned = _turned(source, target, loops, vector) if vector is not None else None
    if turned is not None:
        loops.remove(turned)
    with nested(memory, loops, lines):
        indices = memory.indices(axes)
        if turned is not None and vector is not None:
            across = next(axis for axis in axes if axis.name == vector)
            indices = {a: at for a, at in indices.items() if a not in (turned.name, vector)}
            given = (
                *(source.pointer(indices), source.strides[vector], target.pointer(indices)),
                *(target.strides[turned.name], memory.extent(across), memory.extent(turned)),
            )
            lines.add(f"transposed({', '.join(map(str, given))});")
        elif vector is None:
            lines.add(f"{target.element(indices)} = {source.element(indices)};")
        else:
            size = memory.extent(next(axis for axis in axes if axis.name == vector))
            with lines.block(f"for (long j = 0; j < {size}; j += W)"):
                indices[vector] = "j"
                value = read(memory, source, indices, vector, size)
                lines.add(stored(memory, target, indices, vector, size, value))


def _turned(source: Place, target: Place, loops: Sequence[Axis], vector: str) -> Axis | None:
    """The axis along which the source is dense, where the target is along the vector."""
    if source.strides.get(vector, 0) in (0, 1) or target.strides.get(vector) != 1:
        return None
    dense = (axis for axis in loops if source.strides.get(axis.name) == 1)
    return next((axis for axis in dense if axis.name in target.strides), None)


@contextmanager
def nested(memory: Memory, loops: Sequence[Axis], lines: Lines) -> Iterator[None]:
    """What is added meanwhile stands inside of loops along these axes."""
    for axis in loops:
        index, size = memory.index(axis.name), memory.extent(axis)
        unrolled = memory.is_rows(axis.name)
        if unrolled:
            lines.add("#pragma GCC unroll 4")
        lines.add(f"for (long {index} = 0; {index} < {size}; ++{index}) {{")
        lines.depth += 1
    yield
    for _ in loops:
        lines.depth -= 1
        lines.add("}")


def read(
    memory: Memory, place: Place, indices: Mapping[str, Term], vector: str | None, size: Term
) -> str:
    """What lies at a place: one number, or a vector along an axis."""
    if vector is None:
        element = place.element(indices)
        return f"bool({element})" if place.dtype is DType.BOOL else element
    kind = "_mask" if place.dtype is DType.BOOL else ""
    step = place.strides.get(vector, 0)
    if step == 0:
        return f"spread{kind}({place.element(indices)})"
    if step == 1:
        whole = "true" if place.padded else memory.whole(size)
        if place.ahead and not kind:
            return f"load_on<{whole}>({place.pointer(indices)}, {size} - j, {place.ahead})"
        return f"load{kind}<{whole}>({place.pointer(indices)}, {size} - j)"
    return f"gather{kind}({place.pointer(indices)}, {step}, {size} - j)"


def stored(
    memory: Memory,
    place: Place,
    indices: Mapping[str, Term],
    vector: str | None,
    size: Term,
    value: str,
) -> str:
    """The statement that writes to a place."""
    if vector is None:
        return f"{place.element(indices)} = {value};"
    kind = "_mask" if place.dtype is DType.BOOL else ""
    step = place.strides.get(vector, 0)
    if step == 1:
        whole = "true" if place.padded else memory.whole(size)
        if place.ahead and not kind:
            given = f"{place.pointer(indices)}, {value}, {size} - j, {place.ahead}"
            return f"store_on<{whole}>({given});"
        return f"store{kind}<{whole}>({place.pointer(indices)}, {value}, {size} - j);"
    return f"spread_out{kind}({place.pointer(indices)}, {step}, {value}, {size} - j);"
