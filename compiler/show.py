"""Graphs as text: one line a node, the same for equal graphs; and as a drawing (dot)."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING

from ..dsl import sizes
from ..dsl.core import Axis, Body, DType
from ..dsl.ops import AlongAttrs, MapAttrs, ReduceAttrs
from .graph import Graph

if TYPE_CHECKING:
    from ..dsl.core import Node
    from ..dsl.ops import Attrs


def show(graph: Graph | Body) -> str:
    """`%name[axes] = op(%a, %b) {attrs}  # site` for each node, then the results.

    A dtype other than float stands after the axes. Bodies follow their node, indented.
    """
    body = graph.to_body() if isinstance(graph, Graph) else graph
    return "\n".join(_lines(body, "")) + "\n"


def _lines(body: Body, indent: str) -> list[str]:
    lines = []
    for step in body.steps:
        node = step.node
        read = ", ".join(f"%{operand}" for operand in step.operands)
        attrs, bodies = _attrs(node.attrs)
        lines.append(
            f"{indent}%{node.name}{_axes(node.axes)}"
            f"{'' if node.dtype is DType.FLOAT else f': {node.dtype}'} = {node.op.name}({read})"
            f"{f' {{{attrs}}}' if attrs else ''}{'' if node.site is None else f'  # {node.site}'}"
        )
        for inner in bodies:
            lines += _lines(inner, indent + "    ")
    results = ", ".join(f"%{name}" for name in body.results)
    return [*lines, f"{indent}return {results}".rstrip()]


def _attrs(attrs: Attrs) -> tuple[str, list[Body]]:
    """The attributes that are not what they are by default; bodies are given apart."""
    parts, bodies = [], []
    for own in fields(attrs):
        value = getattr(attrs, own.name)
        if isinstance(value, Body):
            bodies.append(value)
        elif own.default is MISSING or value != own.default:
            parts.append(f"{own.name}={_value(value)}")
    return ", ".join(parts), bodies


def _value(value: object) -> str:
    match value:
        case Axis():
            return _axes((value,))[1:-1]
        case sizes.Poly():
            return sizes.show(value)
        case tuple():
            return f"({', '.join(_value(part) for part in value)})"
        case str():
            return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        own = ", ".join(f"{f.name}={_value(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__.lower()}({own})"
    return repr(value)


def _axes(axes: tuple[Axis, ...]) -> str:
    """`[b, t=8]`: a run-time size that is called as its axis is not said."""
    parts = [a.name if a.size == sizes.symbol(a.name) else str(a) for a in axes]
    return f"[{', '.join(parts)}]"


def dot(graph: Graph) -> str:
    """A drawing for Graphviz: a box a node, an arrow a reading, calls and turns as frames."""
    lines = ["digraph {", '    node [shape=box, fontname="monospace"];']
    scopes: dict[str, list[str]] = {}
    for name in graph.in_order():
        scopes.setdefault(graph.node(name).scope, []).append(name)
    for number, (scope, inside) in enumerate(scopes.items()):
        if scope:
            lines += [f"    subgraph cluster_{number} {{", f"        label={_quoted(scope)};"]
        indent = "        " if scope else "    "
        for name in inside:
            border = ", penwidth=2" if name in graph.results else ""
            lines.append(f"{indent}{_quoted(name)} [label={_quoted(_label(graph, name))}{border}];")
        if scope:
            lines.append("    }")
    for name in graph.in_order():
        operands = graph.operands(name)
        for position, operand in enumerate(operands):
            label = f" [label={position}]" if len(operands) > 1 else ""
            lines.append(f"    {_quoted(operand)} -> {_quoted(name)}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _label(graph: Graph, name: str) -> str:
    node = graph.node(name)
    return f"{node.site or name}{_axes(node.axes)}\n{called(node)}"


def called(node: Node) -> str:
    """What a node does, in a word: its function, if its operation has several."""
    match node.attrs:
        case MapAttrs(fn=fn):
            return fn
        case ReduceAttrs(fn=fn, axes=axes) | AlongAttrs(fn=fn, axes=axes):
            return f"{fn}[{', '.join(axes)}]"
    return node.op.name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
