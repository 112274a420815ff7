"""From what the parser found to nodes: files, blocks, interventions and data."""

from __future__ import annotations

import inspect
from typing import Any

from lark import Token

from . import syntax
from .diagnostics import Slug
from .expression_nodes import Children, ExpressionNodes, Several, end_of, several, start_of
from .source import Span
from .syntax import Tree


class StatementNodes(ExpressionNodes):
    """Builds all that may stand at the top of a file but experiments and training."""

    def over_all(self, c: Children) -> Span:
        """Where a statement stands, without the end of its line."""
        last = next(part for part in reversed(c) if part is not None and not _is_line_end(part))
        return self.span(c[0], last)

    def unbuilt(self, feature: str, c: Children) -> syntax.Unbuilt:
        """Something reserved, with its nodes as parts, and its words but the first."""
        return syntax.Unbuilt(feature, tuple(self._parts(c[1:])), span=self.over_all(c))

    def _parts(self, c: Children) -> list[Tree]:
        parts: list[Tree] = []
        for part in c:
            if isinstance(part, Several):
                parts += self._parts(part)
            elif isinstance(part, Tree):
                parts.append(part)
            elif isinstance(part, Token) and (part.isalnum() or part.type == "NAME"):
                parts.append(syntax.Name(part.value, span=self.span(part, part)))
        return parts

    def steps(self, c: Children) -> Several:
        """What stands in a suite: without the tokens that mark it."""
        inside = c[2:-1]
        return several(inside, start_of(inside[0]), end_of(inside[-1]))

    trials = maps = lessons = proofs = counts = steps

    def start(self, c: Children) -> syntax.Spec:
        """A whole file."""
        statements = tuple(part for part in c if not _is_line_end(part))
        return syntax.Spec(statements, span=Span(self.source, 0, len(self.source.text)))

    def doc(self, c: Children) -> syntax.Doc:
        '''`"""text"""`, without the indentation that it shares.'''
        lines = c[0].value[3:-3].split("\n")
        text = inspect.cleandoc("\n".join(line.rstrip() for line in lines))
        return syntax.Doc(text, span=self.span(c[0], c[0]))

    # ---- names from other files

    def use(self, c: Children) -> syntax.Use:
        """`use models.gpt2: gpt as lm`."""
        path = tuple(part.value for part in c[1])
        return syntax.Use(path, tuple(c[3:-1:2]), span=self.over_all(c))

    def used(self, c: Children) -> syntax.Used:
        """`gpt as lm`."""
        return syntax.Used(c[0].value, (c[2] or c[0]).value, span=self.over_all(c))

    path = ExpressionNodes.list_of

    # ---- blocks and models

    def block(self, c: Children) -> syntax.Block:
        """`block name[axes](params) -> results:`."""
        kind, name, _, axes, _, _, params, _, _, results, _, body = c
        return syntax.Block(
            kind.value,
            name.value,
            tuple(axes or ()),
            tuple(params or ()),
            tuple(map(tuple, results)),
            tuple(body),
            span=self.over_all(c),
        )

    params = results = ExpressionNodes.list_of

    def param_decl(self, c: Children) -> syntax.Param:
        """`mask[t, s]: bool = true`."""
        name, axes, _, kind, _, default = c
        return syntax.Param(
            name.value, axes_or_none(axes), kind and kind.value, default, span=self.over_all(c)
        )

    def axes(self, c: Children) -> Several:
        """`[t of b, d]`."""
        return several(filter(None, c[1:-1:2]), start_of(c[0]), end_of(c[-1]))

    def axis_decl(self, c: Children) -> syntax.AxisDecl:
        """`t`, `t of b`."""
        return syntax.AxisDecl(c[0].value, c[2] and c[2].value, span=self.over_all(c))

    def pack_decl(self, c: Children) -> syntax.AxisDecl:
        """`*i`."""
        return syntax.AxisDecl(c[1].value, pack=True, span=self.over_all(c))

    def suite(self, c: Children) -> Several:
        """The steps of a block, where every name is assigned whole."""
        steps = self.steps(c)
        for step in steps:
            for target in step.targets if isinstance(step, syntax.Assign) else ():
                if not isinstance(target, syntax.Name):
                    message = f"in a block whole names are assigned, not `{target.span.text}`"
                    self.report(Slug.SYNTAX, message, target.span)
        return steps

    def drawn(self, c: Children) -> syntax.Declare:
        """`param w[i, o] ~ normal(0, 0.02)`."""
        kind, name, axes, _, like, _, value, _ = c
        return syntax.Declare(
            kind.value,
            name.value,
            axes_or_none(axes),
            value,
            drawn=True,
            like=like and like.value,
            span=self.over_all(c),
        )

    def started(self, c: Children) -> syntax.Declare:
        """`state m[c] = 0`."""
        kind, name, axes, _, value, _ = c
        return syntax.Declare(
            kind.value, name.value, axes_or_none(axes), value, drawn=False, span=self.over_all(c)
        )

    def carry(self, c: Children) -> syntax.Carry:
        """`carry S[h, k, v] = 0`."""
        return syntax.Carry(tuple(c[1:-3:2]), c[-2], span=self.over_all(c))

    def carried(self, c: Children) -> syntax.Carried:
        """`S[h, k, v]`."""
        return syntax.Carried(c[0].value, axes_or_none(c[1]), span=self.over_all(c))

    def assign(self, c: Children) -> syntax.Assign:
        """`a, b = expr`."""
        for target in c[:-3:2]:
            if not _is_site(target):
                message = f"`{target.span.text}` is a value, and values are not assigned to"
                self.report(Slug.SYNTAX, message, target.span)
        return syntax.Assign(tuple(c[:-3:2]), tuple(c[-2]), span=self.over_all(c))

    def returned(self, c: Children) -> syntax.Return:
        """`return a, b`."""
        return syntax.Return(tuple(c[1]), span=self.over_all(c))

    def loop(self, c: Children) -> syntax.Loop:
        """`repeat layer * L:`."""
        kind, name, _, count, _, body = c
        return syntax.Loop(kind.value, name.value, count, tuple(body), span=self.over_all(c))

    def share_one(self, c: Children) -> syntax.Shared:
        """`share enc = encoder[m = 32]`."""
        return syntax.Shared(c[1].value, c[3], span=self.over_all(c))

    def scan(self, c: Children) -> syntax.Scan:
        """`scan t reversed:`."""
        _, axis, backwards, _, count, _, body = c
        return syntax.Scan(
            axis.value, backwards is not None, count, tuple(body), span=self.over_all(c)
        )

    def branch(self, c: Children) -> syntax.Branch:
        """`if`, `elif` and `else`."""
        cases = [(c[1], tuple(c[3])), *(tuple(case) for case in c[4:] if case)]
        return syntax.Branch(tuple(cases), span=self.over_all(c))

    def elif_(self, c: Children) -> Several:
        """`elif condition:`."""
        return several((c[1], tuple(c[3])), start_of(c[0]), end_of(c[3]))

    def otherwise(self, c: Children) -> Several:
        """`else:`."""
        return several((None, tuple(c[2])), start_of(c[0]), end_of(c[2]))

    def backward(self, c: Children) -> syntax.Rule:
        """`backward y = expr`."""
        return syntax.Rule(c[1], c[3], span=self.over_all(c))


def _is_line_end(part: Any) -> bool:
    return isinstance(part, Token) and part.type == "_NL"


def axes_or_none(axes: Several | None) -> tuple[syntax.AxisDecl, ...] | None:
    """Axes as a node holds them: none written is not the same as `[]`."""
    return None if axes is None else tuple(axes)


def _is_site(target: Tree) -> bool:
    """Whether this names something, as `loss` and `layer[0].attn.w` do."""
    while isinstance(target, syntax.Attr | syntax.Index):
        target = target.base
    return isinstance(target, syntax.Name)
