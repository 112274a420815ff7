"""From a contraction to its kernels in Triton: there, and back in two.

The way back computes scores again. One kernel has a block of queries and goes through keys, for the
gradients of queries and of what differs along them; the other has a block of keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .....dsl.core import DType, names
from ....attention.contraction import KEY, QUERY
from ....attention.masks import conditions
from ....attention.tensors import Tensors
from ....attention.tile import slopes, tile
from ...environment import environment
from .border import GAP, RESULTS, Border
from .bounds import Bounds
from .points import Points
from .returned import Returned, axes_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .....dsl.core import Node
    from ....attention.contraction import Contraction
    from ....attention.tensors import Tensor
    from ....attention.tile import Tile as Score
    from .border import Side


@dataclass(frozen=True)
class ContractionKernel:
    """The source of a Triton function `symbol`.

    It is given the tensors, then numbers: how many queries and keys there are, the sizes of
    `sizes`, how far neighbours in each tensor are apart along its axes, the features of keys and of
    values and powers of two that hold them, how many rows and columns a block has, how exact
    products are. There is a program for each block of `rows` and each lane, blocks the fastest.
    One that `asserts` says so if a position is outside of a table. What reads tables, or looks at
    blocks before it computes them, `holds_more` beside its blocks.
    """

    symbol: str
    source: str
    rows: str
    lanes: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    sizes: tuple[str, ...]
    is_back: bool
    holds_more: bool
    asserts: bool


@dataclass(frozen=True)
class Backward:
    """The kernels of the way back: by queries, then by keys.

    They read the inputs, of a softmax the results `z` and `total`, and what comes back to those:
    `came_z`, `came_total`. Each of `returns` is an input and the axes of its gradient, which a
    kernel writes as `d_` and its name; what the input lacks of them is to be summed. To those of
    `added` programs add, so that they begin as 0.
    """

    kernels: tuple[ContractionKernel, ContractionKernel]
    returns: tuple[tuple[str, tuple[str, ...]], ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class ContractionText:
    """All that the templates lay out."""

    symbol: str
    title: str
    softmax: bool
    parameters: Sequence[str]
    lanes: Sequence[str]
    pointers: Sequence[str]
    rows: Side
    columns: Side
    bounds: Bounds
    start: Sequence[str]
    held: Sequence[str]
    read: Sequence[str]
    alive: Sequence[str]
    is_alive: str
    ahead: Sequence[str]
    made: str
    pulled: Sequence[str]
    slope: str
    sums: Sequence[str]
    taken: Sequence[str]
    finish: Sequence[str]
    by_keys: bool
    spread: str


def forward(made: Contraction, *, title: str = "Attention") -> ContractionKernel:
    """The kernel of the results. Raises UnsupportedError where there is none."""
    tensors = Tensors.of(made)
    for word, axes in zip(RESULTS, made.results, strict=False):
        tensors.add(word, axes, read=False)
    return _laid_out("contraction_forward", title, made, tensors, tile(made), QUERY)


def backward(
    made: Contraction, wanted: Sequence[str], *, title: str = "Attention, the way back"
) -> Backward:
    """The kernels of the gradients of query, key, value and of these other inputs.

    Raises UnsupportedError where there are none.
    """
    score = slopes(made, wanted)
    more = [node for node in made.more if node.name in wanted]
    gradients = [(node, axes_of(made, node)) for node in (*made.inputs[:3], *more)]
    kernels = []
    for rows, by in ((QUERY, "queries"), (KEY, "keys")):
        tensors = Tensors.of(made)
        for word, axes in zip(RESULTS, made.results, strict=False):
            if made.softmax and (rows == QUERY or word == "total"):
                tensors.add(word, axes)
            if rows == QUERY or word == "z":
                tensors.add(f"came_{word}", axes)
        if made.softmax:
            tensors.add(GAP, made.results[1], read=rows == KEY)
        own = [(node, axes) for node, axes in gradients if rows_of(node) == rows]
        for node, axes in own:
            tensors.add(f"d_{node.name}", axes, read=False)
        beside = [node for node, _ in own if node in more]
        kernels.append(
            _laid_out("contraction_back", f"{title} by {by}", made, tensors, score, rows, beside)
        )
    returns = tuple((node.name, axes) for node, axes in gradients)
    added = tuple(node.name for node in more if made.table(node) is not None)
    return Backward((kernels[0], kernels[1]), returns, added)


def _laid_out(
    template: str,
    title: str,
    made: Contraction,
    tensors: Tensors,
    score: Score,
    rows: str,
    beside: Sequence[Node] = (),
) -> ContractionKernel:
    asked = conditions(tile(made), softmax=made.softmax)
    points = Points(made, score, asked, rows)
    bounds = Bounds(asked, rows, lambda name: points.of(name).text)
    looked = [own for own in asked if not own.exact]
    truths = [f"{'' if own.holds else '~'}({_spread(points, own.name)})" for own in looked]
    alive = points.taken()
    text = points.everywhere(points.of(score.weight, DType.FLOAT))
    ahead = points.taken()
    slope, back = "", Returned(points, beside)
    if score.cotangent is not None:
        slope = points.everywhere(points.of(score.slope[made.score], DType.FLOAT))
        back.write()
    strides = [f"{own.word}_{axis}" for own in tensors.found for axis in own.axes]
    numbers = ["T", "S", *(f"n_{axis}" for axis in made.sized), *strides]
    border = Border(made, rows, back=score.cotangent is not None)
    laid = ContractionText(
        "SYMBOL",
        title,
        made.softmax,
        (*(own.word for own in tensors.found), *numbers),
        names(made.lanes),
        _pointers(tensors),
        border.rows,
        border.columns,
        bounds,
        points.start,
        border.held(),
        border.read(),
        alive,
        " & ".join(truths),
        ahead,
        text,
        points.taken(),
        slope,
        back.sums,
        back.taken,
        (*border.given(), *back.finish),
        rows == KEY,
        "[None, :]" if rows == KEY else "[:, None]",
    )
    source = environment().get_template(f"triton/{template}.py.j2").render(kernel=laid)
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    symbol = f"{template}_{digest}"
    return ContractionKernel(
        symbol,
        source.replace("SYMBOL", symbol),
        rows,
        tensors.lanes,
        tuple(tensors.found),
        made.sized,
        score.cotangent is not None,
        bool(score.picked or looked),
        points.asserts,
    )


def _spread(points: Points, name: str) -> str:
    return points.tiles.spread(points.of(name, DType.BOOL), points.both)


def _pointers(tensors: Tensors) -> list[str]:
    """Where this lane of each tensor begins."""
    lines = []
    for own in tensors.found:
        lanes = [axis for axis in own.axes if axis in tensors.lanes]
        moved = "".join(f" + {lane} * {own.word}_{lane}" for lane in lanes)
        lines.append(f"p_{own.word} = {own.word}{moved}")
    return lines
