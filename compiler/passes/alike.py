"""What a program computes in the same way from several inputs: its runs."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from ...dsl.ops import INPUT, PARAM, RANDOM, STATE, ContractAttrs, ScanAttrs
from ..bodies import nameless

if TYPE_CHECKING:
    from ..graph import Graph

EVERYWHERE, NOWHERE = -1, -2  # whose a value is: of all runs, of no single one; else a run's number


class Alike:
    """Colours of values: those of one colour are computed in the same way, each in a run of its
    own. `run` says in which; `members` has the values of a colour by their runs.

    Runs are found by products of one weight with what has the same form. What these are made of is
    followed up to inputs, and inputs that are arrived at together are those of several runs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.colour: dict[str, int] = {}
        self.run: dict[str, int] = {}
        self.members: dict[int, dict[int, str]] = {}
        self._colours: dict[object, int] = {}
        self._kinds: dict[str, object] = {}
        self._forms: dict[str, int] = {}  # equal for what differs in inputs of one type alone
        self._inputs: dict[str, tuple[tuple[str, ...], int]] = {}
        forms: dict[object, int] = {}
        for name in graph.in_order():
            self._kinds[name] = self._kind(name)
            form = self._kinds[name], tuple(self._forms[read] for read in graph.operands(name))
            self._forms[name] = forms.setdefault(form, len(forms))
        for products in self._products():
            self._match(products)
        for name in graph.in_order():
            self._look(name)

    def _kind(self, name: str) -> object:
        """What the operation is, beside what it reads; a thing by itself if it is another for each
        node."""
        node = self.graph.node(name)
        if node.op in (PARAM, RANDOM, STATE):
            return name
        if node.op is INPUT:
            return node.op.name, node.axes, node.dtype
        attrs = nameless(node.attrs) if isinstance(node.attrs, ScanAttrs) else node.attrs
        return node.op.name, repr(attrs)

    def _products(self) -> list[tuple[str, ...]]:
        """Products of several values of one form with another value."""
        found: dict[object, list[str]] = {}
        for name in self.graph.in_order():
            if isinstance(self.graph.node(name).attrs, ContractAttrs):
                for place, operand in enumerate(self.graph.operands(name)):
                    found.setdefault((self._forms[name], place, operand), []).append(name)
        return [tuple(own) for own in found.values() if len(own) > 1]

    def _match(self, products: tuple[str, ...]) -> None:
        """Number the inputs of which some products are made."""
        found: set[tuple[str, ...]] = set()
        known = {products}
        waiting = [products]
        while waiting:
            alike = waiting.pop()
            if self.graph.node(alike[0]).op is INPUT:
                found.add(alike)
                continue
            read = map(self.graph.operands, alike)
            for operands in zip(*read, strict=True):
                if len(set(operands)) > 1 and operands not in known:
                    known.add(operands)
                    waiting.append(operands)
        every = [name for own in found for name in own]
        if len(set(every)) == len(every) and self._inputs.keys().isdisjoint(every):
            for own in found:
                self._inputs.update({name: (own, run) for run, name in enumerate(own)})

    def _look(self, name: str) -> None:
        read = self.graph.operands(name)
        key: object
        if self.graph.node(name).op is INPUT:
            key, run = self._inputs.get(name, (name, EVERYWHERE))
        else:
            key = self._kinds[name], tuple(self.colour[operand] for operand in read)
            run = reduce(_of_both, (self.run[operand] for operand in read), EVERYWHERE)
        colour = self._colours.setdefault(key, len(self._colours))
        self.colour[name], self.run[name] = colour, run
        if run >= 0:
            self.members.setdefault(colour, {}).setdefault(run, name)


def _of_both(one: int, other: int) -> int:
    if EVERYWHERE in (one, other):
        return other if one == EVERYWHERE else one
    return one if one == other else NOWHERE
