"""From a scan to a kernel: C++ that runs all steps, and how it is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....dsl.core import Axis
from ....dsl.sizes import symbol
from ..backward import given_out
from ..environment import environment
from .axes import analysed
from .borders import READ, Border, Borders
from .loops import Lines, write_copy
from .memory import ROWS, WIDTH, Memory, Sizes
from .places import ELEMENTS
from .spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.ops import ScanAttrs
    from ....dsl.sizes import Size

CHUNK = Axis("^chunk", symbol("^chunk"))
"""Along it lie the carries as they were every so many steps."""
HELD = 512 << 10  # bytes of carries between two that are kept
MOST = 64  # steps between two that are kept


@dataclass(frozen=True)
class Kernel:
    """The source of `extern "C" void <symbol>(void *const *tensors, const long *numbers)`.

    The tensors are those of `borders`. The numbers are the steps, the threads, after how many steps
    carries are kept for the way back (0: never), `sizes`, then for each border how far neighbours
    along its outer axes are apart.
    """

    symbol: str
    source: str
    axis: Axis
    borders: tuple[Border, ...]
    sizes: tuple[Size, ...]
    lanes: tuple[Axis, ...]
    every: int

    @property
    def operands(self) -> tuple[Border, ...]:
        """What goes in."""
        return tuple(border for border in self.borders if border.kind in READ)

    @property
    def results(self) -> tuple[Border, ...]:
        """What comes out: the last carries, the outputs, then the carries kept."""
        return tuple(border for border in self.borders if border.kind not in READ)

    @property
    def kept(self) -> int:
        """How many of the results are carries kept for the way back."""
        return sum(border.kind == "kept" for border in self.borders)


@dataclass(frozen=True)
class Lane:
    """An axis of independent recurrences, and how many of them are run together."""

    index: str
    size: str
    together: str


@dataclass(frozen=True)
class KernelText:
    """All that the template lays out."""

    symbol: str
    title: str
    numbers: tuple[str, ...]
    lanes: tuple[Lane, ...]
    rows: Lane | None
    width: Lane | None
    bytes: str
    buffers: tuple[str, ...]
    pointers: tuple[str, ...]
    start: tuple[str, ...]
    way: str
    steps: tuple[str, ...]
    body: tuple[str, ...]
    check: tuple[str, ...]
    again: tuple[str, ...]
    back: tuple[str, ...]
    finish: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """The lines of a kernel: before the steps, at each of them, and after."""

    start: Sequence[str] = ()
    steps: Sequence[str] = ()
    body: Sequence[str] = ()
    check: Sequence[str] = ()
    again: Sequence[str] = ()
    back: Sequence[str] = ()
    finish: Sequence[str] = ()


def kernel(scan: ScanAttrs, *, title: str = "A recurrence") -> Kernel:
    """The kernel of a scan. Raises UnsupportedError where there is none."""
    size, borders = Sizes(), Borders()
    span = Span(scan.body, scan.carries, size)
    axes = analysed([span.flow], span.carries, span.outputs, span.statements.found)
    memory = span.settled(axes)
    steps: list[str] = []
    starts = []
    for at, node in enumerate(span.inputs):
        if at < scan.carries:
            starts.append(borders.add(memory, "first", node.axes, node.dtype)[1])
        elif at < scan.carries + scan.steps:
            whole = (scan.axis, *node.axes)
            border, place = borders.add(memory, "given", whole, node.dtype, scan.axis.name)
            memory.places[node.name] = place
            steps.append(borders.moved(border, scan.axis.name, "t"))
        else:
            place = borders.add(memory, "fixed", node.axes, node.dtype)[1]
            memory.places[node.name] = place
    buffers = []
    for at, node in enumerate(span.carries):
        buffers.append(memory.buffer(f"carry_{at}", node.axes, node.dtype))
        memory.places[node.name] = buffers[-1]
    lasts = [borders.add(memory, "last", node.axes, node.dtype)[1] for node in span.carries]
    for at, node in enumerate(span.outputs):
        whole = (scan.axis, *node.axes)
        border, place = borders.add(memory, "output", whole, node.dtype, scan.axis.name)
        memory.outs.setdefault(span.result(scan.carries + at), []).append(place)
        steps.append(borders.moved(border, scan.axis.name, "t"))
    start, check, finish = Lines(), Lines(depth=3), Lines()
    for node, place, buffer in zip(span.carries, starts, buffers, strict=True):
        write_copy(memory, node.axes, place, buffer, start)
    for node, buffer in zip(span.carries, buffers, strict=True) if given_out(scan) is None else ():
        whole = (CHUNK, *node.axes)
        border, place = borders.add(memory, "kept", whole, node.dtype, CHUNK.name)
        check.add(borders.moved(border, CHUNK.name, "(i / every)"))
        write_copy(memory, node.axes, buffer, place, check)
    body = span.write()
    for node, place, buffer in zip(span.carries, lasts, buffers, strict=True):
        write_copy(memory, node.axes, buffer, place, finish)
    parts = Parts(start.lines, steps, body.lines, check.lines, finish=finish.lines)
    return laid_out(scan, "scan", title, [memory], borders, parts)


def laid_out(
    scan: ScanAttrs,
    template: str,
    title: str,
    memories: Sequence[Memory],
    borders: Borders,
    parts: Parts,
) -> Kernel:
    """The kernel of these parts."""
    memory = memories[0]
    lanes, rows, width = _lanes(memory)
    numbers = ["T", "threads", "every", *memory.size.found.values(), *borders.numbers()]
    buffers = [row for own in memories for row in own.buffers.values()]
    text = KernelText(
        "SYMBOL",
        title,
        tuple(f"const long {name} = n[{at}];" for at, name in enumerate(numbers)),
        lanes,
        rows,
        width,
        " + ".join(f"room<{ELEMENTS[place.dtype]}>({count})" for place, count in buffers) or "0",
        tuple(line for own in memories for line in own.declarations()),
        tuple(borders.pointers),
        tuple(parts.start),
        "T - 1 - i" if scan.reverse else "i",
        tuple(parts.steps),
        tuple(parts.body),
        tuple(parts.check),
        tuple(parts.again),
        tuple(parts.back),
        tuple(parts.finish),
    )
    source = environment().get_template(f"cpp/{template}.cpp.j2").render(kernel=text)
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    name = f"{template}_{digest}"
    return Kernel(
        name,
        source.replace("SYMBOL", name),
        scan.axis,
        tuple(borders.found),
        tuple(memory.size.found),
        memory.axes.lanes,
        steps_between(memory.axes.volume),
    )


def steps_between(volume: int) -> int:
    """After how many steps carries are kept: what lies between them fits the second cache.

    Keeping more of them spares running steps again, and costs more than that: of the delta rule,
    gated linear attention and retention, 64 x 64 numbers a lane, there and back, 512 steps, keeping
    every carry takes 1.8 to 2.7 times as long as every 16th, every 4th 1.1 to 1.5 times; every
    32nd takes 0.9 to 1.0 of that, and every 64th no less (with 1 MiB of second cache).
    """
    return max(4, min(MOST, HELD // max(1, volume * 4)))


def _lanes(memory: Memory) -> tuple[tuple[Lane, ...], Lane | None, Lane | None]:
    lanes, rows, width = [], None, None
    for axis in memory.axes.lanes:
        index, size = f"l_{memory.index(axis.name)}", str(memory.size(axis.size))
        if memory.is_rows(axis.name):
            rows = Lane(index, size, ROWS)
            continue
        vector = axis.name == memory.axes.vector
        lanes.append(Lane(index, size, str(memory.axes.tile) if vector else "1"))
        if vector and memory.extent(axis) == WIDTH:
            width = lanes[-1]
    return tuple(lanes), rows, width
