"""At each position of a ragged axis, of how many examples a value has been made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.ops import (
    CONST,
    IOTA,
    AlongAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ....dsl.core import Axis, Node
    from ...lengths import Joined, Lengths

    Found = dict[str, Joined | None]


def joined(lengths: Lengths, node: Node, operands: Sequence[str]) -> Found:
    """For each ragged axis of a value, over which axes it was put together; see `Lengths`."""
    if not operands:
        own: Joined | None = None if node.op in (IOTA, CONST) else frozenset()
        return {axis.name: own for axis in lengths.ragged(node.name)}
    found: Found = {}
    for axis in lengths.ragged(node.name):
        sources = _sources(node, operands, axis, lengths)
        found[axis.name] = merged(lengths.joined.get(o, {}).get(name) for o, name in sources)
    match node.attrs:
        case ReduceAttrs(_, over) | ContractAttrs(over):
            for axis in lengths.ragged(node.name):
                more = lengths.examples(axis) & set(over)
                if more:
                    found[axis.name] = (found[axis.name] or frozenset()) | more
    return found


def merged(several: Iterable[Joined | None]) -> Joined | None:
    """Of values that meet: what one has for each example, the others are spread to."""
    known = [one for one in several if one is not None]
    return frozenset.intersection(*known) if known else None


def _sources(
    node: Node, operands: Sequence[str], axis: Axis, lengths: Lengths
) -> list[tuple[str, str]]:
    """The axes of the operands that an axis of the result comes from."""
    having = [(o, axis.name) for o in operands if axis.name in lengths.edit.node(o).axis_names]
    match node.attrs:
        case RenameAttrs(pairs):
            for old, new in pairs:
                if axis in new:
                    return [(operands[0], name) for name in old]
        case IndexAttrs(Gather(name)) if name == axis.name:
            return having[-1:]
        case ScatterAttrs() | AlongAttrs():
            return having[:1]
    return having
