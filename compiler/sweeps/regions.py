"""Where a value of a sweep differs from the run without writes.

A region is a union of products of masks. Masks are nodes that depend only on swept values and axis
indices, so they are known before the model runs. Causal attention, windows and documents need no
rule of their own: a mask that is false somewhere says that nothing comes through there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.ops import (
    CONST,
    CONTRACT,
    INDEX,
    MAP,
    REDUCE,
    RENAME,
    AlongAttrs,
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
)
from ..reference import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...dsl.core import Node
    from ..graph import Edit
    from ..reference.values import NamedArray

Term = frozenset[str]
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
    """The regions of a graph's values, and masks made on the way."""

    def __init__(
        self,
        edit: Edit,
        swept: frozenset[str],
        given: Mapping[str, NamedArray],
        sizes: Mapping[str, int],
    ) -> None:
        self.edit, self.swept, self.sizes = edit, swept, sizes
        self._arrays = dict(given)
        self.found: dict[str, Region] = {}
        self.support: dict[str, str] = {}
        self.closed: set[str] = set()
        self._made: dict[object, str] = {}

    # ---- masks

    def array(self, name: str) -> NamedArray:
        """What a closed node holds."""
        waiting = [name]
        while waiting:
            top = waiting[-1]
            node, operands = self.edit.node(top), self.edit.operands(top)
            missing = [o for o in operands if o not in self._arrays]
            if top in self._arrays or not missing:
                waiting.pop()
                if top not in self._arrays:
                    self._arrays[top] = value_of(
                        node, [self._arrays[o] for o in operands], self.sizes
                    )
            waiting += missing
        return self._arrays[name]

    def axes(self, region: Region) -> frozenset[str]:
        """The axes that the region speaks of."""
        return frozenset(
            a for term in region.terms for mask in term for a in self.edit.node(mask).axis_names
        )

    def mask(self, op: object, attrs: object, operands: Iterable[str]) -> str:
        """A closed node, made once."""
        operands = tuple(operands)
        key = (op, attrs, operands)
        if key not in self._made:
            cause = self.edit.node(operands[0]) if operands else None
            span = (
                cause.span
                if cause is not None
                else next(iter(self.edit.node(n) for n in self.closed)).span
            )
            name = self.edit.add(op, attrs, operands, span=span, made_by="sweep")  # type: ignore[arg-type]
            self._made[key] = name
            self.closed.add(name)
        return self._made[key]

    def union(self, regions: Iterable[Region]) -> Region:
        """Where any of them holds; a term that another contains is dropped."""
        terms = list(dict.fromkeys(term for region in regions for term in region.terms))
        kept = [t for t in terms if not any(other < t for other in terms)]
        region = Region(tuple(kept))
        return self.simple(region) if len(kept) > MOST_TERMS else region

    def simple(self, region: Region) -> Region:
        """The same as one mask."""
        if region.everywhere or (len(region.terms) == 1 and len(region.terms[0]) == 1):
            return region
        return Region((frozenset((self.single(region),)),))

    def single(self, region: Region) -> str:
        """One node that is true in the region."""
        assert not region.everywhere
        whole: str | None = None
        for term in region.terms:
            part: str | None = None
            for name in sorted(term):
                part = name if part is None else self.mask(MAP, MapAttrs("and"), (part, name))
            assert part is not None
            whole = part if whole is None else self.mask(MAP, MapAttrs("or"), (whole, part))
        assert whole is not None
        return whole

    def where_any(self, region: Region, gone: Iterable[str]) -> Region:
        """The region without some axes: where it holds for any of their positions."""
        gone = frozenset(gone)
        terms: list[Term] = []
        for term in region.terms:
            inside = sorted(m for m in term if self.edit.node(m).axis_names & gone)
            rest = term - set(inside)
            if inside:
                axes = {a for m in inside for a in self.edit.node(m).axis_names} & gone
                if len(inside) == 1:
                    new = self.mask(REDUCE, ReduceAttrs("any", tuple(sorted(axes))), inside)
                else:
                    total = self.mask(CONTRACT, ContractAttrs(tuple(sorted(axes))), inside)
                    zero = self.mask(CONST, ConstAttrs(0), ())
                    new = self.mask(MAP, MapAttrs("gt"), (total, zero))
                rest |= {new}
            terms.append(rest)
        return self.union([Region(tuple(terms))])

    # ---- values

    def visit(self, name: str) -> Region | None:
        """The region of a node whose operands were visited; None for one that is in no member
        different."""
        node = self.edit.node(name)
        operands = self.edit.operands(name)
        if self._is_closed(node, operands):
            self.closed.add(name)
            return None
        region = self._region(node, operands)
        self._support(node, operands)
        if region is not None:
            self.found[name] = region
        return region

    def _is_closed(self, node: Node, operands: tuple[str, ...]) -> bool:
        match node.op.name:
            case "const" | "iota":
                return True
            case "input" | "param" | "state" | "random":
                return bool(node.axis_names) and node.axis_names <= self.swept
            case "scan" | "item":
                return False
        return all(operand in self.closed for operand in operands)

    def _lifted(self, operand: str) -> bool:
        return operand in self.found

    def _region(self, node: Node, operands: tuple[str, ...]) -> Region | None:
        swept_numbers = [
            o for o in operands if o in self.closed and self.edit.node(o).axis_names & self.swept
        ]
        match node.attrs:
            case MapAttrs("where") if operands[0] in self.closed:
                return self._written(operands, swept_numbers)
            case _ if swept_numbers:
                return EVERYWHERE
        known = [self.found[o] for o in operands if self._lifted(o)]
        if not known:
            return None
        match node.attrs:
            case MapAttrs() | StopAttrs():
                return self.union(known)
            case ContractAttrs(axes):
                through = [self.support[o] for o in operands if o in self.support]
                return self.where_any(self._through(self.union(known), through), axes)
            case ReduceAttrs(_, axes):
                return self.where_any(self.union(known), axes)
            case AlongAttrs(_, axes):
                through = [self.support[o] for o in operands if o in self.support]
                return self.where_any(self._through(self.union(known), through), axes)
            case RenameAttrs(pairs):
                return self._renamed(known[0], pairs)
            case IndexAttrs(Select() | Slice() as how):
                return self._picked(known[0], how)
            case IndexAttrs(Gather(axis)) if not self._lifted(operands[1]) and self._lifted(
                operands[0]
            ):
                return self.where_any(known[0], [axis, *self.edit.node(operands[1]).axis_names])
        others = self.axes(self.union(known)) - self.swept
        return self.where_any(self.union(known), others)

    def _through(self, region: Region, masks: list[str]) -> Region:
        return Region(tuple(term | set(masks) for term in region.terms)) if masks else region

    def _written(self, operands: tuple[str, ...], swept: list[str]) -> Region | None:
        """A write: what it picks, and where what was there differed already."""
        condition, new, old = operands
        known = [self.found[o] for o in (new, old) if self._lifted(o)]
        if condition in swept:
            here = [self.found[old]] if self._lifted(old) else []
            if old in self.closed:
                return EVERYWHERE
            return self.union([Region((frozenset((condition,)),)), *here])
        if [o for o in swept if o != condition]:
            return EVERYWHERE
        if not known:
            return None
        # one of the two is a number: nothing comes through where it stands
        if self._is_number(old) and self._lifted(new):
            return self._through(self.found[new], [condition])
        return self.union(known)

    def _is_number(self, name: str) -> bool:
        return self.edit.node(name).op.name == "const"

    def _support(self, node: Node, operands: tuple[str, ...]) -> None:
        """Where a value can be other than nothing: a mask that was put on it, kept by softmax."""
        match node.attrs:
            case MapAttrs("where") if operands[0] in self.closed and self._nothing(operands[2]):
                if not self.edit.node(operands[0]).axis_names & self.swept:
                    self.support[node.name] = operands[0]
            case AlongAttrs("softmax") | StopAttrs() | RenameAttrs(()):
                if operands[0] in self.support:
                    self.support[node.name] = self.support[operands[0]]

    def _nothing(self, name: str) -> bool:
        attrs = self.edit.node(name).attrs
        return isinstance(attrs, ConstAttrs) and attrs.value in (0, float("-inf"))

    def _each(self, region: Region, change: object) -> Region:
        return self.union(
            [Region(tuple(frozenset(change(m) for m in term) for term in region.terms))]
        )  # type: ignore[operator]

    def _renamed(
        self, region: Region, pairs: tuple[tuple[tuple[str, ...], tuple[object, ...]], ...]
    ) -> Region:
        plain = tuple((old, new) for old, new in pairs if len(old) == len(new) == 1)
        mixed = [name for old, new in pairs if len(old) != 1 or len(new) != 1 for name in old]
        region = self.where_any(region, mixed) if mixed else region

        def change(mask: str) -> str:
            own = tuple(pair for pair in plain if pair[0][0] in self.edit.node(mask).axis_names)
            return self.mask(RENAME, RenameAttrs(own), (mask,)) if own else mask  # type: ignore[arg-type]

        return self._each(region, change)

    def _picked(self, region: Region, how: Select | Slice) -> Region:
        def change(mask: str) -> str:
            if how.axis not in self.edit.node(mask).axis_names:
                return mask
            return self.mask(INDEX, IndexAttrs(how), (mask,))

        return self._each(region, change)
