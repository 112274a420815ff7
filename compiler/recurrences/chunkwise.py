"""A carry that keeps a part of itself, is corrected by low rank and added to: in chunks.

S becomes d S + sum over r of left_r w_r + u, where w_r = sum[over](right_r S). Inside a chunk, all
that a row reads of S is what is left of the start of the chunk and of what came in at the rows
above: products of matrices (`Segments`). The w of a chunk depend on those above them, w = R S0 +
M w + c, with M below the diagonal: one inverse for each chunk. From chunk to chunk runs a scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis, names
from ...dsl.ops import (
    CONCAT,
    INDEX,
    RENAME,
    ConcatAttrs,
    IndexAttrs,
    RenameAttrs,
    Select,
)
from .interpret import Unsaid
from .inverse import inverse
from .parts import correction
from .scans import scan
from .segments import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .algebra import Maker, Product
    from .classify import Group
    from .outside import Outside
    from .parts import Correction
    from .rows import Rows


class Chunked:
    """One carry, known for all steps by what is read of it."""

    def __init__(
        self, outside: Outside, rows: Rows, group: Group, fresh: Callable[[str], str]
    ) -> None:
        self._outside, self._rows, self._make = outside, rows, outside.make
        (self._place,), (own,) = group.carries, group.parts or ()
        found = outside.found
        self._at = len(outside.solved)
        self._carry = found.body.node(found.carries[self._place])
        self._fresh = fresh
        edge = Axis(fresh("edge"), sizes.add(rows.row.size, 1))
        self._cut = segments(self._make, rows, self._decay([p for _, p in own.decays]), edge)
        over = own.corrections[0].over if own.corrections else ()
        self._inputs = [self._input(p) for p in own.inputs]
        self._rank, self._left, self._right = self._stacked(own.corrections)
        self._over = over
        linked = any(c.links for c in own.corrections)
        self._rights = [] if linked else [(c.right, c.over) for c in own.corrections]
        self._reads: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
        self.last = {self._place: self._between()}

    # ---- what each row brings

    def _decay(self, decays: Sequence[Product]) -> str | None:
        make, axis = self._make, self._outside.found.scan.axis
        if [p.factors for p in decays] == [()] and not decays[0].negative:
            return None
        value = make.total([self._outside.product(p) for p in decays])
        return self._rows.split(make.spread(make.floats(value), [axis]), 1.0)

    def _split(self, factors: Sequence[str]) -> list[str]:
        return [self._rows.split(self._outside.value(f), 0.0) for f in factors]

    def _known(self, factors: Sequence[str]) -> list[str]:
        """Factors in chunks, whose product is 0 behind the last step."""
        found = self._split(factors)
        if not any(self._make.has(f, [self._rows.row.name]) for f in found):
            ones = self._make.ones(self._outside.found.scan.axis)
            found.append(self._rows.split(ones, 0.0))
        return found

    def _input(self, p: Product) -> list[str]:
        """The factors of an input in chunks, the sign in one of them."""
        factors = self._known(p.factors)
        if p.negative:
            factors[0] = self._make.map("neg", factors[0])
        return factors

    def _stacked(self, corrections: Sequence[Correction]) -> tuple[Axis | None, str, str]:
        """Left and right sides in chunks, along an axis of their own if there are several."""
        make = self._make
        if not corrections:
            return None, "", ""
        over = [axis for axis in self._carry.axes if axis.name in corrections[0].over]
        lefts, rights = [], []
        for c in corrections:
            left = make.product(self._known(c.left), negative=c.negative)
            lefts.append(make.spread(left, over))
            rights.append(make.spread(make.product(self._split(c.right)), over))
        if len(corrections) > 1:
            rank = Axis(self._fresh("rank"), len(corrections))
            stack = ConcatAttrs(rank.name, new=True)
            return rank, make.add(CONCAT, stack, *lefts), make.add(CONCAT, stack, *rights)
        link = next((a for a in make.axes(lefts[0]) if a.name in corrections[0].links), None)
        if link is None:
            return None, lefts[0], rights[0]
        rank = Axis(self._fresh("rank"), link.size)  # the link is also in what is read
        new = {link.name: rank.name}
        return rank, make.renamed(lefts[0], new), make.renamed(rights[0], new)

    # ---- between chunks

    def _between(self) -> str:
        make, rows, over = self._make, self._rows, self._over
        cut = self._cut
        ends = [] if cut.end is None else [cut.end]
        added = make.total([self._summed(f, cut.to_end) for f in self._inputs])
        if self._left:
            reach = self._left if cut.to_end is None else make.map(
                "mul", rows.as_other(self._left), cut.to_end
            )  # fmt: skip
            reach = make.renamed(reach, {rows.other.name: rows.row.name})
            solved = self._solved_rows()
            ends += [reach, *solved]
        joined = [rows.row.name] + ([] if self._rank is None else [self._rank.name])

        def step(inner: Maker, old: list[str], given: list[str]) -> tuple[list[str], list[str]]:
            rest = iter(given)
            kept = old[0] if cut.end is None else inner.map("mul", next(rest), old[0])
            outputs = [old[0]]
            if self._left:
                left, read, come = next(rest), next(rest), next(rest)
                w = inner.map("add", inner.contract(over, read, old[0]), come)
                kept = inner.map("add", kept, inner.contract(joined, left, w))
                outputs.append(w)
            return [inner.map("add", kept, given[-1])], outputs

        start = self._outside.operands[self._carry.name]
        ends.append(make.spread(added, [rows.chunk]))
        ends = [make.spread(end, [rows.chunk]) for end in ends]
        (last,), outputs = scan(make, rows.chunk, [(start, self._carry.axes)], ends, step)
        self._start, self._w = outputs[0], outputs[1] if self._left else ""
        return last

    def _solved_rows(self) -> tuple[str, str]:
        """What each w reads of the start of the chunk, and what it is without it."""
        make, rows, rank = self._make, self._rows, self._rank
        from_start = self._from_start(self._right)
        left = rows.as_other(self._left)
        above = {} if rank is None else {rank.name: self._fresh("rank")}
        below = self._score(self._right, [make.renamed(left, above)], self._over)
        row, column, flat = rows.row, rows.other, Axis(self._fresh("flat"), rows.row.size)
        if rank is not None:
            size = sizes.multiply(row.size, rank.size)
            flat, column = Axis(flat.name, size), Axis(self._fresh("flat"), size)
            pairs = (
                ((row.name, rank.name), (flat,)),
                ((rows.other.name, above[rank.name]), (column,)),
            )
            need = [rows.row, rank, rows.other, Axis(above[rank.name], rank.size)]
            below = make.add(RENAME, RenameAttrs(pairs), make.spread(below, need))
            row = flat
        between = (self._fresh("flat"), self._fresh("flat"))
        solve = inverse(make, below, row, column, between)

        def solved(value: str) -> str:
            if rank is None:
                return make.contract(
                    [column.name], solve, make.renamed(value, {row.name: column.name})
                )
            value = make.spread(value, [rows.row, rank])
            joined = (((rows.row.name, rank.name), (column,)),)
            value = make.add(RENAME, RenameAttrs(joined), value)
            value = make.contract([column.name], solve, value)
            apart = (((row.name,), (rows.row, rank)),)
            return make.add(RENAME, RenameAttrs(apart), value)

        come = make.total([self._brought(self._right, f, self._over) for f in self._inputs])
        need = [rows.row] + ([] if rank is None else [rank])
        return solved(from_start), solved(make.spread(come, need))

    # ---- sums over the rows above

    def _from_start(self, right: str) -> str:
        """What is read with, times what is left of the start of the chunk."""
        return right if self._cut.start is None else self._make.map("mul", right, self._cut.start)

    def _score(self, right: str, keys: Sequence[str], over: Sequence[str]) -> str:
        """How much each row reads of what came in at others, summed over axes of the carry."""
        make, between = self._make, self._cut.between
        key = make.product(keys)
        if over and not make.has(between, over):
            return make.map("mul", make.contract(over, right, key), between)
        return make.contract(over, right, between, key)

    def _brought(self, right: str, factors: Sequence[str], over: Sequence[str]) -> str:
        """What each row reads of an input, summed over the rows above it."""
        make, rows = self._make, self._rows
        others = [rows.as_other(f) for f in factors]
        keys = [f for f in others if make.has(f, over)]
        values = [f for f in others if f not in keys]
        score = self._score(right, keys, over)
        more = [make.product(values)] if values else []
        return make.contract([rows.other.name], score, *more)

    def _summed(self, factors: Sequence[str], reach: str | None) -> str:
        """What is left of an input at the end of the chunk."""
        make, rows = self._make, self._rows
        others = [rows.as_other(f) for f in factors]
        if reach is not None:  # into a factor that has its axes, or into the smallest
            own = set(names(make.axes(reach)))
            near = [f for f in others if set(names(make.axes(f))) <= own]
            rest = sorted((f for f in others if f not in near), key=lambda f: len(make.axes(f)))
            others = [make.product([reach, *near, *(rest[:1] if not near else ())])]
            others += rest[1:] if not near else rest
        return make.contract([rows.other.name], *others)

    # ---- reading

    def read(self, name: str) -> str | None:
        """The carry, or sums over axes of it."""
        found, make = self._outside.found, self._make
        if name == self._carry.name:
            return make.spread(self._row_reads((), ()), self._carry.axes)
        form = found.form(self._at, name)
        if isinstance(form, Unsaid):
            return None
        node = found.body.node(name)
        parts = []
        for p in form:
            if p.carry is None:
                parts.append(self._outside.product(p))
                continue
            c = correction(found.algebra, p)
            if c is None or not c.over:
                return None
            part = self._row_reads(c.right, c.over)
            left = [self._outside.value(f) for f in c.left]
            part = make.contract(c.links, *left, part) if c.links else make.product([*left, part])
            parts.append(make.map("neg", part) if c.negative else part)
        return make.spread(make.total(parts), [*node.axes, found.scan.axis])

    def _row_reads(self, right: tuple[str, ...], over: tuple[str, ...]) -> str:
        """The sum over axes of the old carry times factors, for all steps."""
        if (right, over) not in self._reads:
            make, rows = self._make, self._rows
            if (right, over) in self._rights:
                return self._corrected(self._rights.index((right, over)))
            axes = [axis for axis in self._carry.axes if axis.name in over]
            with_ = make.spread(make.product(self._split(right)), axes)
            parts = [make.contract(over, self._from_start(with_), self._start)]
            parts += [self._brought(with_, f, over) for f in self._inputs]
            if self._left:
                w = rows.as_other(self._w)
                both = [axis for axis in over if make.has(w, [axis])]
                gone = [rows.other.name, *both, *([self._rank.name] if self._rank else [])]
                rest = [axis for axis in over if axis not in both]
                score = self._score(with_, [rows.as_other(self._left)], rest)
                parts.append(make.contract(gone, score, w))
            self._reads[right, over] = rows.merge(make.total(parts))
        return self._reads[right, over]

    def _corrected(self, at: int) -> str:
        """What a correction reads of the carry."""
        w = self._w
        if self._rank is not None:
            w = self._make.add(INDEX, IndexAttrs(Select(self._rank.name, at)), w)
        return self._rows.merge(w)
