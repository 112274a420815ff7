"""Where values say nothing: outside of a band around each position, a value is one known number.

`where(s <= t, scores, -inf)` is -inf at every `s` that lies after `t`; softmax makes 0 of it, and
a sum over `s` then sees nothing of what comes later. Causality and windows are read off values like
this, whatever they are called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.ops import (
    AlongAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    IotaAttrs,
    MapAttrs,
    ReduceAttrs,
    RenameAttrs,
    StopAttrs,
)
from ..reference.scalars import apply
from ..reference.values import NUMPY, NamedArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import DType, Node
    from ...dsl.sizes import Size
    from ..graph import Graph

Number = int | float | bool
Pair = tuple[str, str]
"""An axis, and the axis from whose positions it is looked at."""

NEUTRAL = {
    "sum": 0, "norm": 0, "max": -math.inf, "logsumexp": -math.inf, "min": math.inf, "prod": 1,
    "any": False, "all": True, "argmax": -math.inf, "argmin": math.inf,
}  # fmt: skip
"""What a reduction does not see."""

KEPT = {  # a reduction of this number alone, along however many positions, is this number
    "sum": (0,), "prod": (0, 1), "norm": (0,), "logsumexp": (-math.inf,),
}  # fmt: skip
SAME = {"max", "min", "mean", "any", "all"}  # a reduction of one number alone is that number


@dataclass(frozen=True, slots=True)
class Band:
    """A value is `outside` unless low <= axis - query <= high; None is no bound.

    A truth that is `exact` holds everywhere inside.
    """

    low: int | None
    high: int | None
    outside: Number
    exact: bool = False

    @property
    def looks_ahead(self) -> bool:
        """Whether something of a later position may be seen."""
        return self.high is None or self.high > 0

    def covers(self, reach: int | None) -> bool:
        """Whether the last `reach` positions (None: all) before the present one are inside."""
        back = self.low is None or (reach is not None and self.low <= -reach)
        return back and (self.high is None or self.high >= 0)


Bands = dict[Pair, Band]


def bands(graph: Graph, size: Size) -> dict[str, Bands]:
    """The bands of each value between two axes of this size."""
    finder = _Finder(graph, size)
    for name in graph.in_order():
        finder.visit(name)
    return finder.found


@dataclass(frozen=True, slots=True)
class _Affine:
    """A sum of multiples of axis indices, and a number; or the distance of such a sum from 0."""

    terms: Mapping[str, int]
    number: int
    distance: bool = False


class _Finder:
    def __init__(self, graph: Graph, size: Size) -> None:
        self.graph, self.size = graph, size
        self.found: dict[str, Bands] = {}
        self.affine: dict[str, _Affine] = {}

    def visit(self, name: str) -> None:
        node, operands = self.graph.node(name), self.graph.operands(name)
        made = self._affine(node, operands)
        if made is not None:
            self.affine[name] = made
        self.found[name] = self._bands(node, operands)

    # ---- indices

    def _affine(self, node: Node, operands: Sequence[str]) -> _Affine | None:
        match node.attrs:
            case IotaAttrs(axis) if axis.size == self.size:
                return _Affine({axis.name: 1}, 0)
            case ConstAttrs(int(value)) if not isinstance(value, bool):
                return _Affine({}, value)
            case RenameAttrs(pairs):
                inner = self.affine.get(operands[0])
                if inner is None or any(len(old) != 1 or len(new) != 1 for old, new in pairs):
                    return None
                turned = {old[0]: new[0].name for old, new in pairs}
                terms = {turned.get(axis, axis): c for axis, c in inner.terms.items()}
                return replace(inner, terms=terms)
            case MapAttrs(fn):
                read = [self.affine.get(name) for name in operands]
                if any(part is None for part in read):
                    return None
                return _computed(fn, [part for part in read if part is not None])
        return None

    def _compared(self, fn: str, operands: Sequence[str]) -> Bands:
        """The band of a comparison of two indices."""
        one, other = (self.affine.get(name) for name in operands)
        if one is None or other is None:
            return {}
        if fn in ("ge", "gt"):
            fn, one, other = {"ge": "le", "gt": "lt"}[fn], other, one
        strict = int(fn == "lt")
        if one.distance and not other.terms and fn in ("le", "lt"):
            most = other.number - strict
            return _limited(one, -most, most)
        if one.distance or other.distance or fn not in ("le", "lt", "eq"):
            return {}
        difference = _combined(one, other, -1)
        return _limited(difference, 0 if fn == "eq" else None, -strict)

    # ---- values

    def _bands(self, node: Node, operands: Sequence[str]) -> Bands:
        match node.attrs:
            case MapAttrs(fn):
                return self._map(node, fn, operands)
            case RenameAttrs(pairs):
                turned = {old[0]: new[0].name for old, new in pairs if len(old) == len(new) == 1}
                gone = {name for old, _ in pairs for name in old} - set(turned)
                return {
                    (turned.get(a, a), turned.get(q, q)): band
                    for (a, q), band in self.found[operands[0]].items()
                    if not {a, q} & gone
                }
            case StopAttrs():
                return self.found[operands[0]]
            case IndexAttrs(how):
                own = self.found[operands[0]]
                if isinstance(how, Gather):
                    taken = self.graph.node(operands[1]).axis_names
                    own = {pair: band for pair, band in own.items() if not taken & set(pair)}
                return {pair: band for pair, band in own.items() if how.axis not in pair}
            case ReduceAttrs(fn, axes):
                return {
                    pair: replace(band, exact=False)
                    for pair, band in self.found[operands[0]].items()
                    if not set(pair) & set(axes)
                    and (fn in SAME or band.outside in KEPT.get(fn, ()))
                }
            case ContractAttrs(axes):
                found = absorbed([self.found[name] for name in operands], 0)
                return {pair: band for pair, band in found.items() if not set(pair) & set(axes)}
            case AlongAttrs("softmax" | "log_softmax" as fn, axes):
                outside = 0 if fn == "softmax" else -math.inf
                return {
                    (a, q): Band(band.low, band.high, outside)
                    for (a, q), band in self.found[operands[0]].items()
                    if a in axes and q not in axes and band.outside == -math.inf
                }
            case ConcatAttrs(axis):
                return self._joined(axis, operands)
        return {}

    def _joined(self, axis: str, operands: Sequence[str]) -> Bands:
        every = [self.found[name] for name in operands]
        found = {}
        for pair in every[0]:
            parts = [own[pair] for own in every if pair in own]
            alike = {repr(band.outside) for band in parts}
            if len(parts) == len(every) and len(alike) == 1 and axis not in pair:
                found[pair] = _hull(parts, parts[0].outside)
        return found

    def _map(self, node: Node, fn: str, operands: Sequence[str]) -> Bands:
        if fn in ("le", "lt", "ge", "gt", "eq"):
            return self._compared(fn, operands)
        read = [self.found[name] for name in operands]
        pairs = dict.fromkeys(pair for own in read for pair in own)
        found: Bands = {}
        absorbing = {"mul": 0, "div": 0, "and": False}.get(fn)
        if absorbing is not None:
            found = absorbed(read[:1] if fn == "div" else read, absorbing)
        if fn == "and":
            found = {
                pair: replace(b, exact=self._exact(pair, operands)) for pair, b in found.items()
            }
        for pair in pairs:
            made = self._at(pair, node, fn, operands)
            if made is not None and pair not in found:
                found[pair] = made
        return found

    def _exact(self, pair: Pair, operands: Sequence[str]) -> bool:
        """Whether all operands are truths that hold exactly inside of their bands."""
        known = [self.found[name].get(pair) for name in operands]
        return all(band is not None and band.exact for band in known)

    def _at(self, pair: Pair, node: Node, fn: str, operands: Sequence[str]) -> Band | None:
        """The band of a function whose operands have bands or are numbers."""
        own = [self.found[name].get(pair) for name in operands]
        known = [
            band.outside if band is not None else self._number(name)
            for name, band in zip(operands, own, strict=True)
        ]
        parts = [band for band in own if band is not None]
        if fn == "not" and parts[0].exact:
            return _complement(parts[0], False, exact=True)
        if fn == "where":
            return self._chosen(own, known)
        if fn in ("add", "sub"):
            infinite = [band for band in parts if _infinite(band.outside)]
            if infinite and None in known:
                band = infinite[0]
                turned = fn == "sub" and band is own[1]
                return Band(band.low, band.high, -band.outside if turned else band.outside)
        if None in known:
            return None
        dtypes = [self.graph.node(name).dtype for name in operands]
        outside = _applied(fn, [v for v in known if v is not None], dtypes, node.dtype)
        return None if outside is None else _hull(parts, outside)

    def _chosen(self, own: Sequence[Band | None], known: Sequence[Number | None]) -> Band | None:
        mask, yes, no = own
        if mask is not None and mask.outside is False and known[2] is not None:
            parts = [band for band in (mask, no) if band is not None]
            return _hull(parts, known[2])
        if mask is not None and mask.exact and known[1] is not None:
            turned = _complement(mask, known[1])
            if turned is not None and yes is None:
                return turned
        if yes is not None and no is None and known[2] == yes.outside:
            return replace(yes, exact=False)
        if yes is not None and no is not None and yes.outside == no.outside:
            return _hull([yes, no], yes.outside)
        if no is not None and yes is None and known[1] == no.outside:
            return replace(no, exact=False)
        return None

    def _number(self, name: str) -> Number | None:
        attrs = self.graph.node(name).attrs
        return attrs.value if isinstance(attrs, ConstAttrs) else None


def _combined(one: _Affine, other: _Affine, sign: int) -> _Affine:
    terms = dict(one.terms)
    for axis, count in other.terms.items():
        terms[axis] = terms.get(axis, 0) + sign * count
    left = {axis: count for axis, count in terms.items() if count}
    return _Affine(left, one.number + sign * other.number)


def _computed(fn: str, read: Sequence[_Affine]) -> _Affine | None:
    if fn == "abs" and not read[0].distance:
        return replace(read[0], distance=True)
    if any(part.distance for part in read):
        return None
    match fn:
        case "add":
            return _combined(read[0], read[1], 1)
        case "sub":
            return _combined(read[0], read[1], -1)
        case "neg":
            return _combined(_Affine({}, 0), read[0], -1)
        case "int" | "float":
            return read[0]
    return None


def _limited(value: _Affine, low: int | None, high: int | None) -> Bands:
    """The bands of `low <= value <= high`, if the value is the difference of two indices."""
    ups = [axis for axis, count in value.terms.items() if count == 1]
    downs = [axis for axis, count in value.terms.items() if count == -1]
    if len(value.terms) != 2 or len(ups) != 1 or len(downs) != 1:
        return {}
    low = None if low is None else low - value.number
    high = None if high is None else high - value.number
    turned = (None if high is None else -high), (None if low is None else -low)
    return {
        (ups[0], downs[0]): Band(low, high, False, exact=True),
        (downs[0], ups[0]): Band(*turned, False, exact=True),
    }


def absorbed(read: Sequence[Bands], outside: Number) -> Bands:
    """Where one factor is 0, the product is; it is left where no factor is."""
    found: Bands = {}
    for own in read:
        for pair, band in own.items():
            if band.outside != outside:
                continue
            known = found.get(pair)
            low, high = band.low, band.high
            if known is not None:
                low = max((b for b in (low, known.low) if b is not None), default=None)
                high = min((b for b in (high, known.high) if b is not None), default=None)
            found[pair] = Band(low, high, outside)
    return found


def _hull(parts: Sequence[Band], outside: Number) -> Band:
    lows, highs = [band.low for band in parts], [band.high for band in parts]
    low = None if None in lows else min(b for b in lows if b is not None)
    high = None if None in highs else max(b for b in highs if b is not None)
    return Band(low, high, outside)


def _complement(band: Band, outside: Number, *, exact: bool = False) -> Band | None:
    """What is left of a band that is open on one side."""
    if band.low is None and band.high is not None:
        return Band(band.high + 1, None, outside, exact)
    if band.high is None and band.low is not None:
        return Band(None, band.low - 1, outside, exact)
    return None


def _infinite(value: Number | None) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _applied(
    fn: str, values: Sequence[Number], dtypes: Sequence[DType], dtype: DType
) -> Number | None:
    arrays = [
        NamedArray((), np.asarray(value, NUMPY[own]))
        for value, own in zip(values, dtypes, strict=True)
    ]
    try:
        with np.errstate(all="ignore"):
            found: Number = apply(fn, arrays, dtype).array.item()
    except (ArithmeticError, ValueError):
        return None
    return None if found != found else found
