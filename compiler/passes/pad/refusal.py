"""What is not done to ragged axes, or to examples that have axes of their own length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.items import body_inputs
from ....dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    ScatterAttrs,
)
from ...lengths import UnsupportedError
from ...show import called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axis, Node
    from ....dsl.ops import Attrs
    from ...lengths import Lengths

IN_PLACE = ("softmax", "log_softmax", "cumsum", "cumprod", "cummax")  # each result is an example's


def check(lengths: Lengths, node: Node, operands: Sequence[str]) -> None:
    """Raise UnsupportedError if an operation moves examples away from their lengths."""
    for name in _mixed(node.attrs):
        if name in lengths.stepping:
            why = "puts examples together at a step that some of them do not have"
            raise refused(lengths, node, lengths.stepping[name], why)
    why = "puts other examples in their places, and each has its own length"
    match node.attrs:
        case ScanAttrs(along, body, carries):  # each step has its own lengths, but no carry has
            for carry in body_inputs(body)[:carries]:
                for axis in carry.axes:
                    if along.name in lengths.examples(axis):
                        raise refused(lengths, node, axis, why)
            return
    moved = _moved(node.attrs)
    for operand in operands if moved else ():
        for axis in lengths.ragged(operand):
            live = lengths.examples(axis) - lengths.joined_of(operand, axis.name)
            if not live.isdisjoint(moved):
                raise refused(lengths, node, axis, why)


def refused(lengths: Lengths, node: Node, axis: Axis, why: str) -> UnsupportedError:
    """The error that says what is not done, and why."""
    over = "` and `".join(sorted(lengths.examples(axis)))
    message = f"`{axis.name}` has a length for each `{over}`: {called(node)} {why}"
    return UnsupportedError(message, node.span)


def _mixed(attrs: Attrs) -> frozenset[str]:
    """Axes along which positions meet."""
    match attrs:
        case ReduceAttrs(_, axes) | ContractAttrs(axes) | AlongAttrs(_, axes):
            return frozenset(axes)
        case ScanAttrs(along):
            return frozenset((along.name,))
    return _moved(attrs)


def _moved(attrs: Attrs) -> frozenset[str]:
    """Axes whose positions an operation gives other places, or other names."""
    match attrs:
        case ReduceAttrs() | ContractAttrs():
            return frozenset()
        case AlongAttrs(fn, axes):
            return frozenset() if fn in IN_PLACE else frozenset(axes)
        case IndexAttrs(how):
            return frozenset((how.axis,))
        case ScatterAttrs(axis, over):
            return frozenset((axis, *over))
        case RenameAttrs(pairs):
            return frozenset(name for old, _ in pairs for name in old)
        case ConcatAttrs(axis):
            return frozenset((axis,))
    return frozenset()
