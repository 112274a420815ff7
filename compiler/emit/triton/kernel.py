"""From a scan to a kernel: Triton that runs all steps, and how it is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl.core import DType
from ....dsl.items import body_inputs, body_results
from ..cpp.axes import mixed
from ..cpp.borders import READ
from ..cpp.kernel import CHUNK
from ..environment import environment
from ..flow import flow
from ..simplify import simplified
from .borders import Border, Borders
from .tiles import Tile, Tiles, word
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axes, Axis, Node
    from ....dsl.ops import ScanAttrs


@dataclass(frozen=True)
class Plan:
    """How a scan is run: `body` is the scan whose step is a turn of the loop.

    That is the scan itself, or with `rows` one over chunks of so many steps, whose last per-step
    value says which of them are there. Of the lane `block`, `width` are run together. A program has
    so many `warps`, and loads are under way for so many `stages` of the loop.
    """

    scan: ScanAttrs
    body: ScanAttrs
    rows: Axis | None
    lanes: Axes
    block: Axis | None
    width: int
    warps: int = 4
    stages: int = 2

    def tiles(self) -> Tiles:
        """The axes of a program."""
        return Tiles(self.lanes, self.block, self.width)

    @property
    def turn(self) -> int:
        """Steps in a turn of the loop."""
        if self.rows is None:
            return 1
        assert isinstance(self.rows.size, int)
        return self.rows.size


@dataclass(frozen=True)
class Kernel:
    """The source of a Triton function `symbol`.

    It is given the tensors of `borders`, then numbers: the steps, the sizes of `sized` lanes, for
    each border how far neighbours along its axes are apart, how exact products of matrices are, and
    on the way there whether carries, if there are any, are kept. There is a program for each lane,
    the blocks of `plan.block` the fastest. A turn of the loop computes `work` numbers, with `dots`
    products of matrices; at one time it holds `live` of them.
    """

    symbol: str
    source: str
    plan: Plan
    borders: tuple[Border, ...]
    sized: Axes
    work: int
    dots: int
    live: int

    @property
    def axis(self) -> Axis:
        """The axis of the scan."""
        return self.plan.scan.axis

    @property
    def operands(self) -> tuple[Border, ...]:
        """What goes in."""
        return tuple(border for border in self.borders if border.kind in READ)

    @property
    def results(self) -> tuple[Border, ...]:
        """What comes out: the last carries, the outputs, then the carries kept."""
        return tuple(border for border in self.borders if border.kind not in READ)

    @property
    def every(self) -> int:
        """After how many steps carries are kept."""
        return self.plan.turn

    @property
    def held(self) -> int:
        """How many numbers of carries a program has."""
        tiles = self.plan.tiles()
        firsts = [border.axes for border in self.borders if border.kind in ("first", "check")]
        return sum(tiles.count(tiles.inside(axes)) for axes in firsts)

    @property
    def kept(self) -> int:
        """How many of the results are carries kept for the way back."""
        return sum(border.kind == "kept" for border in self.borders)


@dataclass(frozen=True)
class KernelText:
    """All that the template lays out."""

    symbol: str
    title: str
    parameters: tuple[str, ...]
    start: tuple[str, ...]
    count: str
    loop: str
    body: tuple[str, ...]
    finish: tuple[str, ...]


def lanes_of(body: ScanAttrs) -> Axes:
    """The axes of a scan along which nothing mixes and that all that it carries and gives has."""
    inputs, results = body_inputs(body.body), body_results(body.body)
    found = flow(simplified(body.body))
    moved = mixed(found)
    ends: list[Node] = [*inputs[: body.carries], *results[body.carries :]]
    if not ends:
        return ()
    return tuple(
        axis
        for axis in ends[0].axes
        if axis.name not in moved and all(axis.name in node.axis_names for node in ends)
    )


class Parts:
    """What kernels of both ways are made of, in one plan."""

    def __init__(self, plan: Plan, title: str) -> None:
        self.plan, self.title, self.tiles = plan, title, plan.tiles()
        self.moving = plan.scan.axis
        self.borders = Borders(self.tiles, self.moving, plan.rows)
        self.start: list[str] = []
        self.lines: list[str] = []
        self.finish: list[str] = []

    def of_steps(self, node: Node) -> Axes:
        """The axes of the tensor of a per-step value or an output."""
        rest = tuple(a for a in node.axes if self.plan.rows is None or a != self.plan.rows)
        return (self.moving, *rest)

    def read(self, name: str, tile: Tile, lines: list[str]) -> Tile:
        """A line that gives what is read a name."""
        lines.append(f"{name} = {tile.text}")
        return replace(tile, text=name)

    def present(self) -> list[str]:
        """The lines that say which steps a turn of the loop has."""
        way = "T - 1 - {}" if self.plan.scan.reverse else "{}"
        rows = self.plan.rows
        if rows is None:
            return [f"t = tl.cast({way.format('i')}, tl.int64)"]
        index = self.tiles.index(rows)
        back = "-" if self.plan.scan.reverse else ""
        return [
            f"first = i * {rows.size}",
            f"there = {index} < T - first",
            f"near = {back}tl.minimum({index}, T - 1 - first)",
            f"t = tl.cast({way.format('first')}, tl.int64)",
        ]

    def made(self, template: str, writer: Writer, modes: Sequence[str] = ("PRECISION",)) -> Kernel:
        """The kernel of all that was added."""
        plan, tiles = self.plan, self.tiles
        sized = tuple(axis for axis in plan.lanes if not isinstance(axis.size, int))
        sizes = [f"n_{word(axis.name)}" for axis in sized]
        numbers = ["T", *sizes, *self.borders.numbers(), *(f"{m}: tl.constexpr" for m in modes)]
        start = self._lanes()
        start += [f"{name} = {text}" for name, text in tiles.indices.items()]
        turns = "T" if plan.rows is None else f"tl.cdiv(T, {plan.rows.size})"
        text = KernelText(
            "SYMBOL",
            self.title,
            (*(border.word for border in self.borders.found), *numbers),
            (*start, *self.borders.start, *self.start),
            turns,
            # loads that no product of matrices waits for are under way early only if that is said
            "" if plan.rows else f", num_stages={plan.stages}",
            tuple(self.lines),
            tuple(self.finish),
        )
        source = environment().get_template(f"triton/{template}.py.j2").render(kernel=text)
        digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
        name = f"{template}_{digest}"
        return Kernel(
            name,
            source.replace("SYMBOL", name),
            plan,
            tuple(self.borders.found),
            sized,
            writer.work,
            writer.dots,
            writer.live(),
        )

    def _lanes(self) -> list[str]:
        """Which lanes this program has."""
        lines = ["rest = tl.program_id(0)"]
        plan = self.plan
        if plan.block is not None:
            size, at = self.tiles.size(plan.block), self.tiles.index(plan.block)
            lines += [
                f"block = rest % tl.cdiv({size}, {plan.width})",
                f"rest = rest // tl.cdiv({size}, {plan.width})",
                f"{at} = block * {plan.width} + tl.arange(0, {plan.width})",
            ]
        for axis in reversed(plan.lanes):
            if self.tiles.is_single(axis.name):
                size, at = self.tiles.size(axis), self.tiles.index(axis)
                lines += [f"{at} = (rest % {size}).to(tl.int64)", f"rest = rest // {size}"]
        return lines


def kernel(plan: Plan, *, title: str = "A recurrence") -> Kernel:
    """The kernel of a scan. Raises UnsupportedError where there is none."""
    parts = Parts(plan, title)
    body, borders, tiles = plan.body, parts.borders, parts.tiles
    writer = Writer(body.body, tiles)
    given: dict[str, Tile] = {}
    lines = parts.lines
    lines += parts.present()
    carries = writer.inputs[: body.carries]
    steps = body.carries + body.steps
    for at, node in enumerate(carries):
        border = borders.add("first", node.axes, node.dtype)
        given[node.name] = parts.read(f"carry_{at}", borders.load(border), parts.start)
    for node in writer.inputs[body.carries : steps]:
        if plan.rows is not None and node is writer.inputs[steps - 1]:
            given[node.name] = Tile("there", (plan.rows,), DType.BOOL)
            continue
        border = borders.add("given", parts.of_steps(node), node.dtype)
        given[node.name] = parts.read(f"v_{border.word}", borders.load(border), lines)
    for node in writer.inputs[steps:]:
        border = borders.add("fixed", node.axes, node.dtype)
        given[node.name] = parts.read(f"v_{border.word}", borders.load(border), parts.start)
    lasts = [borders.add("last", node.axes, node.dtype) for node in carries]
    outputs = writer.results[body.carries :]
    outs = [borders.add("output", parts.of_steps(node), node.dtype) for node in outputs]
    writer.write(given)
    for node in carries:
        border = borders.add("kept", (CHUNK, *node.axes), node.dtype)
        lines += ["if KEEP:", f"    {borders.store(border, given[node.name])}"]
    lines += writer.lines
    for at, border in enumerate(outs, body.carries):
        lines.append(borders.store(border, writer.result(at)))
    lines += renewed(parts, carries, [writer.result(at) for at in range(body.carries)])
    for border, node in zip(lasts, carries, strict=True):
        parts.finish.append(borders.store(border, given[node.name]))
    return parts.made("scan", writer, ("PRECISION", "KEEP") if carries else ("PRECISION",))


def renewed(parts: Parts, carries: Sequence[Node], new: Sequence[Tile]) -> list[str]:
    """The lines by which carries become the new ones, all at once."""
    lines = []
    for at, (node, tile) in enumerate(zip(carries, new, strict=True)):
        axes = parts.tiles.inside(node.axes)
        lines.append(f"next_{at} = {parts.tiles.full(tile, axes, node.dtype)}")
    return [*lines, *(f"carry_{at} = next_{at}" for at in range(len(carries)))]
