"""The largest of each window, written as its position and the value there.

That is how `maxpool` is said, so that the position is a site. When nobody reads it, it is a pooling
again. Whether a position is the one of the maximum is arithmetic on indices, which is not taken
apart but computed, for two sizes of each axis, and compared.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ....dsl import sizes
from ....dsl.core import DType, names
from ....dsl.ops import Gather, IndexAttrs, IotaAttrs, MapAttrs, ReduceAttrs, RenameAttrs
from ...reference.scalars import apply
from ...reference.values import NUMPY, NamedArray
from ..forms import Pool
from .windows import slides_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....dsl.core import Node
    from ..forms import Slide
    from .patterns import View

LENGTHS = ((7, 10, 12), (9, 8, 11))  # of run-time axes, while positions are compared
PICK = "*pick"


def picked(view: View, root: Node) -> tuple[Pool, tuple[str, ...], frozenset[str]] | None:
    """The form of a value at the position of a window's maximum, and its inner values."""
    attrs = root.attrs
    if not isinstance(attrs, IndexAttrs) or not isinstance(attrs.how, Gather) or attrs.how.fill:
        return None
    flat, at = view.flow.reads[root.name]
    arithmetic: set[str] = set()
    choice = _choice(view, at, arithmetic)
    if choice is None or root.dtype is not DType.FLOAT:
        return None
    reduce = view.flow.nodes[choice].attrs
    assert isinstance(reduce, ReduceAttrs)
    (windowed,) = view.flow.reads[choice]
    taps, below = _merged(view, windowed, reduce.axes)
    slides, base, inner = slides_of(view, below, -math.inf)
    axes, source = _merged(view, flat, (attrs.how.axis,))
    if not slides or source != base or [s.tap.name for s in slides] != [*taps]:
        return None
    if [slide.axis for slide in slides] != [*axes]:
        return None
    if not all(_agrees(view, at, choice, slides, lengths) for lengths in LENGTHS):
        return None
    inner = inner | arithmetic | {choice}
    return Pool(slides, "max"), (base,), inner | ({windowed, flat} - {base})


def _choice(view: View, name: str, inside: set[str]) -> str | None:
    """The one argmax that a position is computed of, through pointwise functions of ints."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        attrs = view.flow.nodes[name].attrs
        if name in view.flow.closed or name in inside:
            continue
        if not view.opens(name):
            return None
        if isinstance(attrs, ReduceAttrs) and attrs.fn == "argmax":
            found.add(name)
        elif isinstance(attrs, MapAttrs):
            inside.add(name)
            waiting += view.flow.reads[name]
        else:
            return None
    return found.pop() if len(found) == 1 else None


def _merged(view: View, name: str, axes: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The axes that were merged into one, and the value before; else the same."""
    attrs = view.flow.nodes[name].attrs
    if len(axes) == 1 and isinstance(attrs, RenameAttrs) and len(attrs.pairs) == 1:
        ((old, new),) = attrs.pairs
        if names(new) == axes:
            return old, view.flow.reads[name][0]
    return axes, name


def _agrees(
    view: View, at: str, choice: str, slides: tuple[Slide, ...], lengths: tuple[int, ...]
) -> bool:
    """Whether the position is that of tap number `PICK`, with run-time axes of these lengths."""
    symbols = sorted({s for slide in slides for s in sizes.symbols(slide.size)})
    known = {s: lengths[n % len(lengths)] for n, s in enumerate(symbols)}
    try:
        found = _computed(view, at, choice, slides, known)
        wanted = _wanted(slides, known)
    except (KeyError, ValueError, ZeroDivisionError):
        return False
    order = wanted.axes
    if not set(found.axes) <= set(order):
        return False
    return bool(np.array_equal(found.spread(order, wanted.sizes), wanted.array))


def _count(slides: tuple[Slide, ...]) -> int:
    return math.prod(int(slide.tap.size) for slide in slides if isinstance(slide.tap.size, int))


def _computed(
    view: View, name: str, choice: str, slides: tuple[Slide, ...], known: Mapping[str, int]
) -> NamedArray:
    """The position as the program computes it, for every place and every tap."""
    flow = view.flow
    if name == choice:
        return NamedArray((PICK,), np.arange(_count(slides)))
    node = flow.nodes[name]
    if name in flow.numbers:
        return NamedArray((), np.asarray(flow.numbers[name], NUMPY[node.dtype]))
    if name in flow.lengths:
        return NamedArray((), np.asarray(sizes.evaluate(flow.lengths[name], known)))
    match node.attrs:
        case IotaAttrs(axis=axis):
            return NamedArray((axis.name,), np.arange(sizes.evaluate(axis.size, known)))
        case MapAttrs(fn=fn):
            read = [_computed(view, o, choice, slides, known) for o in flow.reads[name]]
            return apply(fn, read, node.dtype)
    raise ValueError(name)


def _wanted(slides: tuple[Slide, ...], known: Mapping[str, int]) -> NamedArray:
    """The position of each tap, of the axes as one, the first as major."""
    total = NamedArray((), np.asarray(0))
    left = NamedArray((PICK,), np.arange(_count(slides)))
    rest = _count(slides)
    for slide in slides:
        assert isinstance(slide.tap.size, int)
        rest //= slide.tap.size
        tap = NamedArray((PICK,), left.array // rest)
        left = NamedArray((PICK,), left.array % rest)
        place = NamedArray(
            (slide.out.name,), np.arange(sizes.evaluate(slide.out.size, known)) * slide.stride
        )
        size = NamedArray((), np.asarray(sizes.evaluate(slide.size, known)))
        step = NamedArray((PICK,), tap.array * slide.step + slide.offset)
        own = apply("add", [place, step], DType.INT)
        total = apply("add", [apply("mul", [total, size], DType.INT), own], DType.INT)
    return total
