"""What of a program a kernel of rows can compute: pointwise functions, reductions over an axis of
known size, and what only looks at values in another way.

Products of matrices stay with PyTorch, and so does softmax attention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ...dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    Select,
    Slice,
    StopAttrs,
)
from ..emit.cpp.expressions import OPERATORS
from ..emit.forms import Core, LayerNorm, Pointwise, RMSNorm, Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.core import Axis, Node
    from ...dsl.sizes import Size
    from ..emit.flow import Flow
    from ..emit.forms import Piece

ASSUMED = 64  # what the size of an axis is taken for that is known when the model runs
COMPOSED = 8  # passes of an RMS norm, which PyTorch composes of others
TINY = 16  # so many products in a weighted sum
REDUCED = frozenset(["sum", "mean", "var", "max", "min", "norm", "logsumexp", "prod"])
ALONG = frozenset(["softmax", "log_softmax"])


@dataclass(frozen=True)
class Member:
    """A piece that may be in a region: the nodes that it stands for, and what it reads.

    `mixed` are axes along which something is summed, moved or looked at by index. `passes` is how
    many numbers PyTorch reads and writes for it.
    """

    piece: Piece
    nodes: frozenset[str]
    reads: tuple[str, ...]
    axes: Mapping[str, Size]
    least: frozenset[str]
    mixed: frozenset[str]
    passes: float

    @property
    def is_view(self) -> bool:
        """Whether it only looks at a value in another way."""
        return isinstance(self.piece.node.attrs, RenameAttrs | IndexAttrs)


def member(flow: Flow, piece: Piece) -> Member | None:
    """The piece as a member of a region; None if it cannot be one."""
    if not isinstance(piece.form, Core | Pointwise | LayerNorm | RMSNorm | Spread):
        return None
    nodes = _covered(flow, piece)
    if nodes is None or not all(_can(flow, name) for name in nodes):
        return None
    reads = tuple(dict.fromkeys(r for n in nodes for r in flow.reads[n] if r not in nodes))
    reads = tuple(name for name in reads if name not in flow.numbers)
    if any(name in flow.lengths or is_counted(flow, name) is None for name in reads):
        return None
    axes: dict[str, Size] = {}
    for name in (*nodes, *reads):
        for axis in flow.nodes[name].axes:
            if axes.setdefault(axis.name, axis.size) != axis.size and name in nodes:
                axes[axis.name] = _larger(axes[axis.name], axis.size)
    mixed = frozenset(name for node in nodes for name in _mixed(flow, node))
    least = frozenset.intersection(*(flow.nodes[name].axis_names for name in nodes))
    return Member(piece, nodes, reads, axes, least, mixed, _passes(flow, piece, reads))


def is_counted(flow: Flow, name: str) -> bool | None:
    """Whether a value is an index or made of such, which floats hold; None for other ints."""
    if flow.nodes[name].dtype is not DType.INT:
        return False
    return True if name in flow.closed else None


def volume(axes: Mapping[str, Size] | tuple[Axis, ...]) -> int:
    """How many numbers there are along axes."""
    sizes = axes.values() if not isinstance(axes, tuple) else [axis.size for axis in axes]
    return math.prod(size if isinstance(size, int) else ASSUMED for size in sizes)


def attended(flow: Flow) -> frozenset[str]:
    """The patterns of softmax attention, what is done to them before they weigh a value, and the
    scores that they are made of."""
    found: set[str] = set()
    for name, node in flow.nodes.items():
        if not isinstance(node.attrs, AlongAttrs) or node.attrs.fn != "softmax":
            continue
        later = _until_weighed(flow, name, set(node.attrs.axes))
        if later:
            found |= later
            waiting = [*flow.reads[name]]
            while waiting:
                score = waiting.pop()
                own = flow.nodes[score]
                if own.axis_names >= node.axis_names and isinstance(own.attrs, MapAttrs):
                    found.add(score)
                    waiting += flow.reads[score]
    return frozenset(found)


def _until_weighed(flow: Flow, pattern: str, axes: set[str]) -> set[str]:
    """A pattern and what it goes through, if a product sums over its axes in the end."""
    seen, waiting, weighs = {pattern}, [pattern], False
    while waiting:
        for user in flow.users[waiting.pop()]:
            if not user or user in seen:
                continue
            attrs = flow.nodes[user].attrs
            if isinstance(attrs, ContractAttrs):
                weighs |= bool(axes & set(attrs.axes))
            elif isinstance(attrs, MapAttrs) and axes <= flow.nodes[user].axis_names:
                seen.add(user)
                waiting.append(user)
    return seen if weighs else set()


def _larger(one: Size, other: Size) -> Size:
    return max(one, other) if isinstance(one, int) and isinstance(other, int) else one


def _covered(flow: Flow, piece: Piece) -> frozenset[str] | None:
    """The nodes that a piece stands for: from its own back to what it reads."""
    found: set[str] = set()
    waiting = [piece.node.name]
    while waiting:
        name = waiting.pop()
        if name in found or name in flow.numbers or name in piece.reads:
            continue
        if name in flow.closed and name != piece.node.name:
            continue
        if flow.nodes[name].op.name in ("input", "param", "state", "random"):
            return None
        found.add(name)
        if not isinstance(piece.form, Core):
            waiting += flow.reads[name]
    return frozenset(found)


def _can(flow: Flow, name: str) -> bool:
    """Whether a kernel computes this operation, whole rows at a time."""
    node = flow.nodes[name]
    read = [flow.nodes[operand] for operand in flow.reads[name]]
    if node.dtype is DType.INT or name in flow.lengths:
        return False
    known = all(isinstance(own.size(a), int) for own in read for a in _named(node, own))
    match node.attrs:
        case MapAttrs(fn=fn):
            return fn in OPERATORS
        case ReduceAttrs(fn=fn):
            return fn in REDUCED and known and node.dtype is DType.FLOAT
        case AlongAttrs(fn=fn):
            return fn in ALONG and known
        case ContractAttrs(axes=axes):
            whole = {axis.name: axis.size for own in read for axis in own.axes}
            over = volume({name: whole[name] for name in axes})
            along = [own.axis_names == whole.keys() for own in read]
            return known and (all(along) or (any(along) and 0 < over <= TINY))
        case RenameAttrs(pairs=pairs):
            return known and all(len(old) == 1 for old, _ in pairs)
        case IndexAttrs(how=how):
            return isinstance(how, Slice | Select) and known and _is_known(how)
        case ConcatAttrs(axis=axis):
            return all(
                isinstance(a.size, int) for own in (*read, node) for a in own.axes if a.name == axis
            )
        case StopAttrs():
            return True
    return False


def _is_known(how: Slice | Select) -> bool:
    return isinstance(how, Select) or isinstance(how.start, int)


def _named(node: Node, read: Node) -> set[str]:
    """The axes of an operand that an operation mixes."""
    return _touched(node) & read.axis_names


def _touched(node: Node) -> set[str]:
    match node.attrs:
        case ReduceAttrs(axes=axes) | ContractAttrs(axes=axes) | AlongAttrs(axes=axes):
            return set(axes)
        case RenameAttrs(pairs=pairs):
            return {name for old, new in pairs for name in (*old, *(a.name for a in new))}
        case IndexAttrs(how=how):
            return {how.axis}
        case ConcatAttrs(axis=axis):
            return {axis}
    return set()


def _mixed(flow: Flow, name: str) -> set[str]:
    return _touched(flow.nodes[name])


def _passes(flow: Flow, piece: Piece, reads: tuple[str, ...]) -> float:
    """How many numbers PyTorch moves for a piece: a view moves none."""
    attrs = piece.node.attrs
    if isinstance(attrs, RenameAttrs | IndexAttrs | StopAttrs):
        return 0
    moved = sum(volume(flow.nodes[name].axes) for name in reads)
    if isinstance(piece.form, RMSNorm):
        return COMPOSED * volume(piece.node.axes)
    again = isinstance(attrs, ReduceAttrs) and attrs.fn in ("var", "logsumexp")
    return volume(piece.node.axes) + moved * (2 if again else 1)
