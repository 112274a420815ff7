"""Reductions, contractions and functions along axes that see only what exists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ....dsl.core import Axis, DType, names
from ....dsl.ops import (
    ALONG_OP,
    CONTRACT,
    INDEX,
    REDUCE,
    RENAME,
    AlongAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    ReduceAttrs,
    RenameAttrs,
)
from ....dsl.sizes import product
from ...causality import hides
from .joining import merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Node
    from .walk import Pad

NOTHING: dict[str, float | bool] = {  # what a reduction does not see
    "sum": 0,
    "norm": 0,
    "prod": 1,
    "any": False,
    "all": True,
    "max": -math.inf,
    "min": math.inf,
    "argmax": -math.inf,
    "argmin": math.inf,
    "logsumexp": -math.inf,
}
BEHIND: dict[str, float] = {  # what stays behind all else, or adds nothing
    "softmax": -math.inf,
    "log_softmax": -math.inf,
    "rank": -math.inf,
    "sort": math.inf,
    "argsort": math.inf,
    "cumsum": 0,
    "cumprod": 1,
    "cummax": -math.inf,
}
BACKWARDS = ("cumsum", "cumprod", "cummax")  # they look at what is before only
LARGEST = 2**53  # does for infinity among ints


def reduce(pad: Pad, node: Node, attrs: ReduceAttrs, value: str) -> None:
    """A reduction over what exists."""
    lengths, over = pad.lengths, attrs.axes
    match attrs.fn:
        case "mean":
            pad.become(node, _mean(pad, node, value, over))
        case "var":
            gap = lengths.map("sub", node, value, _mean(pad, node, value, over))
            square = lengths.map("mul", node, gap, gap)
            lengths.joined[square] = lengths.joined[value]
            pad.become(node, _mean(pad, node, square, over))
        case "quantile":
            pad.become(node, _quantile(pad, node, value, attrs))
        case fn:
            fill = _fill(NOTHING[fn], fn, pad.edit.node(value).dtype)
            axes = lengths.mixed(value, over)
            pad.edit.set_operands(node.name, [lengths.only(value, axes, fill, node)])


def _mean(pad: Pad, node: Node, value: str, over: Sequence[str]) -> str:
    """The sum over the number of what exists."""
    lengths = pad.lengths
    total = lengths.only(value, lengths.mixed(value, over), 0, node)
    total = lengths.add(REDUCE, ReduceAttrs("sum", tuple(over)), node, total)
    return lengths.map("div", node, total, _number(pad, node, value, over))


def _number(pad: Pad, node: Node, value: str, over: Sequence[str]) -> str:
    """How many elements exist along these axes."""
    lengths = pad.lengths
    axes = lengths.mixed(value, over)
    count = lengths.only(lengths.number(1, node), axes, 0, node, like=value)
    for axis in pad.edit.node(value).axes:
        if axis.name in over and axis.name not in pad.edit.node(count).axis_names:
            index = lengths.index(axis, node)
            count = lengths.map("mul", node, count, lengths.map("ge", node, index, index))
    return lengths.add(REDUCE, ReduceAttrs("sum", tuple(over)), node, count)


def _quantile(pad: Pad, node: Node, value: str, attrs: ReduceAttrs) -> str:
    """Between the two elements around the level, what does not exist being sorted to the end."""
    lengths, over = pad.lengths, attrs.axes
    own = pad.edit.node(value).axes
    chosen = tuple(axis for name in over for axis in own if axis.name == name)
    line = Axis("_".join(over), product(axis.size for axis in chosen))
    while len(over) > 1 and line.name in names(own):
        line = Axis(f"{line.name}_", line.size)
    seen = lengths.only(value, lengths.mixed(value, over), math.inf, node)
    if len(over) > 1:
        seen = lengths.add(RENAME, RenameAttrs(((over, (line,)),)), node, seen)
    ordered = lengths.add(ALONG_OP, AlongAttrs("sort", (line.name,)), node, seen)
    last = lengths.map("sub", node, _number(pad, node, value, over), lengths.number(1, node))
    level = lengths.number(0.0 if attrs.argument is None else attrs.argument, node)
    at = lengths.map("mul", node, level, last)
    low = lengths.map("floor", node, at)
    high = lengths.map("min", node, lengths.map("add", node, low, lengths.number(1, node)), last)
    zero = lengths.number(0, node)  # for what has no elements at all
    below, above = (
        lengths.add(
            INDEX,
            IndexAttrs(Gather(line.name)),
            node,
            ordered,
            lengths.map("max", node, place, zero),
        )
        for place in (low, high)
    )
    part = lengths.map("mul", node, lengths.map("sub", node, above, below), _part(pad, node, at))
    return lengths.map("add", node, below, part)


def _part(pad: Pad, node: Node, at: str) -> str:
    return pad.lengths.map("sub", node, at, pad.lengths.map("floor", node, at))


def contract(pad: Pad, node: Node, attrs: ContractAttrs, operands: tuple[str, ...]) -> None:
    """One factor is 0 behind the end; the smallest one is made so, if none is yet."""
    lengths, edit = pad.lengths, pad.edit
    read = list(operands)
    for axis in pad.ragged(operands, names(node.axes) + attrs.axes):
        having = [at for at, o in enumerate(read) if axis.name in edit.node(o).axis_names]
        ways = {at: lengths.joined.get(operands[at], {}).get(axis.name) for at in having}
        together = merged(ways.values()) or frozenset()
        over = {axis.name} | (lengths.examples(axis) - together)
        alike = [at for at in having if (ways[at] or frozenset()) == together]
        is_zero = any(axis.name in pad.zero.get(operands[at], ()) for at in alike)
        if is_zero or over.isdisjoint(attrs.axes):
            continue
        least = min(having, key=lambda at: len(edit.node(read[at]).axes))
        mask, zero = lengths.exists(axis, node, together), lengths.number(0, node)
        read[least] = lengths.map("where", node, mask, read[least], zero)
    edit.set_operands(node.name, read)


ENDLESS = frozenset(["sort", "log_softmax"])  # what stands behind the end is infinite


def along(pad: Pad, node: Node, attrs: AlongAttrs, value: str) -> None:
    """A function along axes, of what exists."""
    lengths, lone = pad.lengths, len(attrs.axes) == 1
    axes = lengths.mixed(value, attrs.axes)
    inner = [axis for axis in axes if axis.name in attrs.axes]
    match attrs.fn:
        case "flip":
            _flip(pad, node, value, inner[0])
        case "fft_re" | "fft_im":
            _transform(pad, node, attrs, value, inner[0])
        case fn:
            if fn in BACKWARDS:
                axes = [axis for axis in axes if axis not in inner]
            if fn == "softmax":
                pad.zero[node.name] = frozenset(axis.name for axis in inner)
            seen = [axis for axis in axes if not (lone and hides(pad.edit, value, axis))]
            fill = _fill(BEHIND[fn], fn, pad.edit.node(value).dtype)
            known = lengths.only(value, seen, fill, node)
            pad.edit.set_operands(node.name, [known])
            if fn in ENDLESS and seen and node.dtype is DType.FLOAT:
                made = lengths.add(node.op, attrs, node, known)
                lengths.joined[made] = lengths.joined[node.name]
                pad.become(node, lengths.only(made, inner, 0, node))


def _flip(pad: Pad, node: Node, value: str, axis: Axis) -> None:
    lengths = pad.lengths
    count = _divisor(pad, node, value, axis)
    index = lengths.index(axis, node)
    last = lengths.map("sub", node, count, lengths.number(1, node))
    place = lengths.map("mod", node, lengths.map("sub", node, last, index), count)
    pad.become(node, lengths.add(INDEX, IndexAttrs(Gather(axis.name)), node, value, place))


def _transform(pad: Pad, node: Node, attrs: AlongAttrs, value: str, axis: Axis) -> None:
    """Each length has waves of its own: the sum is written out."""
    lengths = pad.lengths
    count = _divisor(pad, node, value, axis)
    other = axis.name + "'"
    while other in pad.edit.node(value).axis_names:
        other += "'"
    copy = Axis(other, axis.size)
    turns = lengths.map("mul", node, lengths.index(axis, node), lengths.index(copy, node))
    turns = lengths.map("div", node, lengths.map("mod", node, turns, count), count)
    angle = lengths.map("mul", node, turns, lengths.number(2 * math.pi, node))
    wave = lengths.map("cos" if attrs.fn == "fft_re" else "sin", node, angle)
    if attrs.fn == "fft_im":
        wave = lengths.map("neg", node, wave)
    seen = lengths.only(value, [axis], 0, node)
    turned = lengths.add(RENAME, RenameAttrs((((axis.name,), (copy,)),)), node, seen)
    pad.become(node, lengths.add(CONTRACT, ContractAttrs((other,)), node, turned, wave))


def _divisor(pad: Pad, node: Node, value: str, axis: Axis) -> str:
    """The length, or 1 where that is 0."""
    lengths = pad.lengths
    count = lengths.length(axis.size, node, lengths.joined_of(value, axis.name))
    return lengths.map("max", node, count, lengths.number(1, node))


def _fill(number: float | bool, fn: str, dtype: DType) -> float | bool:
    """The number in the dtype of what it stands beside, if the function keeps that."""
    if (
        not math.isinf(number)
        or dtype is DType.FLOAT
        or fn in ("logsumexp", "softmax", "log_softmax")
    ):
        return number
    return number > 0 if dtype is DType.BOOL else int(math.copysign(LARGEST, number))
