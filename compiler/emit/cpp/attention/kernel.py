"""From a contraction to its kernels: there, and back to what a gradient is wanted of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .....dsl.core import DType, names
from ....attention.contraction import KEY, QUERY, VALUE
from ....attention.masks import conditions
from ....attention.tile import slopes, tile
from ...environment import environment
from .blocks import certain, constants, seen
from .points import Points
from .tensors import Tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Node
    from ....attention.contraction import Contraction
    from ....attention.masks import Condition
    from ....attention.tile import Tile
    from .tensors import Tensor

FIXED = 5  # numbers of a call in front of the sizes of lanes: threads, T, S, D, E


@dataclass(frozen=True)
class ContractionKernel:
    """The source of `extern "C" long <symbol>(void *const *tensors, const long *numbers)`.

    The numbers are the threads, the sizes of queries, keys, their features and those of values,
    then of `sizes`, then the strides of each tensor. It gives 0; with 1 set, a position was outside
    of a table; with 2, a whole number was too large.
    """

    symbol: str
    source: str
    tensors: tuple[Tensor, ...]
    sizes: tuple[str, ...]
    returns: tuple[tuple[str, ...], ...] = ()
    """Of a way back: the axes of each gradient; lanes that the input lacks are to be summed."""


@dataclass(frozen=True)
class Level:
    """The lines that make a value: once for a lane, for a row, and at each vector."""

    lane: Sequence[str] = ()
    row: Sequence[str] = ()
    point: Sequence[str] = ()
    made: str = ""


@dataclass(frozen=True)
class ContractionText:
    """All that the templates lay out."""

    symbol: str
    title: str
    softmax: bool
    lanes: tuple[str, ...]
    outer: tuple[str, ...]
    shared: tuple[str, ...]
    query: str
    key: str
    value: str
    numbers: Sequence[str]
    tensors: Sequence[str]
    constants: Sequence[str]
    bounds: Sequence[str]
    certain: Sequence[str]
    bytes: str
    buffers: Sequence[str]
    held: Sequence[str]
    alive: Level
    ahead: Level
    pulled: Sequence[str] = ()
    score: str = ""
    sums: Sequence[str] = ()
    taken: Sequence[str] = ()
    summed: Sequence[str] = ()
    finish: Sequence[str] = ()


def forward(made: Contraction, *, title: str = "Attention") -> ContractionKernel:
    """The kernel of the results. Raises UnsupportedError where there is none."""
    tensors = _inputs(made)
    lanes = names(made.lanes)
    tensors.add("z", (*lanes, QUERY, VALUE), read=False)
    if made.softmax:
        tensors.add("total", (*lanes, QUERY), read=False)
    parts = _Parts(made, tile(made), tensors)
    for word, count in (
        *(("turned", "SP * D"), ("values", "SP * EP"), ("q", "QUERIES * D")),
        *(
            ("x", "QUERIES * KEYS"),
            ("o", "QUERIES * EP"),
            ("most", "QUERIES"),
            ("total", "QUERIES"),
        ),
    ):
        parts.buffer(word, count)
    ahead = parts.level(parts.points(known=True))
    return _laid_out("contraction_forward", title, parts, (), ahead)


def backward(
    made: Contraction, wanted: Sequence[str], *, title: str = "Attention, the way back"
) -> ContractionKernel:
    """The kernel of the gradients of query, key, value and of these other inputs.

    Its tensors are the inputs; of a softmax the results, then the gradients that come; and the
    gradients that it adds to.
    """
    tensors = _inputs(made)
    lanes = names(made.lanes)
    if made.softmax:
        tensors.add("z", (*lanes, QUERY, VALUE))
        tensors.add("total", (*lanes, QUERY))
    tensors.add("came", (*lanes, QUERY, VALUE))
    if made.softmax:
        tensors.add("came_total", (*lanes, QUERY))
    more = [node for node in made.more if node.name in wanted]
    gradients = [*zip(made.inputs[:3], ("dq", "dk", "dv"), strict=True)]
    gradients += [(node, f"d_{node.name}") for node in more]
    pairs = [node for node in more if made.is_pair(node)]
    direct = {*made.inputs[:3], *pairs}
    returns = []
    for node, word in gradients:
        own = names(node.axes)
        if node not in direct:
            own = (*lanes, *(axis for axis in own if axis not in lanes))
        returns.append(own)
        tensors.add(word, own, read=False)
    parts = _Parts(made, slopes(made, wanted), tensors)
    for word, count in (
        *(("turned", "SP * D"), ("rows_k", "SP * DP"), ("turned_v", "SP * E")),
        *(("dk", "SP * DP"), ("dv", "SP * EP"), ("q", "QUERIES * DP"), ("g", "QUERIES * EP")),
        *(("x", "QUERIES * KEYS"), ("y", "QUERIES * KEYS"), ("dq", "QUERIES * DP")),
        *(("gap", "QUERIES"), ("level", "QUERIES")),
    ):
        parts.buffer(word, count)
    points = parts.points(known=True)
    ahead = parts.level(points)
    first = len(points.lines["point"])
    score = points.value(made.score and points.tile.slope[made.score], DType.FLOAT)
    back = _Returned(made, points, parts)
    for node in more:
        back.add(node)
    pulled = points.lines["point"][first:]
    ahead = replace(
        ahead,
        lane=points.lines["lane"],
        row=points.lines["row"],
        point=points.lines["point"][:first],
    )
    shared = [lane for lane in lanes if any(lane not in node.axis_names for node in direct)]
    text = _laid_out("contraction_back", title, parts, tuple(shared), ahead, back, pulled, score)
    return replace(text, returns=tuple(returns))


def _inputs(made: Contraction) -> Tensors:
    tables = [made.table(node) for node in made.more]
    tensors = Tensors(made.lanes, FIXED + len(made.lanes) + sum(t is not None for t in tables))
    for node in made.inputs:
        tensors.add(node.name, names(node.axes), node.dtype)
    return tensors


class _Parts:
    """What both kernels have: numbers, what masks say of blocks, what is held close by."""

    def __init__(self, made: Contraction, own: Tile, tensors: Tensors) -> None:
        self.made, self.tile, self.tensors = made, own, tensors
        self.conditions: tuple[Condition, ...] = conditions(tile(made), softmax=made.softmax)
        self.buffers: list[str] = []
        self.bytes: list[str] = []
        self.held: list[str] = []
        self.first: list[str] = []
        for node in made.more:
            if KEY in node.axis_names and QUERY not in node.axis_names and node.name in own.steps:
                self._hold(node)

    @property
    def sizes(self) -> tuple[str, ...]:
        """Axes whose sizes a call says."""
        tables = [axis for node in self.made.more if (axis := self.made.table(node)) is not None]
        return (*names(self.made.lanes), *tables)

    def buffer(self, word: str, count: str, kind: str = "real") -> None:
        """Memory of a lane."""
        self.bytes.append(f"room<{kind}>({count})")
        self.buffers.append(f"{kind} *const __restrict {word} = arena.take<{kind}>({count});")

    def _hold(self, node: Node) -> None:
        """What differs from key to key is put into memory once, as vectors of it are read."""
        word, kind = f"h_{node.name}", "real" if node.dtype is DType.FLOAT else "word"
        self.buffer(word, "SP", kind)
        own = f"p_{node.name}[s * s_{node.name}]"
        values = {
            DType.FLOAT: own,
            DType.BOOL: f"{own} ? -1 : 0",
            DType.INT: f"narrowed({own}, bad)",
        }
        self.held.append(f"for (long s = from; s < until; ++s) {word}[s] = {values[node.dtype]};")

    def points(self, *, known: bool) -> Points:
        """Lines of the tile; in whole blocks, where that is asked, conditions are known to hold."""
        held = {own.name: own.holds for own in self.conditions if own.bounds} if known else {}
        return Points(self.made, self.tile, held)

    def level(self, points: Points) -> Level:
        """The lines that make the weight, or what is normalised."""
        made = points.value(self.tile.weight, DType.FLOAT)
        return Level(points.lines["lane"], points.lines["row"], points.lines["point"], made)

    def alive(self) -> Level:
        """Whether a weight may differ from zero, for what is not seen from bounds."""
        points = self.points(known=False)
        asked = [own for own in self.conditions if not own.exact]
        made = [
            points.value(own.name, DType.BOOL)
            if own.holds
            else f"~{points.value(own.name, DType.BOOL)}"
            for own in asked
        ]
        lines = points.lines
        if asked and not lines["point"]:
            lines["point"].append("(void)s;")
        return Level(
            lines["lane"], lines["row"], lines["point"], " & ".join(f"({m})" for m in made)
        )


class _Returned:
    """What is added up for the gradients of inputs beside query, key and value."""

    def __init__(self, made: Contraction, points: Points, parts: _Parts) -> None:
        self.made, self.points, self.parts = made, points, parts
        self.sums: list[str] = []
        self.taken: list[str] = []
        self.summed: list[str] = []
        self.finish: list[str] = []

    def add(self, node: Node) -> None:
        """An input."""
        name, slope = node.name, self.points.tile.slope
        own = f"p_d_{name}"
        if self.made.table(node) is not None:
            self._table(node)
            return
        if name not in slope:
            return
        value = f"chosen(there, {self.points.value(slope[name], DType.FLOAT)}, vec{{}})"
        if self.made.is_pair(node):
            to = f"{own} + t * t_d_{name} + s"
            self.taken.append(f"store<false>({to}, load<false>({to}, S - s) + {value}, S - s);")
        elif KEY in node.axis_names:
            self.parts.buffer(f"d_{name}", "SP")
            to = f"d_{name} + s"
            self.taken.append(f"store<true>({to}, load<true>({to}, W) + {value}, W);")
            line = f"{own}[s * s_d_{name}] += d_{name}[s];"
            self.finish.append(f"for (long s = from; s < until; ++s) {line}")
        else:
            self.sums.append(f"vec sum_{name} = {{}};")
            self.taken.append(f"sum_{name} += {value};")
            if QUERY in node.axis_names:
                self.summed.append(f"{own}[t * t_d_{name}] += sum_across(sum_{name});")
            else:
                self.parts.first.append(f"double all_{name} = 0;")
                self.summed.append(f"all_{name} += sum_across(sum_{name});")
                self.finish.append(f"*{own} += all_{name};")

    def _table(self, node: Node) -> None:
        """A table, at the positions that were read."""
        tile_, axis = self.points.tile, self.made.table(node)
        for name, picked in tile_.picked.items():
            if picked.table == node.name and name in tile_.slope:
                at = self.points.value(picked.at, DType.INT)
                value = self.points.value(tile_.slope[name], DType.FLOAT)
                self.taken.append(
                    f"put_back(p_d_{node.name}, f_d_{node.name}, c_{axis}, {at}, S - s, {value});"
                )


def _laid_out(
    template: str,
    title: str,
    parts: _Parts,
    shared: tuple[str, ...],
    ahead: Level,
    back: _Returned | None = None,
    pulled: Sequence[str] = (),
    score: str = "",
) -> ContractionKernel:
    made = parts.made
    numbers = ["threads", "T", "S", "D", "E", *(f"c_{axis}" for axis in parts.sizes)]
    q, k, v = (node.name for node in made.inputs[:3])
    lanes = names(made.lanes)
    text = ContractionText(
        "SYMBOL",
        title,
        made.softmax,
        lanes,
        tuple(lane for lane in lanes if lane not in shared),
        shared,
        *(q, k, v),
        tuple(f"const long {name} = n[{at}];" for at, name in enumerate(numbers)),
        parts.tensors.lines(),
        (*constants(parts.tile, parts.conditions), *parts.first),
        seen(parts.conditions),
        certain(parts.conditions),
        " + ".join(parts.bytes),
        parts.buffers,
        parts.held,
        parts.alive(),
        ahead,
        pulled,
        score,
        *((back.sums, back.taken, back.summed, back.finish) if back else ()),
    )
    source = environment().get_template(f"cpp/{template}.cpp.j2").render(kernel=text)
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    symbol = f"{template}_{digest}"
    return ContractionKernel(
        symbol, source.replace("SYMBOL", symbol), tuple(parts.tensors.found), parts.sizes
    )
