"""Carries that keep a part of themselves, are corrected by low rank and added to: in chunks.

S becomes d S + sum over r of left_r w_r + u, where w_r = sum[over](right_r S). Inside a chunk, all
that a row reads of S is what is left of the start of the chunk and of what came in at the rows
above: products of matrices (`Segments`). The w of a chunk depend on those above them, w = R S0 +
M w + c, with M below the diagonal: one inverse for each chunk. From chunk to chunk runs a scan.

What comes in along the left side of the one correction is a part of what is solved for: of the
delta rule, S + k (beta (v - w)), the value u = beta (v - w).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import INDEX, IndexAttrs, Select
from .corrections import Sides, Solver, joint, sides
from .interpret import Unsaid
from .parts import correction
from .segments import segments
from .stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...dsl.core import Axis
    from .algebra import Maker, Product
    from .classify import Group
    from .outside import Outside
    from .rows import Rows

Reading = tuple[int, tuple[str, ...], tuple[str, ...]]  # of a carry, by factors, summed over axes


class Chunked:
    """A group of carries, known for all steps by what is read of them."""

    def __init__(
        self, outside: Outside, rows: Rows, group: Group, fresh: Callable[[str], str]
    ) -> None:
        self._outside, self._rows, self._make = outside, rows, outside.make
        self._at = len(outside.solved)
        self._stack = stack = Stack(outside, rows, group, fresh)
        self._cut = segments(self._make, rows, stack.decay, stack.block, fresh)
        self._joint = joint(outside.found.algebra, group)
        self._inputs = [
            [*self._input(p), *stack.mark(place)]
            for place, own in zip(group.carries, group.parts or (), strict=True)
            for p in (own.inputs if self._joint is None else self._joint.rest)
        ]
        self._over = (*stack.over, *(group.corrections[0].over if group.corrections else ()))
        self._sides = self._corrected_by(group, fresh) if group.corrections else None
        apart = self._joint is not None or any(c.links for c in group.corrections)
        self._rights: list[Reading] = (
            [] if apart else [(c.carry, c.right, c.over) for c in group.corrections]
        )
        self._reads: dict[Reading, str] = {}
        last = self._between(fresh)
        self.last = {place: stack.one(last, place) for place in group.carries}

    # ---- what each row brings

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

    def _corrected_by(self, group: Group, fresh: Callable[[str], str]) -> Sides:
        make, stack = self._make, self._stack
        axes = [axis for axis in stack.axes if axis.name in self._over]
        if self._joint is not None:
            both, (c,) = self._joint, group.corrections
            come = [make.product(self._known(f), negative=negative) for f, negative in both.come]
            return Sides(
                None,
                make.spread(make.product(self._split(both.outer)), axes),
                self._with(c.carry, c.right, axes),
                make.product(self._known(both.gain), negative=both.negative),
                make.total(come),
            )
        lefts, rights = [], []
        for place, own in zip(group.carries, group.parts or (), strict=True):
            for c in own.corrections:
                left = [*self._known(c.left), *stack.mark(place)]
                lefts.append(make.spread(make.product(left, negative=c.negative), axes))
                rights.append(self._with(c.carry, c.right, axes))
        links = group.corrections[0].links
        return sides(make, lefts, rights, links, fresh)

    def _with(self, carry: int, right: Sequence[str], axes: Sequence[Axis]) -> str:
        """What a carry is read with, along all axes that are summed over."""
        factors = [*self._split(right), *self._stack.mark(carry)]
        return self._make.spread(self._make.product(factors), axes)

    # ---- between chunks

    def _between(self, fresh: Callable[[str], str]) -> str:
        make, rows, cut, over = self._make, self._rows, self._cut, self._over
        ends = [] if cut.end is None else [cut.end]
        joined = [rows.row.name]
        if self._sides is not None:
            solve, read, come = self._system(self._sides, fresh)
            # of several chunks all that does not read the carry is solved for before
            ends += [read, come] if rows.alone else [solve(read), solve(come)]
            ends.append(cut.left(make, cut.to_end, self._sides.left))
            joined += names(tuple(self._sides.ranks))
        ends.append(make.total([self._kept(f) for f in self._inputs]))

        def step(inner: Maker, old: list[str], given: list[str]) -> tuple[list[str], list[str]]:
            rest = iter(given)
            kept = cut.left(inner, None if cut.end is None else next(rest), old[0])
            outputs = [old[0]]
            if self._sides is not None:
                read, come, left = next(rest), next(rest), next(rest)
                w = inner.map("add", inner.contract(over, read, old[0]), come)
                w = solve(w) if rows.alone else w
                kept = inner.map("add", kept, inner.contract(joined, left, w))
                outputs.append(w)
            return [inner.map("add", kept, next(rest))], outputs

        start = [(self._stack.start(), self._stack.axes)]
        (last,), (self._start, *self._w) = rows.joined(start, ends, step)
        return last

    def _system(self, own: Sides, fresh: Callable[[str], str]) -> tuple[Solver, str, str]:
        """What solves for w, what is read of the start of the chunk for it, and what comes in."""
        make, rows, cut, over = self._make, self._rows, self._cut, self._over
        left = rows.as_other(own.left)
        come = [self._brought(own.right, f, over) for f in self._inputs]
        read = cut.read(make, own.right, cut.start)

        def score(above: dict[str, str]) -> str:
            made = cut.score(make, own.right, make.renamed(left, above), over)
            return made if own.gain is None else make.map("mul", own.gain, made)

        if own.gain is not None and own.come is not None:
            gain = own.gain
            read = make.map("mul", gain, read)
            come = [own.come, *(make.map("mul", gain, part) for part in come)]
        total = make.spread(make.total(come), [rows.row, *own.ranks])
        return Solver(make, rows, own.rank, score, fresh, once=rows.alone), read, total

    # ---- sums over the rows above

    def _brought(self, right: str, factors: Sequence[str], over: Sequence[str]) -> str:
        """What each row reads of an input, summed over the rows above it."""
        make, rows = self._make, self._rows
        others = [rows.as_other(f) for f in factors]
        keys = [f for f in others if make.has(f, over)]
        values = [f for f in others if f not in keys]
        score = self._cut.score(make, right, make.product(keys), over)
        more = [make.product(values)] if values else []
        return make.contract([rows.other.name], score, *more)

    def _kept(self, factors: Sequence[str]) -> str:
        """What is left of an input at the end of the chunk."""
        make, cut = self._make, self._cut
        if cut.to_end is not None:  # into the factors that have its axes, or into the smallest
            own = set(names(make.axes(cut.to_end)))
            ordered = sorted(
                factors, key=lambda f: (not set(names(make.axes(f))) <= own, len(make.axes(f)))
            )
            count = max(sum(set(names(make.axes(f))) <= own for f in ordered), 1)
            factors = [cut.left(make, cut.to_end, make.product(ordered[:count])), *ordered[count:]]
        return make.contract([self._rows.row.name], *factors)

    # ---- reading

    def read(self, name: str) -> str | None:
        """The carries, or sums over axes of them."""
        found, make, stack = self._outside.found, self._make, self._stack
        node = found.body.node(name)
        if name in stack.names:
            place = stack.places[stack.names.index(name)]
            return make.spread(self._row_reads((place, (), ())), node.axes)
        form = found.form(self._at, name)
        if isinstance(form, Unsaid):
            return None
        parts = []
        for p in form:
            if p.carry is None:
                parts.append(self._outside.product(p))
                continue
            c = correction(found.algebra, p)
            if c is None or not c.over:
                return None
            part = self._row_reads((c.carry, c.right, c.over))
            left = [self._outside.value(f) for f in c.left]
            part = make.contract(c.links, *left, part) if c.links else make.product([*left, part])
            parts.append(make.map("neg", part) if c.negative else part)
        return make.spread(make.total(parts), [*node.axes, found.scan.axis])

    def _row_reads(self, reading: Reading) -> str:
        """The sum over axes of an old carry times factors, for all steps."""
        if reading not in self._reads:
            own = self._rights.index(reading) if reading in self._rights else None
            value = self._computed(*reading) if own is None else self._corrected(own)
            self._reads[reading] = self._rows.merge(value)
        return self._reads[reading]

    def _computed(self, carry: int, right: tuple[str, ...], summed: tuple[str, ...]) -> str:
        make, rows, cut = self._make, self._rows, self._cut
        over = (*self._stack.over, *summed)
        with_ = self._with(carry, right, [a for a in self._stack.axes if a.name in over])
        parts = [make.contract(over, cut.read(make, with_, cut.start), self._start)]
        parts += [self._brought(with_, f, over) for f in self._inputs]
        if self._sides is not None:
            w = rows.as_other(self._w[0])
            both = [axis for axis in over if make.has(w, [axis])]
            rest = [axis for axis in over if axis not in both]
            score = cut.score(make, with_, rows.as_other(self._sides.left), rest)
            gone = [rows.other.name, *both, *names(tuple(self._sides.ranks))]
            parts.append(make.contract(gone, score, w))
        return make.total(parts)

    def _corrected(self, at: int) -> str:
        """What a correction reads of the carry."""
        own = self._sides
        if own is None or own.rank is None:
            return self._w[0]
        return self._make.add(INDEX, IndexAttrs(Select(own.rank.name, at)), self._w[0])
