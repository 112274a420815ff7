"""Writes convolutions and poolings: padding, strides and groups from windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ....dsl import sizes as size_rules
from ..forms import Convolution, Pool, Slide
from .layout import Layout, Value, permuted, squeezed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....dsl.core import Axis
    from ....dsl.sizes import Size
    from ..forms import Piece
    from .writer import Writer


@dataclass(frozen=True, slots=True)
class _Step:
    """One axis, its taps counted forwards: what stands before and after, and what is cut off."""

    slide: Slide
    before: Size
    after: Size
    flipped: bool
    stride: int
    dilation: int

    @property
    def taps(self) -> int:
        assert isinstance(self.slide.tap.size, int)
        return self.slide.tap.size

    def made(self) -> Size:
        """How many places come out if there is as much after as before."""
        span = self.dilation * (self.taps - 1) + 1
        whole = size_rules.add(self.slide.size, size_rules.multiply(2, self.before))
        return size_rules.floor_divide(size_rules.add(whole, self.stride - span), self.stride)

    @property
    def even(self) -> bool:
        """Whether padding both sides alike gives what is wanted."""
        return (
            isinstance(self.before, int) and self.before >= 0 and self.made() == self.slide.out.size
        )

    @property
    def cut(self) -> bool:
        """Whether it gives more, of which the first are what is wanted."""
        over = size_rules.subtract(self.made(), self.slide.out.size)
        return (
            isinstance(self.before, int) and self.before >= 0 and isinstance(over, int) and over > 0
        )


def _step(slide: Slide) -> _Step:
    taps = slide.tap.size
    assert isinstance(taps, int)
    offset = slide.offset + min(0, slide.step) * (taps - 1)
    step = abs(slide.step)
    last = size_rules.add(
        offset + step * (taps - 1),
        size_rules.multiply(slide.stride, size_rules.subtract(slide.out.size, 1)),
    )
    after = size_rules.subtract(last, size_rules.subtract(slide.size, 1))
    return _Step(slide, -offset, after, slide.step < 0, slide.stride, step)


def write_convolution(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """A convolution over one to three axes."""
    form = piece.form
    assert isinstance(form, Convolution)
    x = squeezed(w.need(piece.reads[0]))
    weight = squeezed(w.need(piece.reads[1]))
    steps = [_step(slide) for slide in form.slides]
    over = [slide.axis for slide in form.slides]
    taps = [slide.tap.name for slide in form.slides]
    grouped = [a for a in weight.axes if a in x.axes and a not in form.channels]
    made = [a for a in weight.axes if a not in x.axes and a not in taps]
    batch = [a for a in x.axes if a not in (*form.channels, *grouped, *over)]
    sizes = {a.name: a for name in piece.reads for a in w.flow.nodes[name].axes}
    source = w.flattened(x, [batch, [*grouped, *form.channels], *([axis] for axis in over)])
    kernel = w.flattened(weight, [[*grouped, *made], form.channels, *([tap] for tap in taps)])
    flips = [str(at - len(steps)) for at, step in enumerate(steps) if step.flipped]
    if flips:
        kernel = kernel.view(f".flip({', '.join(flips)})", kernel.layout)
    options, source, cut = _options(w, source, steps, 0.0)
    groups = size_rules.product(sizes[axis].size for axis in grouped)
    options += [] if groups == 1 else [f"groups={w.size(groups)}"]
    texts = [source.text, kernel.text]
    if len(piece.reads) > 2:
        bias = permuted(squeezed(w.need(piece.reads[2])), [*grouped, *made])
        texts.append(w.flattened(bias, [[*grouped, *made]]).text)
    result = Value(f"F.conv{len(steps)}d({', '.join([*texts, *options])}){cut}")
    result = _opened(w, result, [batch, [*grouped, *made]], [s.slide.out for s in steps], sizes)
    called = dict(form.renames)
    return replace(result, layout=tuple(called.get(a or "", a) for a in result.layout))


def write_pool(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """The largest or the mean of each window."""
    form = piece.form
    assert isinstance(form, Pool)
    x = squeezed(w.need(piece.reads[0]))
    steps = [_step(slide) for slide in form.slides]
    over = [slide.axis for slide in form.slides]
    rest = [axis for axis in x.axes if axis not in over]
    sizes = {a.name: a for a in w.flow.nodes[piece.reads[0]].axes}
    front = [[axis] for axis in rest] if len(rest) == 2 else [rest]
    source = w.flattened(x, [*front, *([axis] for axis in over)])
    fill = float("-inf") if form.fn == "max" else 0.0
    options, source, cut = _options(w, source, steps, fill, half=True)
    taps = _one_or_all([step.taps for step in steps])
    strides = _one_or_all([step.stride for step in steps])
    options = [f"stride={strides}", *(o for o in options if not o.startswith("stride"))]
    name = f"F.{'max' if form.fn == 'max' else 'avg'}_pool{len(steps)}d"
    result = Value(f"{name}({source.text}, {taps}, {', '.join(options)}){cut}")
    return _opened(w, result, front, [step.slide.out for step in steps], sizes)


def _options(
    w: Writer, source: Value, steps: Sequence[_Step], fill: float, *, half: bool = False
) -> tuple[list[str], Value, str]:
    """Stride, padding and dilation; the value, padded by hand if it must be; what is cut off."""
    fits = all(
        (step.even or (step.cut and not half))
        and (not half or (isinstance(step.before, int) and 2 * step.before <= step.taps))
        for step in steps
    )
    cut = ""
    options = [f"stride={_one_or_all([step.stride for step in steps])}"]
    if fits:
        options.append(f"padding={_one_or_all([step.before for step in steps])}")
        if not all(step.even for step in steps):
            ends = [":" if s.even else f":{w.size(s.slide.out.size)}" for s in steps]
            cut = f"[..., {', '.join(ends)}]"
    else:
        pads = [f"{w.size(s.before)}, {w.size(s.after)}" for s in reversed(steps)]
        extra = "" if fill == 0 else ", value=-torch.inf"
        source = replace(source, text=f"F.pad({source.text}, ({', '.join(pads)}){extra})")
    options.append(f"dilation={_one_or_all([step.dilation for step in steps])}")
    return [o for o in options if o not in ("stride=1", "padding=0", "dilation=1")], source, cut


def _one_or_all(numbers: Sequence[object]) -> str:
    if all(number == numbers[0] for number in numbers):
        return str(numbers[0])
    return f"({', '.join(map(str, numbers))})"


def _opened(
    w: Writer,
    value: Value,
    fronts: Sequence[Sequence[str]],
    last: Sequence[Axis],
    sizes: dict[str, Axis],
) -> Value:
    """The result with its axes as dimensions again."""
    layout: list[str | None] = [axis.name for axis in last]
    for at, group in reversed(list(enumerate(fronts))):
        if len(group) > 1:
            shape = w.shape(sizes[axis] for axis in group)
            value = value.view(f".unflatten({at}, ({shape}))", ())
        layout = [*group, *layout] if group else [None, *layout]
    return replace(value, layout=tuple(layout))
