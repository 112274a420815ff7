"""Finds contractions shaped like attention in a program: from the result down to the product.

What stands between the product and the weights may be any pointwise function of it, of indices, of
values read by index and of anything that is computed elsewhere. Names say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import DType, names
from ...dsl.ops import (
    AlongAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    StopAttrs,
)
from .contraction import DOT, VALUE
from .places import Places, Read, Unfit, renamed
from .writing import Writing

if TYPE_CHECKING:
    from ...dsl.core import Axis, Node
    from ..emit.recognise.patterns import View
    from .contraction import Contraction


@dataclass(frozen=True)
class Gate:
    """What the result is multiplied with (or divided by): the same for all keys."""

    read: Read
    divides: bool


@dataclass(frozen=True)
class Total:
    """The node that is the log of the sum of the exponentials, and of which axes of the result each
    of its own is made."""

    name: str
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Found:
    """A contraction, what it reads, and which values it hides.

    `axes` are the lanes, `t` and `v` of the result by the names of the program.
    """

    contraction: Contraction
    reads: tuple[Read, ...]
    gates: tuple[Gate, ...]
    axes: tuple[Axis, ...]
    inner: frozenset[str]
    total: Total | None = None


def contraction(view: View, root: Node) -> Found | None:
    """The contraction whose result is `root`, if it is one and nobody reads what it hides.

    Of two that it is, that which is normalised.
    """
    if not isinstance(root.attrs, ContractAttrs) or len(root.attrs.axes) != 1:
        return None
    read = view.flow.reads[root.name]
    if len(read) != 2 or root.dtype is not DType.FLOAT:
        return None
    both: list[Found] = []
    for weight, value in (read, read[::-1]):
        try:
            both.append(_Search(view, root, value).found(weight))
        except Unfit:
            continue
    return max(both, key=lambda found: found.contraction.softmax, default=None)


@dataclass
class _Search:
    view: View
    root: Node
    value: str
    key: Axis = field(init=False)
    score: str = ""
    inner: set[str] = field(default_factory=set)
    gates: list[tuple[str, Places, bool]] = field(default_factory=list)
    leading: dict[str, bool] = field(default_factory=dict)

    def found(self, weight: str) -> Found:
        """The contraction. Raises Unfit."""
        view, flow, root = self.view, self.view.flow, self.root
        assert isinstance(root.attrs, ContractAttrs)
        held = flow.nodes[self.value]
        places: Places = {axis.name: (axis,) for axis in flow.nodes[weight].axes}
        features = [axis for axis in held.axes if axis.name not in places]
        key = next((axis for axis in held.axes if axis.name in root.attrs.axes), None)
        if key is None or key.name not in places or len(features) != 1:
            raise Unfit
        self.key = key
        top, places, softmax = self._outside(weight, places)
        q, k, dot, place = self._product(top, places)
        if self.score == top and not softmax:
            raise Unfit
        query = self._query(top, q, k)
        lanes = tuple(axis for axis in root.axes if axis not in (query, features[0]))
        writing = Writing(view, lanes, query, key, self._opens)
        inputs = [
            writing.leaf(name, {**place, dot.name: (dot,)}, {dot.name: DOT}) for name in (q, k)
        ]
        own: Places = {axis.name: (axis,) for axis in held.axes}
        inputs.append(writing.leaf(self.value, own, {features[0].name: VALUE}))
        made = writing.contracted(top, places, self.score, inputs, softmax=softmax)
        self.inner |= writing.inner
        total = self._total(top, places) if softmax else None
        inside = {*self.inner, root.name, *([total.name] if total else [])}
        for name in self.inner:
            if name not in flow.closed and not inside.issuperset(flow.users[name]):
                raise Unfit
        if any(sizes.counts(a.size) for node in made.inputs for a in node.axes):
            raise Unfit
        gates = tuple(Gate(writing.read(name, own), d) for name, own, d in self.gates)
        reads = tuple(writing.reads)
        axes = (*lanes, query, features[0])
        return Found(made, reads, gates, axes, frozenset(self.inner), total)

    def _outside(self, name: str, places: Places) -> tuple[str, Places, bool]:
        """What is normalised, or the weights: below what multiplies them and is the same for all
        keys, and below what splits their axes."""
        flow = self.view.flow
        while True:
            node, read = flow.nodes[name], flow.reads[name]
            if not self.view.once(name) or name in flow.closed:
                raise Unfit
            match node.attrs:
                case RenameAttrs(pairs=pairs):
                    places = renamed(places, pairs, flow.nodes[read[0]])
                    name = self._into(name, read[0])
                case AlongAttrs("softmax", axes=(axis,)) if places[axis] == (self.key,):
                    self.inner.add(name)
                    return read[0], places, True
                case MapAttrs("mul" | "div" as fn):
                    kept = [o for o in read if self._has_key(o, places)]
                    gate = next((o for o in read if o not in kept), None)
                    if gate is None or len(kept) != 1 or (fn == "div" and kept[0] != read[0]):
                        return name, places, False
                    own = {axis: places[axis] for axis in names(flow.nodes[gate].axes)}
                    self.gates.append((gate, own, fn == "div"))
                    name = self._into(name, kept[0])
                case _:
                    return name, places, False

    def _into(self, name: str, below: str) -> str:
        self.inner.add(name)
        return below

    def _has_key(self, name: str, places: Places) -> bool:
        axes = names(self.view.flow.nodes[name].axes)
        return any(self.key in places.get(axis, ()) for axis in axes)

    def _opens(self, name: str) -> bool:
        """Whether a value is computed inside: of indices, or of the product."""
        return name in self.view.flow.closed or self._leads(name)

    def _leads(self, name: str) -> bool:
        """Whether a value is computed of the product."""
        if name == self.score:
            return True
        if name not in self.leading:
            attrs = self.view.flow.nodes[name].attrs
            through = isinstance(attrs, MapAttrs | RenameAttrs | StopAttrs) or (
                isinstance(attrs, ContractAttrs) and not attrs.axes
            )
            self.leading[name] = (
                through
                and self.view.opens(name)
                and any(self._leads(o) for o in self.view.flow.reads[name])
            )
        return self.leading[name]

    # ---- the product

    def _product(self, top: str, places: Places) -> tuple[str, str, Axis, Places]:
        """The product of queries and keys: both, the axis that is summed, where its axes are."""
        flow = self.view.flow
        waiting, seen = [(top, places)], set[str]()
        while waiting:
            name, here = waiting.pop(0)
            if name in seen or name in flow.closed or not self.view.opens(name):
                continue
            seen.add(name)
            node, read = flow.nodes[name], flow.reads[name]
            match node.attrs:
                case ContractAttrs(axes=(axis,)) if len(read) == 2:
                    found = self._sides(read, here, axis)
                    if found is not None:
                        self.score = name
                        self.inner.add(name)
                        return *found, here
                case MapAttrs() | StopAttrs() | ContractAttrs(axes=()):
                    waiting += [(o, here) for o in read]
                case RenameAttrs(pairs=pairs):
                    try:
                        waiting.append((read[0], renamed(here, pairs, flow.nodes[read[0]])))
                    except Unfit:
                        continue
        raise Unfit

    def _sides(
        self, read: tuple[str, ...], places: Places, axis: str
    ) -> tuple[str, str, Axis] | None:
        """Queries, keys, and the axis of both that is summed."""
        flow = self.view.flow
        q, k = read
        if self._has_key(q, places):
            q, k = k, q
        if self._has_key(q, places) or not self._has_key(k, places):
            return None
        for name in (q, k):
            node = flow.nodes[name]
            if axis not in node.axis_names or node.dtype is not DType.FLOAT:
                return None
        return q, k, next(a for a in flow.nodes[q].axes if a.name == axis)

    def _query(self, top: str, q: str, k: str) -> Axis:
        """The axis of the queries, among those of the result that keys and values lack: the others
        are heads that share keys. It is that which masks speak of, or which is as long as the keys,
        or which is as long as the input."""
        flow = self.view.flow
        lacking = flow.nodes[k].axis_names | flow.nodes[self.value].axis_names
        among = [
            axis
            for axis in self.root.axes
            if axis.name in flow.nodes[q].axis_names and axis.name not in lacking
        ]
        if not among:
            raise Unfit
        spoken: set[str] = set()
        waiting = [top]
        while waiting:
            name = waiting.pop()
            attrs = flow.nodes[name].attrs
            if isinstance(attrs, IotaAttrs):
                spoken.add(attrs.axis.name)
            elif name not in (q, k) and isinstance(attrs, MapAttrs | RenameAttrs | IndexAttrs):
                waiting += flow.reads[name]
        size = self.key.size
        return min(
            among,
            key=lambda axis: (
                axis.name not in spoken,
                axis.size != size,
                isinstance(axis.size, int),
            ),
        )

    def _total(self, top: str, places: Places) -> Total | None:
        """The node that is the log of the sum of the exponentials of what is normalised."""
        flow = self.view.flow
        others = [user for user in flow.users[top] if user not in self.inner]
        if len(others) != 1 or others[0] not in flow.nodes or not self.view.opens(others[0]):
            return None
        attrs = flow.nodes[others[0]].attrs
        if not isinstance(attrs, ReduceAttrs) or attrs.fn != "logsumexp" or len(attrs.axes) != 1:
            return None
        if places[attrs.axes[0]] != (self.key,):
            return None
        axes = names(flow.nodes[others[0]].axes)
        return Total(others[0], tuple(names(places[axis]) for axis in axes))
