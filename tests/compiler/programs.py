"""Graphs of specs, and what is shown of them whatever their nodes are called."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from neuraxis.compiler.build import build
from neuraxis.compiler.show import show
from neuraxis.dsl.check import check_text

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
