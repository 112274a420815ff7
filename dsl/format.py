"""A spec in its canonical form: its tree as text again, with the comments where they were."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from . import syntax
from .comments import Comments
from .diagnostics import Collector, SpecError
from .expression_text import expression
from .layout import STEP, Pieces, lines
from .parser import parse
from .statement_text import head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .source import Source
    from .syntax import Tree


def format_spec(source: Source) -> str:
    """The canonical text of a spec; a SpecError if it has mistakes of syntax."""
    collector = Collector()
    spec = parse(source, collector)
    if spec is None:
        raise SpecError(collector.diagnostics)
    writer = _Writer(source)
    writer.file(spec.statements)
    return "".join(f"{line}\n" for line in writer.out)


class _Writer:
    """Writes the lines of one spec, taking its comments in as it passes them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.comments = Comments(source)
        self.out: list[str] = []
        self.gap: bool | None = False  # a blank line comes next; None: where the author has one

    def file(self, statements: Sequence[Tree]) -> None:
        end = len(self.source.text)
        for node, after in pairwise([*statements, None]):
            assert node is not None
            self.lead(node.span.start, 0)
            self.statement(node, 0, after.span.start if after else end)
            self.gap = None if after is None or _may_touch(node, after) else True
        self.lead(end, 0)

    def suite(self, steps: Sequence[Tree], indent: int, limit: int) -> None:
        """The steps of a suite and the comments at its end; what follows starts at `limit`."""
        self.gap = False
        for step, after in pairwise([*steps, None]):
            assert step is not None
            self.lead(step.span.start, indent)
            self.statement(step, indent, after.span.start if after else limit)
        for comment in self.comments.tail(limit, steps[0].span.column - 1):
            self.space(comment.start)
            self.out.append(" " * indent + comment.text)

    def statement(self, node: Tree, indent: int, limit: int) -> None:
        """A statement with all that belongs to it."""
        self.space(node.span.start)
        body = _body(node)
        match node:
            case syntax.Branch():
                self.branch(node, indent, limit)
            case syntax.Doc(text):
                self.out += _doc(text, indent)
                self.out[-1] += self.comments.beside(node.span.end)
            case syntax.Unbuilt():
                self.comments.before(node.span.end)
                self.as_written(node.span.start, node.span.end, indent)
            case _ if body:
                self.line(head(node), node.span.start, self.header_end(body), indent)
                self.suite(body, indent + STEP, limit)
            case _:
                self.line(head(node), node.span.start, node.span.end, indent)

    def branch(self, node: syntax.Branch, indent: int, limit: int) -> None:
        """`if` with its `elif`s and its `else`."""
        starts = [node.span.start]
        for (_, steps), (condition, following) in pairwise(node.cases):
            word, end = "else", self.header_end(following)
            if condition is not None:
                word, end = "elif", condition.span.start
            starts.append(self.source.text.rindex(word, steps[-1].span.end, end))
        for place, (condition, steps) in enumerate(node.cases):
            if place:
                self.lead(starts[place], indent)
                self.space(starts[place])
            word = "elif " if place else "if "
            header: Pieces = [word, *expression(condition), ":"] if condition else ["else:"]
            self.line(header, starts[place], self.header_end(steps), indent)
            self.suite(steps, indent + STEP, [*starts, limit][place + 1])

    def line(self, pieces: Pieces, start: int, end: int, indent: int) -> None:
        """What stands from `start` to `end`: kept as written if there is a comment inside."""
        if self.comments.within(end):
            self.as_written(start, end, indent)
            return
        self.out += lines(pieces, indent)
        self.out[-1] += self.comments.beside(end)

    def as_written(self, start: int, end: int, indent: int) -> None:
        """The author's own lines, moved as one to where they belong."""
        first, *rest = self.source.text[start:end].split("\n")
        depths = [len(line) - len(line.lstrip(" \t")) for line in rest if line.strip()]
        shift = max(indent - self.source.position(start)[1] + 1, -min(depths, default=0))
        self.out.append(" " * indent + first.rstrip())
        for line in rest:
            text = line.strip()
            depth = len(line) - len(line.lstrip(" \t"))
            self.out.append(" " * (depth + shift) + text if text else "")
        self.out[-1] += self.comments.beside(end)

    def lead(self, offset: int, indent: int) -> None:
        """The comments in front of what stands at an offset."""
        for comment in self.comments.before(offset):
            self.space(comment.start)
            self.out.append(" " * indent + comment.text)

    def space(self, offset: int) -> None:
        """A blank line, if one belongs in front of what stands at an offset."""
        gap, self.gap = self.gap, None
        if gap is None:
            gap = not self.source.line(self.source.position(offset)[0] - 1).strip()
        if gap and self.out:
            self.out.append("")

    def header_end(self, steps: Sequence[Tree]) -> int:
        """Where the header of a suite ends: after its `:`."""
        return self.comments.code_before(steps[0].span.start)


def _body(node: Tree) -> Sequence[Tree] | None:
    match node:
        case syntax.Weights():
            return node.maps  # none where a mapping is taken over
        case syntax.During():
            return None if node.short else node.body
        case syntax.Sweep():
            return (*node.body, node.result)
        case (
            syntax.Block()
            | syntax.Intervention()
            | syntax.Experiment()
            | syntax.Train()
            | syntax.Calibrate()
            | syntax.Phase()
            | syntax.Loop()
            | syntax.Scan()
            | syntax.StudyScan()
        ):
            return node.body
    return None


def _may_touch(node: Tree, after: Tree) -> bool:
    """Whether two statements of a file may stand without a blank line between them."""
    if isinstance(node, syntax.Weights) and isinstance(after, syntax.Weights):
        return node.maps is None and after.maps is None
    return type(node) is type(after) and isinstance(node, syntax.Use | syntax.Data)


def _doc(text: str, indent: int) -> list[str]:
    first, *rest = text.split("\n")
    margin = " " * indent
    if not rest:
        # a quote at the end would be taken for one of the three that close the text
        return [f'{margin}"""{first}{" " if first.endswith(chr(34)) else ""}"""']
    depths = [len(line) - len(line.lstrip(" ")) for line in rest if line]
    beside = not first.startswith(" ") and not min(depths, default=0)
    opening = [f'{margin}"""{first}'] if beside else [f'{margin}"""', f"{margin}{first}"]
    return [*opening, *(f"{margin}{line}" if line else "" for line in rest), f'{margin}"""']
