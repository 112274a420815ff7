"""Elementwise linear carries by an associative scan: in log-many rounds inside chunks.

A step is a pair (A, u): S becomes A S + u. Two after one another are (A' A, u' + A' u), so that
after k rounds each row holds the last 2^k steps of its chunk. Nothing is divided and no exponent is
formed: decays of any size, 0 too, are exact. Between chunks runs a scan of one step a chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import INDEX, IndexAttrs, Select

if TYPE_CHECKING:
    from .algebra import Maker
    from .classify import Group
    from .outside import Outside
    from .rows import Rows

Matrix = list[list[str | None]]  # between the carries of a group; None is 0


class Doubled:
    """A group of elementwise linear carries, known for all steps.

    `steps` are (A, u) of each step in chunks, where the group itself does not say them.
    """

    def __init__(
        self,
        outside: Outside,
        rows: Rows,
        group: Group,
        steps: tuple[Matrix, list[str]] | None = None,
    ) -> None:
        self._outside, self._rows, self._make = outside, rows, outside.make
        found = outside.found
        self._names = [found.carries[place] for place in group.carries]
        new = [found.scan.body.results[place] for place in group.carries]
        decays, inputs = self._steps(group) if steps is None else steps
        last, whole = self._solved(decays, inputs)
        self.last = dict(zip(group.carries, last, strict=True))
        self._new = dict(zip(new, whole, strict=True))
        self._known: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        """New carries, and old ones."""
        if name in self._new:
            return self._new[name]
        if name not in self._names:
            return None
        if name not in self._known:
            place = self._names.index(name)
            whole = list(self._new.values())[place]
            first = self._outside.operands[name]
            self._known[name] = self._rows.before(whole, self._make.floats(first))
        return self._known[name]

    def _steps(self, group: Group) -> tuple[Matrix, list[str]]:
        """(A, u) of each step, in chunks; behind the last step nothing changes."""
        make, rows, axis = self._make, self._rows, self._outside.found.scan.axis
        decays: Matrix = []
        inputs = []
        for place, own in zip(group.carries, group.parts or (), strict=True):
            line: list[str | None] = []
            for other in group.carries:
                terms = [self._outside.product(p) for carry, p in own.decays if carry == other]
                if not terms and other != place:
                    line.append(None)
                    continue
                fill = 1.0 if other == place else 0.0
                line.append(rows.split(make.spread(make.total(terms), [axis]), fill))
            decays.append(line)
            terms = [self._outside.product(p) for p in own.inputs]
            inputs.append(rows.split(make.spread(make.total(terms), [axis]), 0.0))
        return decays, inputs

    def _solved(self, decays: Matrix, inputs: list[str]) -> tuple[list[str], list[str]]:
        make, rows = self._make, self._rows
        size = rows.row.size
        assert isinstance(size, int)
        by = 1
        while by < size:
            above = [
                [
                    None if a is None else rows.shifted(a, by, 1.0 if p == q else 0.0)
                    for q, a in enumerate(line)
                ]
                for p, line in enumerate(decays)
            ]
            earlier: list[str | None] = [rows.shifted(u, by, 0.0) for u in inputs]
            inputs = [
                make.total([u, *_applied(make, line, earlier)])
                for u, line in zip(inputs, decays, strict=True)
            ]
            decays = [
                [_sum(make, line, [other[q] for other in above]) for q in range(len(line))]
                for line in decays
            ]
            by *= 2
        return self._between(decays, inputs)

    def _between(self, decays: Matrix, inputs: list[str]) -> tuple[list[str], list[str]]:
        """From chunk to chunk, then each row from the start of its chunk."""
        make, rows = self._make, self._rows
        count = len(inputs)
        ends = [self._end(a) for line in decays for a in line if a is not None]
        ends += [self._end(u) for u in inputs]

        def step(inner: Maker, old: list[str], given: list[str]) -> tuple[list[str], list[str]]:
            rest = iter(given)
            lines = [[None if a is None else next(rest) for a in line] for line in decays]
            new = [
                inner.total([*_applied(inner, line, [*old]), u])
                for line, u in zip(lines, given[len(given) - count :], strict=True)
            ]
            return new, list(old)

        starts = []
        for name in self._names:
            axes = self._outside.found.body.node(name).axes
            starts.append((self._outside.operands[name], axes))
        last, before = rows.joined(starts, ends, step)
        whole = []
        for line, u, name in zip(decays, inputs, self._names, strict=True):
            value = rows.merge(make.total([*_applied(make, line, [*before]), u]))
            whole.append(make.spread(value, self._outside.found.body.node(name).axes))
        return last, whole

    def _end(self, name: str) -> str:
        """The last row of each chunk."""
        size = self._rows.row.size
        assert isinstance(size, int)
        how = Select(self._rows.row.name, size - 1)
        return self._make.add(INDEX, IndexAttrs(how), name)


def _applied(make: Maker, line: list[str | None], values: list[str | None]) -> list[str]:
    return [
        make.map("mul", a, value)
        for a, value in zip(line, values, strict=True)
        if a is not None and value is not None
    ]


def _sum(make: Maker, line: list[str | None], values: list[str | None]) -> str | None:
    terms = _applied(make, line, values)
    return make.total(terms) if terms else None
