"""Laying down what paths change: beside the values of a run, what each would be for the consumers
at the end of a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .routes import is_in, route
from .writes import in_part, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core import Body, Node, Step
    from .planned import Consumer, Detour, Plan
    from .routes import Route
    from .scope import Scope
    from .values import Run


@dataclass(slots=True)
class _Hop:
    """What the consumers of one hop read, where it is other than in the run."""

    ends: tuple[Consumer, ...]
    is_last: bool
    routes: list[Route] = field(default_factory=list)
    starts: dict[str, list[Detour]] = field(default_factory=dict)  # by address: first hops
    before: dict[str, tuple[_Hop, Consumer]] = field(default_factory=dict)  # and others
    values: dict[str, Node] = field(default_factory=dict)
    ended: dict[str, Node] = field(default_factory=dict)  # of consumers that begin paths as well

    def reads(self, name: str) -> frozenset[str]:
        """Which operands of a step are changed here."""
        return frozenset().union(*(route.reads.get(name, ()) for route in self.routes))

    def arrives(self, name: str) -> frozenset[str]:
        """The same of a consumer where paths begin as well."""
        return frozenset().union(*(route.arrives.get(name, ()) for route in self.routes))


class Detours:
    """What the paths of a plan change in a run. A consumer whose whole value is meant is computed
    in its place, from what it reads; of one that is meant in part, both values are made."""

    def __init__(self, plan: Plan, body: Body, run: Run) -> None:
        self.run, self.body, self.hops = run, body, list[_Hop]()
        self.nodes = {step.node.name: step.node for step in body.steps} if plan.detours else {}
        last: dict[str, tuple[Consumer, list[tuple[Detour, _Hop | None]]]] = {}
        for detour in plan.detours:
            hop: _Hop | None = None
            for ends in detour.hops[:-1]:
                hop = self._hop([(detour, hop)], ends, is_last=False)
            for end in detour.hops[-1]:
                key = f"{end.region} {end.planned.selection} {end.planned.turns}"
                last.setdefault(key, (end, []))[1].append((detour, hop))
        groups: dict[tuple[int, ...], list[Consumer]] = {}
        for end, ways in last.values():
            groups.setdefault(tuple(id(detour) for detour, _ in ways), []).append(end)
        ways_of = {tuple(id(detour) for detour, _ in ways): ways for _, ways in last.values()}
        for ids, found in groups.items():
            self._hop(ways_of[ids], tuple(found), is_last=True)

    def _hop(
        self, ways: list[tuple[Detour, _Hop | None]], ends: tuple[Consumer, ...], *, is_last: bool
    ) -> _Hop:
        made = _Hop(ends, is_last)
        for detour, hop in ways:
            begin = detour.sources if hop is None else {one.address for one in hop.ends}
            made.routes.append(route(self.body, frozenset(begin), ends, detour.through))
            for address in detour.sources if hop is None else ():
                made.starts.setdefault(address, []).append(detour)
            made.before |= {one.address: (hop, one) for one in hop.ends} if hop is not None else {}
        self.hops.append(made)
        return made

    def operands(self, step: Step, placed: Mapping[str, Node]) -> list[Node]:
        """What a step of the run reads: of a consumer, what comes along its paths."""
        found = [placed[name] for name in step.operands]
        for hop in self.hops:
            reads = hop.reads(step.node.name) & hop.values.keys() if hop.is_last else ()
            for end in hop.ends if reads else ():
                if not end.planned.is_part and is_in(step.node, end):
                    for place, name in enumerate(step.operands):
                        if name in reads and not is_in(self.nodes[name], end):
                            found[place] = hop.values[name]
        return found

    def at_end(self, node: Node, made: Node, scope: Scope) -> Node:
        """The value of a step of the run, where paths end in a part of it."""
        for hop in self.hops:
            new = hop.ended.get(node.name, hop.values.get(node.name))
            for end in hop.ends if hop.is_last and new is not None else ():
                if end.planned.is_part and end.address == node.site and new is not None:
                    made = in_part(end.planned, new, made, scope)
        return made

    def follow(
        self,
        step: Step,
        placed: Mapping[str, Node],
        again: Callable[[Step, list[Node]], Node],
    ) -> None:
        """What a step would be on each path that comes to it; `again` makes it on other operands,
        and is called before the step stands in the run, but for where a path begins."""
        name = step.node.name
        for hop in self.hops:
            reads = hop.reads(name) & hop.values.keys()
            if reads:
                own = [hop.values[o] if o in reads else placed[o] for o in step.operands]
                hop.values[name] = again(step, own)
            arrives = hop.arrives(name) & hop.values.keys()
            if arrives:
                own = [hop.values[o] if o in arrives else placed[o] for o in step.operands]
                hop.ended[name] = again(step, own)

    def begin(self, node: Node, made: Node, scope: Scope) -> None:
        """What a step that stands in the run is changed to, where paths begin."""
        if node.site is None:
            return
        for hop in self.hops:
            for detour in hop.starts.get(node.site, ()):
                if detour.path.but:
                    hop.values[node.name] = self.run.written.get(node.site, made)
                    continue
                for planned in detour.sources[node.site]:
                    it = hop.values.get(node.name, made)
                    hop.values[node.name] = written(planned, it, node.site, self.run, scope)
            if node.site in hop.before:
                former, end = hop.before[node.site]
                if node.name in former.values:
                    new = former.values[node.name]
                    hop.values[node.name] = in_part(end.planned, new, made, scope)
