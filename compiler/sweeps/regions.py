"""Where a value of a sweep differs from the run without writes.

A region is a union of products of masks. Masks are nodes that depend only on swept values and axis
indices, so they are known before the model runs. Causal attention, windows and documents need no
rule of their own: a mask that is false somewhere says that nothing comes through there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import Axes
from ...dsl.ops import (
    CONST,
    CONTRACT,
    INDEX,
    MAP,
    REDUCE,
    RENAME,
    AlongAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    Select,
    Slice,
    StopAttrs,
    Window,
)
from ..reference import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...dsl.core import Node
    from ...dsl.ops import Attrs, OpDef
    from ..graph import Edit
    from ..reference import NamedArray

Term = frozenset[str]
Pairs = tuple[tuple[tuple[str, ...], Axes], ...]
MOST_TERMS = 3


@dataclass(frozen=True)
class Region:
    """Terms; each holds where all its masks do. One empty term is everywhere."""

    terms: tuple[Term, ...]

    @property
    def everywhere(self) -> bool:
        """Whether nothing is said about where."""
        return frozenset() in self.terms


EVERYWHERE = Region((frozenset(),))


class Regions:
    """The regions of a graph's values, and masks made on the way.

    `given` are the values of the swept variables by node name, `sizes` the run-time sizes.
    """

    def __init__(
        self,
        edit: Edit,
        swept: Iterable[str],
        given: Mapping[str, NamedArray],
        sizes: Mapping[str, int],
    ) -> None:
        self.edit, self.swept, self.sizes = edit, frozenset(swept), sizes
        self.found: dict[str, Region] = {}
        self.closed: set[str] = set()
        self.off: set[str] = set()  # truths that are false in the run without writes
        self._span = edit.node(next(iter(given))).span
        self._arrays = dict(given)
        self._made: dict[object, str] = {}
        self._zero: dict[str, str] = {}  # outside of which mask a value is 0
        self._hidden: dict[str, str] = {}  # outside of which mask a value is -inf

    # ---- masks

    def array(self, name: str) -> NamedArray:
        """What a closed node holds."""
        waiting = [name]
        while waiting:
            top = waiting[-1]
            missing = [o for o in self.edit.operands(top) if o not in self._arrays]
            waiting += missing
            if not missing:
                waiting.pop()
                if top not in self._arrays:
                    read = [self._arrays[o] for o in self.edit.operands(top)]
                    self._arrays[top] = value_of(self.edit.node(top), read, self.sizes)
        return self._arrays[name]

    def axes(self, region: Region) -> frozenset[str]:
        """The axes that the region speaks of."""
        masks = [self.edit.node(mask) for term in region.terms for mask in term]
        return frozenset(axis for mask in masks for axis in mask.axis_names)

    def mask(self, op: OpDef, attrs: Attrs, operands: tuple[str, ...] = ()) -> str:
        """A closed node, made once."""
        key = (op, repr(attrs), operands)
        if key not in self._made:
            span = self.edit.node(operands[0]).span if operands else self._span
            self._made[key] = self.edit.add(op, attrs, operands, span=span, made_by="sweep")
            self.closed.add(self._made[key])
        return self._made[key]

    def union(self, regions: Iterable[Region]) -> Region:
        """Where any of them holds; a term that another contains is dropped."""
        terms = list(dict.fromkeys(term for region in regions for term in region.terms))
        region = Region(tuple(t for t in terms if not any(other < t for other in terms)))
        return self.simple(region) if len(region.terms) > MOST_TERMS else region

    def simple(self, region: Region) -> Region:
        """The same as one mask."""
        return region if region.everywhere else Region((frozenset((self.single(region),)),))

    def single(self, region: Region) -> str:
        """One node that is true in the region, which is not everywhere."""
        return self._joined("or", [self._joined("and", sorted(term)) for term in region.terms])

    def _joined(self, fn: str, masks: list[str]) -> str:
        whole, *others = masks
        for other in others:
            whole = self.mask(MAP, MapAttrs(fn), (whole, other))
        return whole

    def where_any(self, region: Region, gone: Iterable[str]) -> Region:
        """The region without some axes: where it holds for any of their positions."""
        gone = frozenset(gone)
        terms: list[Term] = []
        for term in region.terms:
            inside = tuple(sorted(m for m in term if self.edit.node(m).axis_names & gone))
            rest = term - set(inside)
            if inside:
                axes = sorted({a for m in inside for a in self.edit.node(m).axis_names} & gone)
                rest |= {self._any(inside, tuple(axes))}
            terms.append(rest)
        return self.union([Region(tuple(terms))])

    def _any(self, masks: tuple[str, ...], axes: tuple[str, ...]) -> str:
        """Where all the masks hold at once, at any of the positions."""
        if len(masks) == 1:
            return self.mask(REDUCE, ReduceAttrs("any", axes), masks)
        count = self.mask(CONTRACT, ContractAttrs(axes), masks)
        return self.mask(MAP, MapAttrs("gt"), (count, self.mask(CONST, ConstAttrs(0))))

    # ---- values

    def visit(self, name: str) -> Region | None:
        """The region of a node whose operands were visited; None for one that is in no member
        different."""
        node = self.edit.node(name)
        operands = self.edit.operands(name)
        self._learn(node, operands)
        if self._is_closed(node, operands):
            self.closed.add(name)
            return None
        region = self._region(node, operands)
        if isinstance(node.attrs, IndexAttrs | RenameAttrs) and operands[0] in self.off:
            self.off.add(name)  # a part of what holds nowhere holds nowhere
        if region is not None:
            self.found[name] = region
        return region

    def is_write(self, node: Node, operands: tuple[str, ...]) -> bool:
        """Whether members are chosen here: the run without writes has the third operand."""
        chosen = node.attrs == MapAttrs("where") and operands[0]
        return chosen in self.off or chosen in self._numbers(operands)

    def _is_closed(self, node: Node, operands: tuple[str, ...]) -> bool:
        match node.op.name:
            case "const" | "iota":
                return True
            case "input" | "param" | "state" | "random":
                return bool(node.axis_names) and node.axis_names <= self.swept
            case "scan" | "item":
                return False
        return all(operand in self.closed for operand in operands)

    def _numbers(self, operands: tuple[str, ...]) -> list[str]:
        """Those operands that swept values alone decide about."""
        return [
            o for o in operands if o in self.closed and self.edit.node(o).axis_names & self.swept
        ]

    def _region(self, node: Node, operands: tuple[str, ...]) -> Region | None:
        numbers = self._numbers(operands)
        known = [self.found[o] for o in operands if o in self.found]
        match node.attrs:
            case MapAttrs("where") if operands[0] in self.closed:
                return self._written(operands, numbers)
            case MapAttrs("where") if operands[0] in self.off:
                return self.union(
                    self.found[o] for o in (operands[0], operands[2]) if o in self.found
                )
            case MapAttrs("and") if numbers or not self.off.isdisjoint(operands):
                return self._off(node, operands, numbers)
        if numbers:
            return EVERYWHERE
        if not known:
            return None
        region = self.union(known)
        match node.attrs:
            case MapAttrs() | StopAttrs():
                return region
            case ContractAttrs(axes):
                through = [self._zero[o] for o in operands if o in self._zero]
                return self.where_any(self._through(region, through), axes)
            case ReduceAttrs(_, axes) | AlongAttrs(_, axes):
                return self.where_any(region, axes)
            case ConcatAttrs(axis):
                return self.where_any(region, [axis])
            case RenameAttrs(pairs):
                return self._renamed(region, pairs)
            case IndexAttrs(Select() | Slice() as how):
                return self._picked(region, how)
            case IndexAttrs(Window() as how):
                return self._picked(region, replace(how, fill=0.0))
            case IndexAttrs(Gather(axis)) if operands[1] not in self.found:
                return self.where_any(region, [axis, *self.edit.node(operands[1]).axis_names])
        return self.where_any(region, self.axes(region) - self.swept)

    @staticmethod
    def _through(region: Region, masks: list[str]) -> Region:
        return Region(tuple(term.union(masks) for term in region.terms))

    def _written(self, operands: tuple[str, ...], numbers: list[str]) -> Region | None:
        """A choice by a mask: what a write picks, and where what was there differed already."""
        condition, new, old = operands
        known = [self.found[o] for o in (new, old) if o in self.found]
        if condition in numbers:
            if old in self.closed:
                return EVERYWHERE
            here = [self.found[old]] if old in self.found else []
            return self.union([Region((frozenset((condition,)),)), *here])
        if numbers:
            return EVERYWHERE
        if not known:
            return None
        if self._number(old) is not None and new in self.found:  # it stands there in all members
            return self._through(self.found[new], [condition])
        return self.union(known)

    def _off(self, node: Node, operands: tuple[str, ...], numbers: list[str]) -> Region:
        """A part of a write's mask: it holds in no position but where the others do."""
        self.off.add(node.name)
        masks = [self.found[o] for o in operands if o in self.off]
        masks += [Region((frozenset((o,)),)) for o in numbers]
        return masks[0] if len(masks) == 1 else self._through(masks[0], [self.single(masks[1])])

    def _number(self, name: str) -> float | None:
        attrs = self.edit.node(name).attrs
        return attrs.value if isinstance(attrs, ConstAttrs) else None

    def _learn(self, node: Node, operands: tuple[str, ...]) -> None:
        """Where a value can be other than nothing: a mask that was put on it, kept by softmax."""
        match node.attrs:
            case MapAttrs("where") if operands[0] in self.closed and operands[
                0
            ] not in self._numbers(operands):
                match self._number(operands[2]):
                    case 0:
                        self._zero[node.name] = operands[0]
                    case float(number) if number == -math.inf:
                        self._hidden[node.name] = operands[0]
            case AlongAttrs("softmax") if operands[0] in self._hidden:
                self._zero[node.name] = self._hidden[operands[0]]
            case StopAttrs() | RenameAttrs():
                pairs = node.attrs.pairs if isinstance(node.attrs, RenameAttrs) else ()
                for table in (self._zero, self._hidden):
                    mask = table.get(operands[0])
                    if (
                        mask is not None
                        and not self._mixed(pairs) & self.edit.node(mask).axis_names
                    ):
                        table[node.name] = self._turned(mask, pairs)

    # ---- axes of masks

    def _each(self, region: Region, change: Callable[[str], str]) -> Region:
        """The region with each of its masks changed."""
        terms = (frozenset([change(mask) for mask in sorted(term)]) for term in region.terms)
        return self.union([Region(tuple(terms))])

    def _renamed(self, region: Region, pairs: Pairs) -> Region:
        region = self.where_any(region, self._mixed(pairs))
        return self._each(region, lambda mask: self._turned(mask, pairs))

    @staticmethod
    def _mixed(pairs: Pairs) -> frozenset[str]:
        """Axes that are split or merged."""
        return frozenset(
            name for old, new in pairs if len(old) != 1 or len(new) != 1 for name in old
        )

    def _turned(self, mask: str, pairs: Pairs) -> str:
        """A mask with its axes renamed."""
        own = tuple(pair for pair in pairs if pair[0][0] in self.edit.node(mask).axis_names)
        return self.mask(RENAME, RenameAttrs(own), (mask,)) if own else mask

    def _picked(self, region: Region, how: Select | Slice | Window) -> Region:
        def change(mask: str) -> str:
            if how.axis not in self.edit.node(mask).axis_names:
                return mask
            return self.mask(INDEX, IndexAttrs(how), (mask,))

        return self._each(region, change)
