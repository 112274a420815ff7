"""A body as statements: each makes a value, or a part of one, in a loop nest.

What only looks at another value in another way (a rename, a selection) is a view, and no statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....dsl.core import Axes, DType, Node, without
from ....dsl.functions import MAPS
from ....dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
    Select,
    Slice,
    Window,
)
from ..unsupported import UnsupportedError
from .expressions import LINES, REDUCTIONS
from .places import Place, Term, plus, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....dsl.sizes import Size
    from ..flow import Flow

    Sized = Callable[[Size], Term]
    View = Callable[[Place], Place]

UNIQUE_LOOPS = {"line", "put"}  # their loops hold nothing else


@dataclass(frozen=True, eq=False)
class Statement:
    """Makes the value of `node`, or writes a part of it, for all of `axes`.

    Operands in `near` are read at the point of the loop, so they may be made there; those in `far`
    lie in memory before the loop. `into` is where the part lies in the memory of the value.
    """

    node: Node
    kind: str  # map, reduce, copy, pick, put, line
    axes: Axes
    near: tuple[str, ...]
    far: tuple[str, ...] = ()
    reduced: frozenset[str] = frozenset()
    scalar: bool = False
    into: View | None = None
    order: int = 0

    def loops(self, hidden: frozenset[str]) -> object:
        """What statements of one loop nest have in common; some axes have no loop inside."""
        own = self.order if self.kind in UNIQUE_LOOPS else None
        return frozenset(a for a in self.axes if a.name not in hidden), self.scalar, own


@dataclass
class Statements:
    """All statements of a body, and the views between them."""

    flow: Flow
    size: Sized
    found: list[Statement] = field(default_factory=list)
    views: dict[str, tuple[str, View]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, node in self.flow.nodes.items():
            if node.op.name != "input" and name not in self.flow.numbers:
                self._add(node, self.flow.reads[name])

    def root(self, name: str) -> str:
        """The value that lies in memory, for one that may be a view of it."""
        while name in self.views:
            name = self.views[name][0]
        return name

    def copy(self, node: Node, source: str, into: View | None = None) -> None:
        """Write a value, or the part that it is, where `node` lies."""
        axes = node.axes if into is None else self.flow.nodes[source].axes
        self._put(node, "copy", axes, (source,), into=into)

    def _put(
        self,
        node: Node,
        kind: str,
        axes: Axes,
        near: tuple[str, ...],
        far: tuple[str, ...] = (),
        reduced: frozenset[str] = frozenset(),
        into: View | None = None,
    ) -> None:
        near_views = tuple(name for name in near if name in self.views)
        read = [self.flow.nodes[n] for n in (*near, *far) if n not in self.flow.numbers]
        scalar = (
            kind in ("pick", "put", "line")
            or DType.INT in [n.dtype for n in (node, *read)]
            or (kind == "reduce" and node.dtype is DType.BOOL)
        )
        statement = Statement(
            node,
            kind,
            axes,
            near,
            (*far, *near_views),
            reduced,
            scalar,
            into,
            len(self.found),
        )
        self.found.append(statement)

    def _add(self, node: Node, read: tuple[str, ...]) -> None:
        match node.attrs:
            case MapAttrs(fn=fn):
                if fn in ("floordiv", "mod") and node.dtype is not DType.FLOAT:
                    divisor = self.flow.numbers.get(read[1])
                    if not divisor:
                        raise UnsupportedError(f"{fn} of ints may divide by 0")
                if fn not in MAPS:
                    raise UnsupportedError(f"the function {fn}")
                self._put(node, "map", node.axes, read)
            case IotaAttrs():
                self._put(node, "map", node.axes, ())
            case ReduceAttrs(fn=fn, axes=axes) if fn in REDUCTIONS:
                operand = self.flow.nodes[read[0]]
                self._put(node, "reduce", operand.axes, read, reduced=frozenset(axes))
            case ContractAttrs(axes=axes):
                both: dict[str, object] = {}
                for name in read:
                    both |= {axis.name: axis for axis in self.flow.nodes[name].axes}
                loops = tuple(both.values())
                self._put(node, "reduce", loops, read, reduced=frozenset(axes))  # type: ignore[arg-type]  # axes
            case ReduceAttrs(fn=fn, axes=axes) | AlongAttrs(fn=fn, axes=axes):
                if fn not in LINES or len(axes) != 1:
                    raise UnsupportedError(f"{fn} over {len(axes)} axes")
                rest = without(self.flow.nodes[read[0]].axes, axes)
                self._put(node, "line", rest, (), (read[0],))
            case RenameAttrs():
                self._rename(node, node.attrs, read[0])
            case IndexAttrs(how=how):
                self._index(node, how, read)
            case ConcatAttrs():
                self._concat(node, node.attrs, read)
            case ScatterAttrs():
                self._scatter(node, node.attrs, read)
            case _:
                raise UnsupportedError(f"{node.op.name} in a step")

    def _rename(self, node: Node, attrs: RenameAttrs, read: str) -> None:
        """Renames and splits are views; what merges axes is copied."""
        merged = [pair for pair in attrs.pairs if len(pair[0]) > 1]
        pairs: dict[str, Axes] = {old[0]: new for old, new in attrs.pairs if len(old) == 1}
        if not merged:
            self.views[node.name] = read, lambda place: self._split(place, pairs)
            return
        if any(len(new) != 1 for _, new in merged) or len(merged) < len(attrs.pairs):
            raise UnsupportedError("a rename that splits and merges at once")
        source = self.flow.nodes[read]

        def into(place: Place) -> Place:
            strides = dict(place.strides)
            for old, (new,) in merged:
                step = strides.pop(new.name)
                for axis in reversed(old):
                    strides[axis] = step
                    step = times(step, self.size(source.size(axis)))
            return place.renamed({a: s for a, s in strides.items() if a in source.axis_names})

        self.copy(node, read, into)

    def _split(self, place: Place, changed: dict[str, Axes]) -> Place:
        strides: dict[str, Term] = {}
        for axis, step in place.strides.items():
            if axis not in changed:
                strides[axis] = step
                continue
            own: dict[str, Term] = {}
            for new in reversed(changed[axis]):
                own[new.name] = step
                step = times(step, self.size(new.size))
            strides |= dict(reversed(own.items()))
        return place.renamed(strides)

    def _index(self, node: Node, how: object, read: tuple[str, ...]) -> None:
        source = self.flow.nodes[read[0]]
        match how:
            case Select(axis=axis, at=at):
                position = at if at >= 0 else plus((self.size(source.size(axis)), at))

                def selected(place: Place) -> Place:
                    rest = {a: s for a, s in place.strides.items() if a != axis}
                    return place.renamed(rest, times(position, place.strides.get(axis, 0)))

                self.views[node.name] = read[0], selected
            case Slice(axis=axis, start=start):
                self.views[node.name] = (
                    read[0],
                    lambda place: place.renamed(
                        dict(place.strides), times(self.size(start), place.strides.get(axis, 0))
                    ),
                )
            case Window():
                self._put(node, "pick", node.axes, (), read)
            case Gather(fill=fill):
                if fill is None:
                    raise UnsupportedError("a gather that may be out of range")
                self._put(node, "pick", node.axes, (read[1],), (read[0],))
            case _:
                raise UnsupportedError("an index of an unknown kind")

    def _concat(self, node: Node, attrs: ConcatAttrs, read: tuple[str, ...]) -> None:
        start: Term = 0
        for name in read:
            part = self.flow.nodes[name]
            axes = tuple(a for a in node.axes if a.name != attrs.axis)
            if not attrs.new:
                axes = (*axes, next(a for a in part.axes if a.name == attrs.axis))

            def into(place: Place, start: Term = start) -> Place:
                keep = {
                    a: s for a, s in place.strides.items() if not (attrs.new and a == attrs.axis)
                }
                return place.renamed(keep, times(start, place.strides[attrs.axis]))

            self._put(node, "copy", axes, (name,), into=into)
            start = plus((start, 1 if attrs.new else self.size(part.size(attrs.axis))))

    def _scatter(self, node: Node, attrs: ScatterAttrs, read: tuple[str, ...]) -> None:
        base, index, update = read
        whole = {a.name: a for n in (base, index, update) for a in self.flow.nodes[n].axes}
        loops = tuple(
            axis for name, axis in whole.items() if name != attrs.axis or name in attrs.over
        )
        self._put(node, "copy", node.axes, (base,), into=lambda place: place)
        self._put(node, "put", loops, (), (index, update))
