"""Affine expressions of carries: sums of products, and what operations make of them.

A value that is affine in the carries is a sum of `Product`s. Their factors are nodes that are known
before the step: those of the body, and others that are made here, beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import Axis, DType, names
from ...dsl.ops import (
    CONST,
    CONTRACT,
    INDEX,
    IOTA,
    MAP,
    REDUCE,
    RENAME,
    ConstAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...dsl.core import Axes, Node
    from ...dsl.ops import Attrs, OpDef, Select, Slice
    from ..graph import Edit


@dataclass(frozen=True, slots=True)
class Product:
    """Factors times one carry, or times none, summed over `summed`.

    `axes` say what each axis of the carry is called here: by its own name, by another one, or by a
    name in `summed`. Axes in `summed` that the carry lacks link some factors with others.
    """

    factors: tuple[str, ...]
    negative: bool = False
    carry: int | None = None
    axes: tuple[tuple[str, str], ...] = ()
    summed: frozenset[str] = frozenset()

    @property
    def here(self) -> frozenset[str]:
        """What the axes of the carry are called."""
        return frozenset(name for _, name in self.axes)


Affine = tuple[Product, ...]


class Maker:
    """Adds nodes to one graph, all with the same origin."""

    def __init__(self, edit: Edit, cause: Node, made_by: str) -> None:
        self.edit, self.cause, self.made_by = edit, cause, made_by

    def add(self, op: OpDef, attrs: Attrs, *operands: str) -> str:
        """Any operation."""
        cause = self.cause
        return self.edit.add(
            op, attrs, operands, span=cause.span, scope=cause.scope, made_by=self.made_by
        )

    def axes(self, name: str) -> Axes:
        """The axes of a node."""
        return self.edit.node(name).axes

    def has(self, name: str, axes: Iterable[str]) -> bool:
        """Whether a node has one of these axes."""
        return not self.edit.node(name).axis_names.isdisjoint(axes)

    def const(self, value: float) -> str:
        """A number."""
        return self.add(CONST, ConstAttrs(value))

    def map(self, fn: str, *operands: str) -> str:
        """A pointwise function."""
        return self.add(MAP, MapAttrs(fn), *operands)

    def index(self, axis: Axis) -> str:
        """The index along an axis."""
        return self.add(IOTA, IotaAttrs(axis))

    def ones(self, axis: Axis) -> str:
        """1 at each position of an axis."""
        return self.map("float", self.map("ge", self.index(axis), self.const(0)))

    def spread(self, name: str, axes: Iterable[Axis]) -> str:
        """The value repeated along those of the axes that it lacks."""
        for axis in axes:
            if not self.has(name, [axis.name]):
                always = self.map("ge", self.index(axis), self.const(0))
                name = self.map("where", always, name, name)
        return name

    def floats(self, name: str) -> str:
        """The value as floats."""
        return name if self.edit.node(name).dtype is DType.FLOAT else self.map("float", name)

    def product(self, factors: Sequence[str], *, negative: bool = False) -> str:
        """The factors multiplied; 1 without any. The smaller ones come first."""
        ordered = sorted(factors, key=lambda name: len(self.axes(name)))
        if not ordered:
            return self.const(-1.0 if negative else 1.0)
        value = ordered[0]
        if negative:
            value = self.map("neg", value)
        for factor in ordered[1:]:
            value = self.map("mul", value, factor)
        return value

    def total(self, parts: Sequence[str]) -> str:
        """The sum; 0 of nothing."""
        if not parts:
            return self.const(0.0)
        value = parts[0]
        for part in parts[1:]:
            value = self.map("add", value, part)
        return value

    def contract(self, over: Sequence[str], *operands: str) -> str:
        """The sum of a product over axes. At least one operand has each of them."""
        if not over:
            return self.product(operands)
        return self.add(CONTRACT, ContractAttrs(tuple(over)), *operands)

    def renamed(self, name: str, new: Mapping[str, str]) -> str:
        """The value with other names for those of these axes that it has."""
        pairs = tuple(
            ((axis.name,), (Axis(new[axis.name], axis.size),))
            for axis in self.axes(name)
            if new.get(axis.name, axis.name) != axis.name
        )
        return self.add(RENAME, RenameAttrs(pairs), name) if pairs else name


class Algebra(Maker):
    """What operations make of products of carries; coefficients become nodes of the body."""

    def __init__(self, edit: Edit, cause: Node, taken: Iterable[str]) -> None:
        super().__init__(edit, cause, "recurrences")
        self._taken = set(taken)
        self._inner: dict[tuple[int, str], str] = {}
        self._origin: dict[str, tuple[str, dict[str, str]]] = {}
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}

    def fresh(self, name: str) -> str:
        """A name that no axis has."""
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def inner(self, carry: int, axis: str) -> str:
        """What an axis of a carry is called once it is summed over."""
        if (carry, axis) not in self._inner:
            self._inner[carry, axis] = self.fresh(axis)
        return self._inner[carry, axis]

    def renamed(self, name: str, new: Mapping[str, str]) -> str:
        """Renaming twice is renaming once, and equal renamings are one node."""
        base, before = self._origin.get(name, (name, {}))
        whole = {old: new.get(now, now) for old, now in before.items()}
        whole |= {old: now for old, now in new.items() if old not in before.values()}
        whole = {
            old: now
            for old, now in whole.items()
            if old != now and old in self.edit.node(base).axis_names
        }
        if not whole:
            return base
        key = base, tuple(sorted(whole.items()))
        if key not in self._known:
            self._known[key] = super().renamed(base, whole)
            self._origin[self._known[key]] = base, whole
        return self._known[key]

    def known(self, name: str) -> Affine:
        """A value that is known before the step: as a product, if it is one."""
        return (Product(tuple(self._factors(name))),)

    def _factors(self, name: str) -> list[str]:
        node = self.edit.node(name)
        if isinstance(node.attrs, MapAttrs) and node.attrs.fn == "mul":
            return [f for operand in self.edit.operands(name) for f in self._factors(operand)]
        return [name]

    def scaled(self, value: Affine, factors: Sequence[str], *, negative: bool = False) -> Affine:
        """The value times something known."""
        return tuple(
            replace(p, factors=(*p.factors, *factors), negative=p.negative != negative)
            for p in value
        )

    def chosen(self, condition: str, value: Affine, *, holds: bool) -> Affine:
        """The value where a known condition holds, or where it does not; else 0."""
        one, other = self.const(1.0), self.const(0.0)
        mask = self.map("where", condition, *((one, other) if holds else (other, one)))
        found = []
        for p in value:
            if p.carry is None and len(p.factors) == 1:  # exact, even of what is not finite
                parts = (p.factors[0], other) if holds else (other, p.factors[0])
                found.append(replace(p, factors=(self.map("where", condition, *parts),)))
            else:
                found.append(replace(p, factors=(*p.factors, mask)))
        return tuple(found)

    # ---- axes

    def rename(self, value: Affine, new: Mapping[str, str]) -> Affine:
        """Other names for axes of the value."""
        return tuple(
            replace(
                p,
                factors=tuple(self.renamed(name, new) for name in p.factors),
                axes=tuple(
                    (own, here if here in p.summed else new.get(here, here)) for own, here in p.axes
                ),
            )
            for p in value
        )

    def sum(self, value: Affine, axis: Axis) -> Affine:
        """The sum over an axis of the value."""
        return tuple(self._summed(p, axis) for p in value)

    def _summed(self, p: Product, axis: Axis) -> Product:
        name = axis.name
        own = next((own for own, here in p.axes if here == name and here not in p.summed), None)
        if own is not None and p.carry is not None:
            inner = self.inner(p.carry, own)
            return replace(
                p,
                factors=tuple(self.renamed(factor, {name: inner}) for factor in p.factors),
                axes=tuple((o, inner if o == own else here) for o, here in p.axes),
                summed=p.summed | {inner},
            )
        along = [factor for factor in p.factors if self.has(factor, [name])]
        rest = tuple(factor for factor in p.factors if factor not in along)
        if not along:
            count = self.add(REDUCE, ReduceAttrs("sum", (name,)), self.ones(axis))
            return replace(p, factors=(*p.factors, count))
        inside = [factor for factor in along if self.has(factor, p.summed)]
        if inside and len(inside) < len(along):
            link = self.fresh(name)
            factors = tuple(self.renamed(factor, {name: link}) for factor in p.factors)
            return replace(p, factors=factors, summed=p.summed | {link})
        if len(along) == 1:
            return replace(
                p, factors=(*rest, self.add(REDUCE, ReduceAttrs("sum", (name,)), along[0]))
            )
        return replace(p, factors=(*rest, self.contract([name], *along)))

    def select(self, value: Affine, how: Select | Slice, axis: Axis) -> Affine | None:
        """Positions along an axis of the value; None where that cannot be said."""
        found: list[Product] = []
        for p in value:
            if how.axis in p.here - p.summed:
                at = getattr(how, "at", None)
                if at is None or (at < 0 and not isinstance(axis.size, int)):
                    return None
                at += axis.size if at < 0 and isinstance(axis.size, int) else 0
                spot = self.map("float", self.map("eq", self.index(axis), self.const(at)))
                found.append(self._summed(replace(p, factors=(*p.factors, spot)), axis))
                continue
            factors = tuple(
                self.add(INDEX, IndexAttrs(how), f) if self.has(f, [how.axis]) else f
                for f in p.factors
            )
            found.append(replace(p, factors=factors))
        return tuple(found)


def axis_of(axes: Axes, name: str) -> Axis:
    """The axis of that name. Raises KeyError if there is none."""
    return dict(zip(names(axes), axes, strict=True))[name]
