"""Reads only the part of a value that is used: a selection moves up to what the value is made of.

Needs common values shared. Moves only where nobody reads the whole, so nothing is computed twice;
stops at what mixes the positions of the axis, and at windows and recurrences.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axes, names
from ...dsl.ops import (
    CONST,
    INDEX,
    MAP,
    RENAME,
    AlongAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    OpDef,
    OpError,
    ReduceAttrs,
    RenameAttrs,
    Select,
    Slice,
    StopAttrs,
    Window,
)

if TYPE_CHECKING:
    from ...dsl.core import Node
    from ..context import Context
    from ..graph import Edit, Graph

How = Select | Slice | Gather | Window
Pairs = tuple[tuple[tuple[str, ...], Axes], ...]
MOST = 8  # different parts of one value that are read apart


def narrow(graph: Graph, ctx: Context) -> Graph:
    """The graph with selections moved up as far as they go."""
    with graph.edit() as edit:
        for name in reversed(graph.in_order()):
            waiting = [name]
            while waiting:
                name = waiting.pop()
                if name in edit:
                    waiting += _Narrowing(edit, ctx, name).run()
    return edit.graph


class _Narrowing:
    """One value whose parts are read."""

    def __init__(self, edit: Edit, ctx: Context, name: str) -> None:
        self.edit, self.ctx, self.name = edit, ctx, name
        self.node = edit.node(name)

    def run(self) -> list[str]:
        """Make each part by itself, if nobody reads the whole; what was made, to be looked at
        too."""
        edit, name = self.edit, self.name
        users = edit.users(name)
        if name in edit.results or not users or self.node.site in self.ctx.keep:
            return []
        readers = [user for user, position in users if position == 0 and self._is_part(user)]
        if len(readers) < len(users) or len(set(readers)) > MOST:
            return []
        made: dict[object, str] = {}
        for reader in dict.fromkeys(readers):
            index = edit.node(reader)
            assert isinstance(index.attrs, IndexAttrs)
            key = (repr(index.attrs), edit.operands(reader)[1:])
            if key not in made:
                part = self._part(index, edit.operands(reader)[1:])
                if part is None:
                    continue
                made[key] = part
            self._replace(index, made[key])
        if not edit.users(name) and name not in edit.results:
            self._drop(name)
        return list(made.values())

    def _replace(self, index: Node, part: str) -> None:
        """The part instead of the selection, under its address."""
        edit, new = self.edit, self.edit.node(part)
        if new.site is not None and index.site is not None and index.site in self.ctx.keep:
            edit.put(replace(index, op=RENAME, attrs=RenameAttrs(), made_by="narrow"))
            edit.set_operands(index.name, [part])
            return
        if new.site is None and index.site is not None:
            edit.put(replace(index, site=None))
            edit.put(replace(new, site=index.site))
        edit.redirect(index.name, part)
        edit.remove(index.name)

    def _drop(self, name: str) -> None:
        operands = self.edit.operands(name)
        if self.node.op.name not in ("input", "param", "state", "random"):
            self.edit.remove(name)
        for operand in dict.fromkeys(operands):
            if operand in self.edit and self._is_idle(operand):
                self.edit.remove(operand)

    def _is_idle(self, name: str) -> bool:
        """Whether a number is there for nobody."""
        edit, node = self.edit, self.edit.node(name)
        asked = name in edit.results or (node.site is not None and node.site in self.ctx.keep)
        return node.op is CONST and not asked and not edit.users(name)

    def _is_part(self, user: str) -> bool:
        """Whether the reader takes little enough of the value that making just that is worth it:
        most of an axis is better made whole, in the shape that kernels know."""
        attrs = self.edit.node(user).attrs
        match attrs:
            case IndexAttrs(Slice(axis, start, stop)):
                size, taken = self.node.size(axis), sizes.subtract(stop, start)
                return isinstance(size, int) and isinstance(taken, int) and 2 * taken <= size
            case IndexAttrs(Gather(axis)):
                count, size = self._places(self.edit.operands(user)[1]), self.node.size(axis)
                return count is not None and (
                    isinstance(size, sizes.Poly) or 2 * count <= max(size, 2)
                )
            case IndexAttrs(how):
                return not isinstance(how, Window)
        return False

    def _places(self, index: str) -> int | None:
        """How many places an index says for each element of the value, if that is known."""
        count = sizes.product(
            axis.size
            for axis in self.edit.node(index).axes
            if axis.name not in self.node.axis_names
        )
        return count if isinstance(count, int) else None

    def _part(self, index: Node, at: tuple[str, ...]) -> str | None:
        """The part made directly; None where the selection has to stay."""
        assert isinstance(index.attrs, IndexAttrs)
        how = index.attrs.how
        operands = self.edit.operands(self.name)
        try:
            match self.node.attrs:
                case MapAttrs() | ContractAttrs() | ReduceAttrs() | AlongAttrs() if _fills(how):
                    return None
                case MapAttrs() | StopAttrs():
                    return self._again(operands, how, at, index)
                case ContractAttrs(axes) | ReduceAttrs(_, axes) | AlongAttrs(_, axes):
                    if self._clash(how, at, axes) or (
                        isinstance(self.node.attrs, AlongAttrs) and isinstance(how, Gather)
                    ):
                        return None
                    return self._again(operands, how, at, index)
                case RenameAttrs(pairs):
                    return self._renamed(pairs, operands[0], how, at, index)
                case ConcatAttrs(axis, new):
                    return self._joined(axis, operands, how, at, index, new=new)
                case IndexAttrs(earlier):
                    return self._chosen(earlier, operands, how, at, index)
                case IotaAttrs():
                    return self._numbered(how, at, index)
        except OpError:  # the part has an axis that the way up already has
            return None
        return None

    def _clash(self, how: How, at: tuple[str, ...], axes: tuple[str, ...]) -> bool:
        if how.axis in axes:
            return True
        return any(self.edit.node(name).axis_names & set(axes) for name in at)

    def _add(self, attrs: IndexAttrs, operands: tuple[str, ...], index: Node) -> str:
        return self.edit.add(
            INDEX, attrs, operands, span=index.span, scope=self.node.scope, made_by="narrow"
        )

    def _again(self, operands: tuple[str, ...], how: How, at: tuple[str, ...], index: Node) -> str:
        """The same operation on the parts of those operands that have the axis."""
        attrs = IndexAttrs(how)
        parts: dict[str, str] = {}
        for operand in operands:
            if operand not in parts:
                has = how.axis in self.edit.node(operand).axis_names
                parts[operand] = self._add(attrs, (operand, *at), index) if has else operand
        return self.edit.add(
            self.node.op,
            self.node.attrs,
            [parts[o] for o in operands],
            span=self.node.span,
            scope=self.node.scope,
            made_by="narrow",
        )

    def _renamed(
        self,
        pairs: Pairs,
        operand: str,
        how: How,
        at: tuple[str, ...],
        index: Node,
    ) -> str | None:
        gone = {name for name, _ in self._flat(pairs)}
        coming = {name: old for old, new in pairs for name in names(new)}
        if any(self.edit.node(name).axis_names & gone for name in at):
            return None
        if how.axis not in coming:
            part = self._add(IndexAttrs(how), (operand, *at), index)
            return self.edit.add(
                self.node.op,
                self.node.attrs,
                [part],
                span=self.node.span,
                scope=self.node.scope,
                made_by="narrow",
            )
        old, new = next((old, new) for old, new in pairs if how.axis in names(new))
        if len(old) != 1 or len(new) != 1:
            return None
        moved = replace(how, axis=old[0])
        part = self._add(IndexAttrs(moved), (operand, *at), index)
        rest = tuple(pair for pair in pairs if pair[1] is not new)
        if isinstance(how, Slice):
            rest = (
                *rest,
                (
                    old,
                    tuple(replace(axis, size=sizes.subtract(how.stop, how.start)) for axis in new),
                ),
            )
        return self.edit.add(
            self.node.op,
            RenameAttrs(rest),
            [part],
            span=self.node.span,
            scope=self.node.scope,
            made_by="narrow",
        )

    @staticmethod
    def _flat(pairs: Pairs) -> list[tuple[str, Axes]]:
        return [(name, new) for old, new in pairs for name in old]

    def _joined(
        self,
        axis: str,
        operands: tuple[str, ...],
        how: How,
        at: tuple[str, ...],
        index: Node,
        *,
        new: bool,
    ) -> str | None:
        if how.axis != axis:
            if self._clash(how, at, (axis,)):
                return None
            return self._again(operands, how, at, index)
        if new and isinstance(how, Select):
            picked = self.edit.node(operands[how.at])
            same = {*names(index.axes)} == {*names(picked.axes)} and picked.dtype == index.dtype
            if same:
                return self.edit.add(
                    *_identity(),
                    [operands[how.at]],
                    span=index.span,
                    scope=self.node.scope,
                    made_by="narrow",
                )
        return None

    def _chosen(
        self,
        earlier: How,
        operands: tuple[str, ...],
        how: How,
        at: tuple[str, ...],
        index: Node,
    ) -> str | None:
        """A selection from a selection."""
        if isinstance(earlier, Window):
            return None
        value, *which = operands
        if isinstance(earlier, Gather):
            by = self.edit.node(which[0])
            if (
                isinstance(how, Gather)
                or how.axis in self.edit.node(value).axis_names & by.axis_names
            ):
                return None
            if how.axis in by.axis_names:
                picked = self._add(IndexAttrs(how), (which[0], *at), index)
                return self._add(IndexAttrs(earlier), (value, picked), index)
            part = self._add(IndexAttrs(how), (value, *at), index)
            return self._add(IndexAttrs(earlier), (part, which[0]), index)
        if isinstance(earlier, Slice) and earlier.axis == how.axis:
            if isinstance(how, Select) and isinstance(earlier.start, int) and how.at >= 0:
                return self._add(
                    IndexAttrs(Select(how.axis, earlier.start + how.at)), (value,), index
                )
            return None
        if self._clash(how, at, (earlier.axis,)) or isinstance(how, Gather):
            return None
        part = self._add(IndexAttrs(how), (value, *at), index)
        return self._add(IndexAttrs(earlier), (part,), index)

    def _numbered(self, how: How, at: tuple[str, ...], index: Node) -> str | None:
        """A part of an axis's own index is known."""
        match how:
            case Gather(fill=None):
                return self.edit.add(
                    *_identity(), [at[0]], span=index.span, scope=index.scope, made_by="narrow"
                )
            case Select(_, place) if place >= 0:
                return self._number(place, index)
            case Select(_, place):
                size = self.node.axes[0].size
                return self._number(size + place, index) if isinstance(size, int) else None
            case Slice(_, int() as start, _):
                again = self.edit.add(
                    self.node.op,
                    IotaAttrs(index.axes[0]),
                    [],
                    span=index.span,
                    scope=index.scope,
                    made_by="narrow",
                )
                if not start:
                    return again
                return self.edit.add(
                    MAP,
                    MapAttrs("add"),
                    [again, self._number(start, index)],
                    span=index.span,
                    scope=index.scope,
                    made_by="narrow",
                )
        return None

    def _number(self, value: int, index: Node) -> str:
        return self.edit.add(
            CONST, ConstAttrs(value), [], span=index.span, scope=index.scope, made_by="narrow"
        )


def _fills(how: How) -> bool:
    """Whether a number stands where nothing is read; a function of it is another."""
    return isinstance(how, Gather) and how.fill is not None


def _identity() -> tuple[OpDef, RenameAttrs]:
    return RENAME, RenameAttrs()
