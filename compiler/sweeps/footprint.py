"""What running a graph takes, as far as the graph says it: memory, and products of numbers.

An estimate. Each value is held from where it is computed to where it is read last; what a fused
form computes on the way is not held at all, and a view costs nothing.
"""

from __future__ import annotations

import math
import re
from functools import cached_property
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import DType
from ...dsl.ops import ContractAttrs, IndexAttrs, RenameAttrs, Select, Slice, StopAttrs
from ..emit.flow import flow
from ..emit.recognise.selection import plan_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...dsl.core import Axis, Node
    from ..graph import Graph

BYTES = {DType.FLOAT: 4, DType.INT: 8, DType.BOOL: 1}


class Footprint:
    """Of one graph, for any run-time sizes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def work(self, known: Mapping[str, int]) -> int:
        """How many products of numbers contractions are made of, and numbers all other values."""
        found = 0
        for name in self.graph.in_order():
            node = self.graph.node(name)
            axes: dict[str, Axis] = {axis.name: axis for axis in node.axes}
            if isinstance(node.attrs, ContractAttrs):
                for operand in self.graph.operands(name):
                    axes |= {axis.name: axis for axis in self.graph.node(operand).axes}
            found += _numbers(axes.values(), known)
        return found

    def of(self, values: Iterable[str], known: Mapping[str, int]) -> int:
        """Bytes that some values take."""
        return sum(self._size(self.graph.node(name), known) for name in values)

    def peak(self, known: Mapping[str, int]) -> int:
        """Bytes that are held at the most."""
        sized: dict[tuple[tuple[Axis, ...], DType], int] = {}
        held = most = 0
        for node, gone in self._course:
            key = (node.axes, node.dtype)
            if key not in sized:
                sized[key] = self._size(node, known)
            held += sized[key]
            most = max(most, held)
            held -= sum(sized[other.axes, other.dtype] for other in gone)
        return most

    def _size(self, node: Node, known: Mapping[str, int]) -> int:
        return _numbers(node.axes, known) * BYTES[node.dtype]

    @cached_property
    def _course(self) -> list[tuple[Node, list[Node]]]:
        """The values that take memory, in order; and beside each what is read there for the last
        time."""
        seen = flow(self.graph)
        pieces = plan_body(seen).pieces
        owner: dict[str, str] = {}  # whose memory a value is
        last: dict[str, str] = {}
        for name in seen.nodes:
            if name not in pieces:
                continue
            piece = pieces[name]
            read = [owner[o] for o in piece.reads if o in owner]
            owner[name] = read[0] if read and _is_view(piece.node) else name
            last |= dict.fromkeys((*read, owner[name]), name)
        ends = {_turn(seen.nodes[name]): name for name in seen.nodes if name in owner}
        for name, reader in last.items():  # what a turn is given is held by who called it
            turn = _turn(seen.nodes[reader])
            if turn and turn != _turn(seen.nodes[name]):
                last[name] = ends[turn]
        for name in seen.results:
            last.pop(owner.get(name, name), None)
        gone: dict[str, list[Node]] = {}
        for own, reader in last.items():
            gone.setdefault(reader, []).append(seen.nodes[own])
        course: list[tuple[Node, list[Node]]] = []
        for name in seen.nodes:
            if owner.get(name) == name:
                course.append((seen.nodes[name], gone.get(name, [])))
            elif course:
                course[-1][1].extend(gone.get(name, []))
        return course


def _turn(node: Node) -> str:
    """The turn that a value belongs to, which is written as a function; of no turn, nothing."""
    found = re.search(r"\w+\[\d+\]", node.scope)
    return found[0] if found else ""


def _is_view(node: Node) -> bool:
    match node.attrs:
        case RenameAttrs() | StopAttrs() | IndexAttrs(Select() | Slice()):
            return True
    return False


def _numbers(axes: Iterable[Axis], known: Mapping[str, int]) -> int:
    return math.prod(sizes.evaluate(axis.size, known) for axis in axes)
