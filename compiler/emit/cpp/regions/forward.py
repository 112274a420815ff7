"""From a region to the kernel that computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...unsupported import UnsupportedError
from ..axes import analysed
from ..borders import Borders
from ..memory import Sizes
from ..spans import Span
from .rows import in_rows, laid_out

if TYPE_CHECKING:
    from .....dsl.core import Body
    from ..kernel import Kernel


def forward(body: Body, vector: str | None = None) -> Kernel:
    """The kernel of a body, with this axis as the last in memory if it is known.

    Its rows lie along the axes that all values in it have and that nothing mixes.

    Raises UnsupportedError where there is none.
    """
    size, borders = Sizes(), Borders()
    span = Span(body, 0, size)
    made = [own.node for own in span.statements.found]
    axes = in_rows(analysed([span.flow], (), made, span.statements.found, vector=vector))
    if not axes.lanes:
        raise UnsupportedError("its results share no axis along which nothing mixes")
    memory = span.settled(axes)
    for node in span.inputs:
        memory.places[node.name] = borders.add(memory, "fixed", node.axes, node.dtype)[1]
    for at, node in enumerate(span.outputs):
        place = borders.add(memory, "output", node.axes, node.dtype)[1]
        memory.outs.setdefault(span.result(at), []).append(place)
    return laid_out("A region", memory, borders, borders.pointers, span.write().lines)
