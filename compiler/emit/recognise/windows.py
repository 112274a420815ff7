"""Convolutions and poolings: a contraction or a reduction over windows into a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl.ops import ContractAttrs, IndexAttrs, ReduceAttrs, Window
from ..forms import Convolution, Pool, Slide

if TYPE_CHECKING:
    from ....dsl.core import Node
    from .patterns import View

MOST = 3  # axes that PyTorch's convolutions and poolings slide over


def convolution(
    view: View, root: Node
) -> tuple[Convolution, tuple[str, ...], frozenset[str]] | None:
    """The form of a contraction of windows with a weight, what it reads, and its inner values."""
    if not isinstance(root.attrs, ContractAttrs):
        return None
    read = view.flow.reads[root.name]
    if len(read) != 2:
        return None
    for windowed, weight in (read, read[::-1]):
        slides, base, inner = slides_of(view, windowed, 0.0)
        if not slides:
            continue
        axes = view.flow.nodes[base].axis_names
        w = view.flow.nodes[weight].axis_names
        taps = {slide.tap.name for slide in slides}
        outs = {slide.out.name for slide in slides}
        channels = tuple(axis for axis in root.attrs.axes if axis not in taps)
        over = {slide.axis for slide in slides}
        clear = not taps & axes and not outs & w and not over & w - outs and taps <= w
        if clear and taps <= set(root.attrs.axes) and set(channels) <= (axes - over) & w:
            return Convolution(slides, channels), (base, weight), inner
    return None


def pool(view: View, root: Node) -> tuple[Pool, tuple[str, ...], frozenset[str]] | None:
    """The form of a reduction of windows, what it reads, and its inner values."""
    attrs = root.attrs
    if not isinstance(attrs, ReduceAttrs) or attrs.fn not in ("max", "mean"):
        return None
    fill = float("-inf") if attrs.fn == "max" else 0.0
    slides, base, inner = slides_of(view, view.flow.reads[root.name][0], fill)
    taps = {slide.tap.name for slide in slides}
    if not slides or taps != set(attrs.axes) or root.dtype != "float":
        return None
    if attrs.fn == "mean" and any(abs(slide.step) != 1 for slide in slides):
        return None
    if taps & view.flow.nodes[base].axis_names or view.flow.nodes[base].dtype != "float":
        return None
    return Pool(slides, attrs.fn), (base,), inner


def slides_of(view: View, name: str, fill: float) -> tuple[tuple[Slide, ...], str, frozenset[str]]:
    """The windows one in another, from the outside, and the value that they are into."""
    slides: list[Slide] = []
    inner = set()
    while len(slides) < MOST and view.once(name):
        attrs = view.flow.nodes[name].attrs
        if not isinstance(attrs, IndexAttrs) or not isinstance(attrs.how, Window):
            break
        below = view.flow.reads[name][0]
        slide = _slide(attrs.how, view.flow.nodes[below], fill, taken=[s.tap.name for s in slides])
        if slide is None:
            break
        slides.insert(0, slide)
        inner.add(name)
        name = below
    if len(
        {slide.axis for slide in slides} | {s.out.name for s in slides if s.out.name != s.axis}
    ) != sum(1 if slide.out.name == slide.axis else 2 for slide in slides):
        return (), name, frozenset()
    return tuple(slides), name, frozenset(inner)


def _slide(window: Window, below: Node, fill: float, taken: list[str]) -> Slide | None:
    """Two terms, one of which is the tap: the one that does not take the axis's name."""
    if len(window.terms) != 2 or window.fill != fill or not isinstance(window.offset, int):
        return None
    (one, stride), (other, step) = window.terms
    if other.name == window.axis or (one.name in taken and other.name not in taken):
        one, stride, other, step = other, step, one, stride
    if stride < 1 or step == 0 or not isinstance(other.size, int) or window.axis in taken:
        return None
    return Slide(window.axis, below.size(window.axis), one, other, stride, step, window.offset)
