"""How a change comes from a site to its consumers: which steps it changes, and in which blocks.

A change spreads from its source to a consumer over sums and whatever else stands between blocks. It
leaves any block, but enters one only if the consumer is in it, if `through` names it, or if there
is no other way: the norm before a consumer is on every way there, a layer between is not. A block
that it must enter has a way through, or blocks in it are entered too. What a change does not enter
is held: it has the value that it has in the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..core import Body, Node
    from .planned import Consumer


@dataclass(frozen=True, slots=True)
class Route:
    """What a hop changes: `reads` says of each changed step which of its operands are changed;
    `reached` are the consumers that it comes to, `detained` the blocks that it could have come
    through. Of consumers that are sources as well, `arrives` says what changes inside of them."""

    reads: Mapping[str, frozenset[str]]
    reached: frozenset[str]
    detained: frozenset[str] = frozenset()
    arrives: Mapping[str, frozenset[str]] = field(default_factory=dict)


@cache
def blocks_of(scope: str) -> tuple[str, ...]:
    """The calls that a step stands in, outermost first; turns of loops are none."""
    found: list[str] = []
    at = ""
    for part in scope.split("."):
        at = f"{at}.{part}" if at else part
        if part.isdigit():
            found[-1:] = [at]
        elif part and not part.endswith("]"):
            found.append(at)
    return tuple(found)


@cache
def within(scope: str, region: str) -> bool:
    """Whether a scope is the region or lies in it."""
    rest = scope[len(region) + 1 :]
    inside = scope.startswith(f"{region}.") and not rest.partition(".")[0].isdigit()
    return scope == region or inside


def is_in(node: Node, consumer: Consumer) -> bool:
    """Whether a step belongs to a consumer."""
    return _belongs(node, consumer.address, consumer.region)


def _belongs(node: Node, address: str, region: str) -> bool:
    return node.site == address or within(node.scope, region)


def route(
    body: Body,
    start: frozenset[str],
    hop: Iterable[Consumer],
    through: frozenset[str],
    only: frozenset[str] | None = None,
) -> Route:
    """How changes at the addresses `start` come to the consumers of a hop; or, of these, those at
    `only` some addresses, while blocks are entered as by all."""
    graph = _Graph(body, start)
    open_blocks = graph.inside(through)
    for block in through:  # what stands before it on every way, such as its norm
        open_blocks |= graph.needed(block, block)[0]
    detained: set[str] = set()
    for consumer in hop:
        needed, others = graph.needed(consumer.address, consumer.region)
        if not graph.spread((consumer,), needed | open_blocks).reached:
            needed |= graph.inside(needed)  # no way through them goes around the blocks in them
        open_blocks |= needed
        detained |= others
    detained = {b for b in detained - open_blocks if not detained.intersection(blocks_of(b)[:-1])}
    if only is not None:
        graph = _Graph(body, only)
    return replace(graph.spread(tuple(hop), open_blocks), detained=frozenset(detained))


class _Graph:
    """The steps of a program, and the blocks that each of its edges enters."""

    def __init__(self, body: Body, start: frozenset[str]) -> None:
        self.steps = body.steps
        self.nodes = {step.node.name: step.node for step in body.steps}
        self.sources = [step.node.name for step in body.steps if step.node.site in start]
        self.entered = {
            (name, step.node.name): blocks
            for step in body.steps
            for name in step.operands
            if (blocks := self._entered(self.nodes[name].scope, step.node.scope))
        }
        self.blocks = {block for blocks in self.entered.values() for block in blocks}
        self.behind = {source: self._ways_from(source) for source in self.sources}

    @staticmethod
    def _entered(before: str, after: str) -> tuple[str, ...]:
        own = blocks_of(before)
        return tuple(b for b in blocks_of(after) if b not in own) if before != after else ()

    def _ways_from(self, source: str) -> dict[str, int]:
        """How many ways lead from a source to each step."""
        ways = {source: 1}
        for step in self.steps:
            if step.node.name != source:
                found = sum(ways.get(name, 0) for name in step.operands)
                if found:
                    ways[step.node.name] = found
        return ways

    def needed(self, address: str, region: str) -> tuple[set[str], set[str]]:
        """The blocks that lie on every way from a source to a consumer, and those on some ways.
        Ways are counted: a block is needed if as many go through it as there are."""
        inside = {n.name for n in self.nodes.values() if _belongs(n, address, region)}
        ahead: dict[str, int] = {}  # how many ways lead from a step to the consumer
        for step in reversed(self.steps):
            more = 1 if step.node.name in inside else ahead.get(step.node.name, 0)
            for name in step.operands if more else ():
                if name not in inside:
                    ahead[name] = ahead.get(name, 0) + more
        needed: set[str] = set()
        others: set[str] = set()
        for source in self.sources:
            if source not in ahead:
                continue
            behind, crossing = self.behind[source], dict[str, int]()
            for (before, after), blocks in self.entered.items():
                ways = 0 if before in inside else behind.get(before, 0)
                ways *= 1 if after in inside else ahead.get(after, 0)
                for block in blocks if ways else ():
                    crossing[block] = crossing.get(block, 0) + ways
            for block, ways in crossing.items():
                (needed if ways == ahead[source] else others).add(block)
        return needed, others

    def inside(self, outer: Iterable[str]) -> set[str]:
        """These blocks and the blocks in them."""
        return {b for b in self.blocks if any(within(b, block) for block in outer)}

    def spread(self, hop: tuple[Consumer, ...], open_blocks: set[str]) -> Route:
        """What changes, if changes enter open blocks and the consumers alone."""
        changed, reads, reached = set(self.sources), dict[str, frozenset[str]](), set[str]()
        arrives: dict[str, frozenset[str]] = {}
        for step in self.steps:
            node = step.node
            seen = frozenset(name for name in step.operands if name in changed)
            ends = [one for one in hop if is_in(node, one)] if seen else []
            seen = frozenset(
                name
                for name in seen
                if all(
                    block in open_blocks or any(within(block, one.region) for one in ends)
                    for block in self.entered.get((name, node.name), ())
                )
            )
            if not seen:
                continue
            reached |= {
                one.address for one in ends if any(not is_in(self.nodes[u], one) for u in seen)
            }
            if node.name not in self.sources:  # a source is what is written, whatever comes to it
                reads[node.name] = seen
                changed.add(node.name)
                continue
            inside = {name for name in seen for one in ends if is_in(self.nodes[name], one)}
            arrives[node.name] = frozenset(inside)
        return Route(reads, frozenset(reached), arrives=arrives)
