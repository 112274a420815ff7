"""Graphs of specs, and what is shown of them whatever their nodes are called."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from neuraxis.compiler.build import build
from neuraxis.compiler.graph import Edit
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import Axis, DType, names
from neuraxis.testing.drawing import SPAN

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph


def graph_of(text: str) -> Graph:
    """The graph of the one model of a spec."""
    checked = check_text("test.nax", textwrap.dedent(text).lstrip("\n"))
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    (model,) = checked.models.values()
    return build(model)


def shown(graph: Graph) -> str:
    """The shown graph without its inputs and parameters, nodes numbered in their order."""
    numbers: dict[str, str] = {}
    lines = []
    for line in show(graph).splitlines():
        line = re.sub(r"%(\w+)", lambda m: numbers.setdefault(m[1], f"%{len(numbers)}"), line)
        if not re.search(r"= (input|param)\(", line):
            lines.append(line)
    return "\n".join(lines)


class Draft:
    """A program written operation by operation; numbers stand for constants."""

    def __init__(self) -> None:
        self.edit = Edit({}, {}, ())

    def input(self, name: str, *axes: Axis, dtype: DType = DType.FLOAT) -> str:
        return self.add(ops.INPUT, ops.InputAttrs(names(axes), axes, dtype), site=name)

    def add(
        self, op: ops.OpDef, attrs: ops.Attrs, *operands: str | float, site: str | None = None
    ) -> str:
        read = [self.const(o) if not isinstance(o, str) else o for o in operands]
        return self.edit.add(op, attrs, read, span=SPAN, site=site, made_by="test")

    def const(self, number: float) -> str:
        return self.add(ops.CONST, ops.ConstAttrs(number))

    def map(self, fn: str, *operands: str | float, site: str | None = None) -> str:
        return self.add(ops.MAP, ops.MapAttrs(fn), *operands, site=site)

    def iota(self, axis: Axis) -> str:
        return self.add(ops.IOTA, ops.IotaAttrs(axis))

    def rename(self, x: str, *pairs: tuple[str, tuple[Axis, ...]], site: str | None = None) -> str:
        attrs = ops.RenameAttrs(tuple((tuple(old.split()), new) for old, new in pairs))
        return self.add(ops.RENAME, attrs, x, site=site)

    def index(self, how: Any, *operands: str) -> str:
        return self.add(ops.INDEX, ops.IndexAttrs(how), *operands)

    def give(self, *results: str) -> Graph:
        self.edit.set_results(results)
        graph = self.edit.done()
        verify(graph, "test")
        return graph
