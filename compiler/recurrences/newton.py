"""Newton's method over all steps of a recurrence whose elements see few others.

A guess of all states is put through the step, and the step is made linear there. What is left is
an elementwise linear recurrence, which has a parallel form; its solution is the next guess. Each
turn squares the error, and after as many turns as there are steps the guess is exact whatever it
was (Lim et al. 2024, DEER; Danieli et al. 2025, ParaRNN). The gradient of one turn from the
solution is that of the recurrence: nothing has to flow through the guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...dsl.core import Axis, Body, DType, names
from ...dsl.derivatives import pushforward
from ...dsl.ops import BACKWARD, INPUT, REDUCE, InputAttrs, ReduceAttrs, ScanAttrs
from ..lift import fitted
from .algebra import Maker
from .apart import apart, apart_scan, short
from .classify import Kind, classify
from .doubling import Doubled
from .forms import choices
from .outside import Outside
from .parallel import put_in_place, solved_for
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import Node
    from ..context import Context
    from ..graph import Edit, Graph
    from .classify import Group, Recurrence

MADE_BY = "newton"


@dataclass(frozen=True)
class Turn:
    """One turn of the method as a program, whose inputs are besides those of the graph `guesses`.

    Nodes of it are `results`, those that the graph had; `after`, the next guesses; `residual`, by
    how much a step of the guess misses the next one at most, over 1 and the largest number of the
    guess; `starts`, first guesses, which need none.
    """

    graph: Graph
    guesses: tuple[str, ...]
    results: tuple[str, ...]
    after: tuple[str, ...]
    residual: str
    starts: tuple[str, ...]


def solvable(scan: ScanAttrs) -> bool:
    """Whether a recurrence has carries for Newton's method."""
    if not scan.carries or any(s.node.op is BACKWARD for s in scan.body.steps):
        return False  # a rule for the way back has no tangent
    found = classify(scan)
    taken = short(found)
    if taken:
        scan = apart_scan(scan, taken)
        found = classify(scan)
    return any(_solves(found, scan))


def _solves(found: Recurrence, scan: ScanAttrs) -> list[bool]:
    """For each group of carries whether it is for the method."""
    free = choices(found)
    return [
        group.kind is Kind.SEPARATE
        and not choice.why
        and all(
            found.body.node(name).dtype is DType.FLOAT
            for place in group.carries
            for name in (found.carries[place], scan.body.results[place])
        )
        for group, choice in zip(found.groups, free, strict=True)
    ]


def newton(graph: Graph, name: str, ctx: Context) -> Turn:
    """One turn for a scan of a graph; other groups of its carries are run in their parallel forms.

    Raises ValueError if the scan has no carries for the method.
    """
    with graph.edit() as edit:
        found = _classified(edit, name)
        if taken := short(found):
            name = apart(edit, name, taken)
            found = _classified(edit, name)
        scan = found.scan
        solves = _solves(found, scan)
        if not any(solves):
            raise ValueError(f"%{name} has no carries for Newton's method")
        make = Maker(edit, edit.node(name), MADE_BY)
        outside = Outside(make, found, edit.operands(name), set(graph.sites()))
        rows = Rows(make, scan.axis, ctx.chunk, found.algebra.fresh, reverse=scan.reverse)
        turned: list[_Turned] = []
        for group, choice, solve in zip(found.groups, choices(found), solves, strict=True):
            if solve:
                turned.append(_Turned(outside, rows, group, len(turned)))
                outside.solved.append(turned[-1].solved)
            else:
                outside.solved.append(solved_for(choice.form, outside, rows, group))
        guesses = [guess for own in turned for guess in own.guesses]
        residual = _largest(make, [miss for own in turned for miss in own.misses])
        after = [own.after.read(new) or new for own in turned for new in own.new]
        put_in_place(edit, name, outside, ctx, MADE_BY)
        starts = [start for own in turned for start in own.starts]
        results = edit.results
        edit.set_results([*results, *after, residual, *starts])
    return Turn(edit.graph, tuple(guesses), tuple(results), tuple(after), residual, tuple(starts))


def _classified(edit: Edit, name: str) -> Recurrence:
    scan = edit.node(name).attrs
    assert isinstance(scan, ScanAttrs)
    return classify(scan)


