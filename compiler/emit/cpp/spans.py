"""One loop over steps: a body, what each of its values has to do with the others, and its lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.ops import MAP, MapAttrs
from ..flow import flow
from ..simplify import simplified
from .groups import grouped, kept
from .loops import Lines, write_copy
from .memory import Memory, Sizes
from .nests import write_group
from .places import Place
from .statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Body
    from .axes import Axes
    from .groups import Group
    from .statements import Statement


class Span:
    """A body whose first inputs are carries and whose first results are what these become."""

    def __init__(self, body: Body, carries: int, size: Sizes) -> None:
        body = simplified(body, for_loops=True)
        self.inputs = [step.node for step in body.steps if step.node.op.name == "input"]
        declared = {step.node.name: step.node for step in body.steps}
        self.carries = self.inputs[:carries]
        self.outputs = [declared[name] for name in body.results[carries:]]
        self.flow, self.size = flow(body), size
        self.statements = Statements(self.flow, size)
        self._settle()
        self.memory: Memory

    def _settle(self) -> None:
        """Results that are no statement of their own are copied, so that each is written once."""
        made = {own.node.name for own in self.statements.found if own.into is None}
        old = {node.name for node in self.carries}
        nodes, reads = dict(self.flow.nodes), dict(self.flow.reads)
        results = list(self.flow.results)
        copies = []
        for at, name in enumerate(results):
            carried = at < len(self.carries)
            if self.statements.root(name) in old if carried else name not in made:
                copy = replace(nodes[name], name=f"result {at}", op=MAP, attrs=MapAttrs("float"))
                nodes[copy.name], reads[copy.name] = copy, (name,)
                results[at] = copy.name
                copies.append((copy, name))
        self.flow = replace(self.flow, nodes=nodes, reads=reads, results=tuple(results))
        self.statements.flow = self.flow
        for copy, name in copies:
            self.statements.copy(copy, name)

    def settled(self, axes: Axes, prefix: str = "") -> Memory:
        """The memory of the body, once its axes are known."""
        self.memory = Memory(self.flow, self.statements, axes, self.size, prefix=prefix)
        for at, node in enumerate(self.inputs):
            self.memory.words[node.name] = f"{prefix}x_{at}"
        return self.memory

    def result(self, at: int) -> str:
        """The name of a result."""
        return self.flow.results[at]

    def write(self, new: Sequence[Place] | None = None, depth: int = 2) -> Lines:
        """The lines of a step.

        The new carries go where the old ones lie, or to places of their own. All inputs have their
        places.
        """
        memory, axes = self.memory, self.memory.axes
        hidden = frozenset(axis.name for axis in axes.lanes) - set(axes.order)
        groups = grouped(self.statements, hidden)
        places = [memory.places[node.name] for node in self.carries] if new is None else list(new)
        copied = self._directly(groups, places, old=new is None)
        memory.in_buffers = frozenset(kept(self.statements, groups)) | {
            self.statements.root(self.result(at)) for at in range(len(self.carries))
        }
        lines = Lines(depth=depth)
        for group in groups:
            write_group(memory, group, lines)
        for at in copied:
            name, node = self.result(at), self.carries[at]
            if name in self.flow.numbers:
                number = float(self.flow.numbers[name])
                source = Place(f"(real[]){{{number!r}}}", {}, node.dtype)
            else:
                source = memory.place(name)
            write_copy(memory, node.axes, source, places[at], lines)
        return lines

    def _directly(
        self, groups: Sequence[Group], places: Sequence[Place], *, old: bool
    ) -> list[int]:
        """Let new carries be written where they are to lie; those that are copied at the end."""
        copied = []
        results = self.flow.results[: len(self.carries)]
        for at, node in enumerate(self.carries):
            name = results[at]
            made = [
                (place, own)
                for place, group in enumerate(groups)
                for own in group.statements
                if own.node.name == name and own.kind == "map"
            ]
            if (
                len(made) == 1
                and results.count(name) == 1
                and made[0][1].node.axis_names == node.axis_names
                and made[0][1].node.dtype is node.dtype
                and not (old and self._read_late(groups, node.name, made[0][0]))
            ):
                self.memory.places[name] = places[at]
            else:
                copied.append(at)
        return copied

    def _read_late(self, groups: Sequence[Group], carry: str, place: int) -> bool:
        """Whether the old value of a carry is read when or after the new one is written."""

        def reads(own: Statement, names: tuple[str, ...]) -> bool:
            return carry in map(self.statements.root, names)

        later = any(
            reads(own, (*own.near, *own.far)) for group in groups[place + 1 :] for own in group.made
        )
        return later or any(reads(own, own.far) for own in groups[place].made)
