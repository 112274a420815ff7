"""From a contraction to its kernels: there, and back to what a gradient is wanted of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .....dsl.core import DType, names
from ....attention.contraction import QUERY, VALUE
from ....attention.tensors import Tensors
from ....attention.tile import slopes, tile
from ...environment import environment
from .blocks import certain, constants, seen
from .parts import Level, Parts, Returned
from .tensors import declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....attention.contraction import Contraction
    from ....attention.tensors import Tensor

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
    tensors = Tensors.of(made)
    lanes = names(made.lanes)
    tensors.add("z", (*lanes, QUERY, VALUE), read=False)
    if made.softmax:
        tensors.add("total", (*lanes, QUERY), read=False)
    parts = Parts(made, tile(made), tensors)
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
    tensors = Tensors.of(made)
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
    parts = Parts(made, slopes(made, wanted), tensors)
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
    back = Returned(made, points, parts)
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


def _laid_out(
    template: str,
    title: str,
    parts: Parts,
    shared: tuple[str, ...],
    ahead: Level,
    back: Returned | None = None,
    pulled: Sequence[str] = (),
    score: str = "",
) -> ContractionKernel:
    made = parts.made
    numbers = ["threads", "T", "S", "D", "E", *(f"c_{axis}" for axis in made.sized)]
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
        declared(parts.tensors, FIXED + len(made.sized)),
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
        symbol, source.replace("SYMBOL", symbol), tuple(parts.tensors.found), made.sized
    )