class _Turned:
    """A group of carries: the guesses of their new values, and the solution from there."""

    def __init__(self, outside: Outside, rows: Rows, group: Group, number: int) -> None:
        make, found = outside.make, outside.found
        axis = found.scan.axis
        self.new = [found.scan.body.results[place] for place in group.carries]
        self._make, self._body = make, _part(found.scan.body, self.new)
        names_ = [found.carries[place] for place in group.carries]
        self.guesses = [
            self._guess(found.body.node(name), axis, f"guess.{number}.{at}")
            for at, name in enumerate(names_)
        ]
        first = {name: make.floats(outside.operands[name]) for name in names_}
        old = {
            name: rows.before(guess, first[name])
            for name, guess in zip(names_, self.guesses, strict=True)
        }
        self.starts = [
            make.spread(first[name], make.axes(guess))
            for name, guess in zip(names_, self.guesses, strict=True)
        ]
        inputs = [s.node.name for s in self._body.steps if s.node.op is INPUT]
        given = {name: old.get(name) or outside.value(name) for name in inputs}
        reached = _lifted(make, self._body, given)
        self.misses = [
            make.map("div", _size(make, make.map("sub", f, h)), self._scale(h))
            for f, h in zip(reached, self.guesses, strict=True)
        ]
        slopes = [self._slopes(name, given) for name in names_]
        lines = [[column[p] for column in slopes] for p in range(len(names_))]

        def solution(lines: list[list[str]]) -> Doubled:
            """Of the linear recurrence that goes through what the guess reaches."""
            decays: list[list[str | None]] = []
            constants = []
            for p, line in enumerate(lines):
                pulls = [make.map("mul", a, old[n]) for a, n in zip(line, names_, strict=True)]
                rest = make.map("sub", reached[p], make.total(pulls))
                constants.append(rows.split(make.spread(rest, [axis]), 0.0))
                fills = [1.0 if q == p else 0.0 for q in range(len(line))]
                decays.append(
                    [
                        rows.split(make.spread(a, [axis]), fill)
                        for a, fill in zip(line, fills, strict=True)
                    ]
                )
            return Doubled(outside, rows, group, (decays, constants))

        self.solved = solution(lines)
        self.after = solution([[self._held(a) for a in line] for line in lines])

    def _held(self, slope: str) -> str:
        """A slope of at most 1: at a wrong guess larger ones blow up over many steps. Whatever the
        slopes, what solves the recurrence stays where it is."""
        make = self._make
        return make.map("max", make.map("min", slope, make.const(1.0)), make.const(-1.0))

    def _guess(self, carry: Node, axis: Axis, address: str) -> str:
        axes = (*carry.axes, axis)
        made = self._make.add(INPUT, InputAttrs(names(axes), axes, DType.FLOAT))
        self._make.edit.put(self._make.edit.node(made).at(address))
        return made

    def _slopes(self, carry: str, given: Mapping[str, str]) -> list[str]:
        """How the new values change with an old one, element by element."""
        pushed = pushforward(self._body, [carry])
        tangent = [s.node.name for s in pushed.steps if s.node.op is INPUT][-1]
        return _lifted(self._make, pushed, {**given, tangent: self._make.const(1.0)})

    def _scale(self, guess: str) -> str:
        return self._make.map("add", _size(self._make, guess), self._make.const(1.0))


def _size(make: Maker, name: str) -> str:
    """The largest number, whatever its sign."""
    over = tuple(names(make.axes(name)))
    size = make.map("abs", name)
    return make.add(REDUCE, ReduceAttrs("max", over), size) if over else size


def _largest(make: Maker, values: list[str]) -> str:
    found = values[0]
    for value in values[1:]:
        found = make.map("max", found, value)
    return found


def _lifted(make: Maker, body: Body, given: Mapping[str, str]) -> list[str]:
    """The results of a body for all steps at once, from its inputs."""
    known = dict(given)
    for step in _part(body, body.results).steps:
        node = step.node
        if node.name in known:
            continue
        operands = [known[name] for name in step.operands]
        attrs = fitted(node.attrs, [make.edit.node(name) for name in operands])
        known[node.name] = make.add(node.op, attrs, *operands)
    return [known[name] for name in body.results]


def _part(body: Body, results: Sequence[str]) -> Body:
    """What some of a body's values need."""
    wanted = set(results)
    kept = []
    for step in reversed(body.steps):
        if step.node.name in wanted:
            wanted.update(step.operands)
            kept.append(step)
    return Body(tuple(reversed(kept)), tuple(results))
