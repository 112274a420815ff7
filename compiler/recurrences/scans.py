"""Makes scans from the new values of their carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import DType, names, without
from ...dsl.items import item_attrs
from ...dsl.ops import INPUT, ITEM, SCAN, InputAttrs, ScanAttrs
from ..graph import Edit
from .algebra import Maker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...dsl.core import Axes, Axis

    Step = Callable[[Maker, list[str], list[str]], tuple[list[str], list[str]]]


def scan(
    make: Maker,
    axis: Axis,
    carries: Sequence[tuple[str, Axes]],
    steps: Sequence[str],
    step: Step,
) -> tuple[list[str], list[str]]:
    """The last carries, and what each step gives out.

    `carries` are initial values, with the axes that the carry has. `step` is given a maker of nodes
    of the body, the carries and the per-step values there; it gives the new carries, and outputs.
    """
    edit = Edit({}, {}, ())
    inner = Maker(edit, make.cause, make.made_by)
    own = [inner.add(INPUT, InputAttrs(names(axes), axes, DType.FLOAT)) for _, axes in carries]
    present = []
    for name in steps:
        axes = without(make.axes(name), [axis.name])
        dtype = make.edit.node(name).dtype
        present.append(inner.add(INPUT, InputAttrs(names(axes), axes, dtype)))
    new, outputs = step(inner, own, present)
    edit.set_results([*new, *outputs])
    attrs = ScanAttrs(axis, edit.done().to_body(), len(carries), len(steps))
    made = make.add(SCAN, attrs, *(init for init, _ in carries), *steps)
    items = [make.add(ITEM, item_attrs(attrs, at), made) for at in range(len(new) + len(outputs))]
    return items[: len(new)], items[len(new) :]
