"""Computes what is known before the program runs, and takes out what changes nothing.

Needs nothing. Exact: what is left computes the same floats (but `-0.0 + 0` stays `-0.0`).
Does not reorder sums or products, and leaves what it made idle to `prune`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...dsl import sizes
from ...dsl.core import Axis, DType, names
from ...dsl.items import item_attrs
from ...dsl.ops import (
    CONST,
    IOTA,
    ITEM,
    MAP,
    RENAME,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    ItemAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    Select,
    Slice,
    StopAttrs,
)
from ..bodies import in_bodies, instead
from ..lift import same
from ..reference.scalars import apply
from ..reference.values import NUMPY, NamedArray

if TYPE_CHECKING:
    from ...dsl.core import Axes, Node
    from ...dsl.ops import Attrs, OpDef
    from ..context import Context
    from ..graph import Edit, Graph

Number = int | float | bool
Pairs = tuple[tuple[tuple[str, ...], "Axes"], ...]

NEUTRAL: dict[str, tuple[Number | None, Number | None]] = {  # on the left, on the right
    "add": (0, 0),
    "sub": (None, 0),
    "mul": (1, 1),
    "div": (None, 1),
    "floordiv": (None, 1),
    "pow": (None, 1),
    "and": (True, True),
    "or": (False, False),
}
TIMES = MapAttrs("mul")
UNDONE = {"neg", "not"}  # twice is nothing
SETTLED = {"float", "int", "floor", "ceil", "round", "abs"}  # twice is once
EITHER = {"max", "min", "and", "or"}  # of one value twice is the value


def fold(graph: Graph, ctx: Context) -> Graph:
    """The graph with constants computed and neutral operations gone."""

    def rule(edit: Edit, node: Node) -> str | None:
        found = _value(edit, node)
        if found is None or not same(edit.type_of(found), (node.axes, node.dtype)):
            return None
        return instead(edit, node, found, ctx, "fold")

    return in_bodies(graph, lambda body: fold(body, ctx)).rewrite(rule)


def _value(edit: Edit, node: Node) -> str | None:
    """The node that has the value of this one; or None, and it may have been put more simply."""
    operands = edit.operands(node.name)
    match node.attrs:
        case MapAttrs(fn=fn):
            return _map(edit, node, fn, operands)
        case ReduceAttrs(fn="sum" | "prod" | "max" | "min", axes=()):
            return operands[0]
        case ContractAttrs(axes=()) | ConcatAttrs(new=False) if len(operands) == 1:
            return operands[0]
        case ContractAttrs(axes=()) if node.dtype is DType.FLOAT:
            _multiply(edit, node, operands)
        case IndexAttrs(how=how) if isinstance(how, Select | Slice):
            return _index(edit, node, how)
        case RenameAttrs(pairs=pairs):
            return _rename(edit, node, pairs)
        case StopAttrs():
            inner = edit.node(operands[0])
            idle = isinstance(inner.attrs, StopAttrs | ConstAttrs) or inner.dtype is not DType.FLOAT
            return operands[0] if idle else None
    return None


def _put(edit: Edit, node: Node, op: OpDef, attrs: Attrs, *operands: str) -> None:
    axes, dtype = op.infer(attrs, [edit.type_of(operand) for operand in operands])
    edit.put(replace(node, op=op, attrs=attrs, axes=axes, dtype=dtype, made_by="fold"))
    edit.set_operands(node.name, operands)


def _multiply(edit: Edit, node: Node, operands: tuple[str, ...]) -> None:
    """A product that is summed over nothing."""
    product, *others = operands
    for other in others[:-1]:
        product = edit.add(
            MAP, TIMES, [product, other], span=node.span, scope=node.scope, made_by="fold"
        )
    _put(edit, node, MAP, TIMES, product, others[-1])


# ---- pointwise


def _map(edit: Edit, node: Node, fn: str, operands: tuple[str, ...]) -> str | None:
    nodes = [edit.node(operand) for operand in operands]
    known = [n.attrs.value if isinstance(n.attrs, ConstAttrs) else None for n in nodes]
    if None not in known:
        return _computed(edit, node, fn, nodes)
    if fn in NEUTRAL:
        left, right = NEUTRAL[fn]
        if right is not None and known[1] is not None and known[1] == right:
            return operands[0]
        if left is not None and known[0] is not None and known[0] == left:
            return operands[1]
    if fn == "where":
        if known[0] is not None:
            return operands[1] if known[0] else operands[2]
        return operands[1] if operands[1] == operands[2] else None
    inner = nodes[0].attrs
    if fn in UNDONE and isinstance(inner, MapAttrs) and inner.fn == fn:
        return edit.operands(operands[0])[0]
    twice = isinstance(inner, MapAttrs) and inner.fn == fn
    if fn in SETTLED and (twice or (fn != "abs" and nodes[0].dtype is node.dtype)):
        return operands[0]
    return operands[0] if fn in EITHER and operands[0] == operands[1] else None


def _computed(edit: Edit, node: Node, fn: str, nodes: list[Node]) -> str | None:
    arrays = [
        NamedArray((), np.asarray(n.attrs.value, NUMPY[n.dtype]))
        for n in nodes
        if isinstance(n.attrs, ConstAttrs)
    ]
    try:
        value: Number = apply(fn, arrays, node.dtype).array.item()
    except (ArithmeticError, ValueError):
        return None  # said when the program runs, if it ever gets there
    _put(edit, node, CONST, ConstAttrs(value))
    return None


# ---- positions and axes


def _index(edit: Edit, node: Node, how: Select | Slice) -> str | None:
    operand = edit.operands(node.name)[0]
    inner = edit.node(operand)
    size = inner.size(how.axis)
    if isinstance(how, Slice):
        if (how.start, how.stop) == (0, size):
            return operand
        if isinstance(inner.attrs, IndexAttrs) and isinstance(inner.attrs.how, Slice):
            before = inner.attrs.how
            if before.axis == how.axis:
                start = sizes.add(before.start, how.start)
                stop = sizes.add(before.start, how.stop)
                attrs = IndexAttrs(Slice(how.axis, start, stop))
                _put(edit, node, node.op, attrs, edit.operands(operand)[0])
        return None
    at = how.at + size if how.at < 0 and isinstance(size, int) else how.at
    if isinstance(size, int) and not 0 <= at < size:
        return None
    match inner.attrs:
        case ItemAttrs(index=given):
            _last(edit, node, edit.operands(operand)[0], given, at)
        case IotaAttrs() if at >= 0:
            _put(edit, node, CONST, ConstAttrs(at))
        case ConcatAttrs(new=True, axis=axis) if axis == how.axis and at >= 0:
            return edit.operands(operand)[at]
        case IndexAttrs(how=Slice(axis=axis, start=int(start))) if axis == how.axis and at >= 0:
            attrs = IndexAttrs(Select(axis, start + at))
            _put(edit, node, node.op, attrs, edit.operands(operand)[0])
    return None


def _last(edit: Edit, node: Node, scan: str, given: int, at: int) -> None:
    """The last step of an output that is a carry is the last carry."""
    attrs = edit.node(scan).attrs
    if not isinstance(attrs, ScanAttrs) or given < attrs.carries:
        return
    last = 0 if attrs.reverse else attrs.axis.size - 1 if isinstance(attrs.axis.size, int) else -1
    made = attrs.body.results[given]
    if at == last and made in attrs.body.results[: attrs.carries]:
        item = item_attrs(attrs, attrs.body.results.index(made))
        if same((item.axes, item.dtype), (node.axes, node.dtype)):
            _put(edit, node, ITEM, item, scan)


def _rename(edit: Edit, node: Node, pairs: Pairs) -> str | None:
    operand = edit.operands(node.name)[0]
    inner = edit.node(operand)
    match inner.attrs:
        case ConstAttrs() as const:
            _put(edit, node, CONST, const)
        case IotaAttrs() if len(pairs) == 1 and len(pairs[0][1]) == 1:
            _put(edit, node, IOTA, IotaAttrs(pairs[0][1][0]))
        case RenameAttrs(pairs=before):
            source = edit.operands(operand)[0]
            composed = _composed(before, pairs)
            if composed is not None:
                attrs = RenameAttrs(_without_idle(composed, edit.node(source).axes))
                _put(edit, node, RENAME, attrs, source)
        case _:
            left = _without_idle(pairs, inner.axes)
            if left != pairs:
                _put(edit, node, RENAME, RenameAttrs(left), operand)
    return None


def _composed(before: Pairs, after: Pairs) -> Pairs | None:
    """One renaming for two; None where old axes would be joined and split at once."""
    made_by = {axis.name: index for index, (_, new) in enumerate(before) for axis in new}
    becomes: dict[int, Axes] = dict(enumerate(new for _, new in before))
    renamed: dict[str, Axis] = {}
    result: list[tuple[tuple[str, ...], Axes]] = []
    for old, new in after:
        sources = [made_by.get(name) for name in old]
        first = sources[0]
        if first is not None and old == names(before[first][1]):
            if len(before[first][0]) > 1 and len(new) > 1:
                return None
            becomes[first] = new
        elif first is not None and len(old) == 1 == len(new):
            renamed[old[0]] = new[0]
        elif all(index is None or len(before[index][1]) == 1 for index in sources):
            joined: list[str] = []
            for name, index in zip(old, sources, strict=True):
                joined += (name,) if index is None else before[index][0]
                if index is not None:
                    del becomes[index]
            result.append((tuple(joined), new))
            if len(joined) > 1 and len(new) > 1:
                return None
        else:
            return None
    for index, new in becomes.items():
        if new is before[index][1]:
            new = tuple(renamed.get(axis.name, axis) for axis in new)
        result.append((before[index][0], new))
    return tuple(result)


def _without_idle(pairs: Pairs, axes: tuple[Axis, ...]) -> Pairs:
    sized = {axis.name: axis for axis in axes}
    return tuple((old, new) for old, new in pairs if tuple(sized[name] for name in old) != new)
