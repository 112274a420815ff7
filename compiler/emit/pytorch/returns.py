"""Writes values that have a rule for the way back: a function that the gradient goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.core import DType, names
from ....dsl.items import body_inputs
from ....dsl.ops import BackwardAttrs
from ...lift import with_inputs
from ..flow import flow
from ..recognise.selection import plan_body
from .layout import Value, squeezed
from .writer import Writer

if TYPE_CHECKING:
    from ..forms import Piece
    from .layout import Layout


def write_backward(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The value, and before it the function that is its rule."""
    node, attrs = piece.node, piece.node.attrs
    assert isinstance(attrs, BackwardAttrs)
    given = [squeezed(w.tensor(value)) for value in w.several(piece.reads, wish)]
    axes = {axis.name: axis for axis in node.axes}
    order = [*given[0].axes, *(axis for axis in axes if axis not in given[0].axes)]
    given[0] = w.exactly(given[0], [axes[axis] for axis in order])
    types = [(w.flow.nodes[name].axes, w.flow.nodes[name].dtype) for name in piece.reads]
    body = with_inputs(attrs.body, [(node.axes, node.dtype), *types])
    found = flow(body, w.flow.titles)
    inner = Writer(
        found,
        plan_body(found, frozenset()),
        w.rule,
        w.parameter,
        lines=w.lines,
        names=w.names,
        scope=w.scope,
        outer=w,
    )
    words = ["grad", "it", *("other" for _ in given[1:])]
    arguments = []
    for own, value, word in zip(body_inputs(body), [given[0], *given], words, strict=True):
        arguments.append(w.names.take(word))
        inner.values[own.name] = Value(arguments[-1], value.layout, own.dtype)
    rule = w.names.take("rule")
    w.line(f"def {rule}({', '.join(arguments)}):", node)
    w.lines.depth += 1
    result = inner.cast(inner.tensor(inner.peek(body.results[0])), DType.FLOAT)
    result = inner.exactly(squeezed(result), [axes[axis] for axis in order])
    w.line(f"return {result.text}", node)
    w.lines.depth -= 1
    others = "".join(f", {value.text}" for value in given[1:])
    text = f"{w.helper('with_rule')}({given[0].text}, {rule}{others})"
    return Value(text, names(tuple(axes[axis] for axis in order)), DType.FLOAT)
