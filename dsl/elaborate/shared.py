"""What the parameters of a shared part alone decide: the same in all of its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..core import Node, Step

_OF_A_CALL = {ops.INPUT, ops.RANDOM, ops.STATE}


def of_parameters(steps: Iterable[Step], known: Mapping[str, Node]) -> list[Step]:
    """The steps that read nothing but parameters and each other; `known` are parameters, by the
    name that steps know them by."""
    kept: dict[str, Step] = {}
    for step in steps:
        reads = step.operands
        if step.node.op not in _OF_A_CALL and all(o in kept or o in known for o in reads):
            kept[step.node.name] = step
    return list(kept.values())


def below(address: str, steps: Iterable[Step]) -> dict[str, Node]:
    """The values among steps that stand below an address, by what follows it."""
    start = f"{address}."
    nodes = [step.node for step in steps if (step.node.site or "").startswith(start)]
    return {(node.site or "").removeprefix(start): node for node in nodes}
