"""How each operation is done at new positions: what it asks of its operands, and what it makes.

A rule yields what it asks for, a value and a mode, and is sent the node that holds it in the step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis, without
from ...dsl.ops import (
    CONCAT,
    INDEX,
    MAP,
    RENAME,
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    InputAttrs,
    IotaAttrs,
    MapAttrs,
    RandomAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScatterAttrs,
    Select,
    Slice,
    Window,
)
from .bands import NEUTRAL, absorbed
from .recurrences import item, scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...dsl.core import Node
    from .bands import Bands
    from .derive import Derivation, Making
    from .parts import Mode

    Rule = Callable[[Derivation, Node, Mode], Making]

RUNNING = {"cumsum": "add", "cumprod": "mul", "cummax": "max"}  # how what came before is put to it


def leaf(work: Derivation, node: Node, mode: Mode) -> Making:
    """An input at the new positions; parameters, states and numbers as they are."""
    yield from ()
    if isinstance(node.attrs, RandomAttrs):
        raise work.refuse(node.name, "is drawn anew at each call, and a step draws other numbers")
    if not isinstance(node.attrs, InputAttrs):
        return work.again(node, ())
    times = work.times(node.name)
    if len(times) > 1:
        raise work.refuse(node.name, f"is given along `{times[0]}` and `{times[1]}` at once")
    axes = tuple(work.along(a.name, mode) if a.name in times else a for a in node.axes)
    return work.again(node, (), InputAttrs(node.attrs.order, axes, node.dtype))


def iota(work: Derivation, node: Node, mode: Mode) -> Making:
    """Positions go on from those before."""
    yield from ()
    assert isinstance(node.attrs, IotaAttrs)
    if node.attrs.axis.size != work.size:
        return work.again(node, ())
    return work.index(node, node.attrs.axis.name, mode)


def pointwise(work: Derivation, node: Node, mode: Mode) -> Making:
    """Each position by itself. One new position sees all that is kept: its masks hold."""
    read = work.source.operands(node.name)
    if node.attrs == MapAttrs("where") and work.count == 1 and _holds(work, read[0], mode):
        value = yield read[1], work.inner(read[1], mode)
        if work.nodes[value].axis_names == node.axis_names:
            return work.put(RENAME, RenameAttrs(), (value,), node, site=work.site_of(node))
    if node.attrs == MapAttrs("where") and read[1] == read[2]:
        return (yield from _repeated(work, node, read[1], mode))
    made = []
    for operand in read:
        made.append((yield operand, work.inner(operand, mode)))
    return work.again(node, made)


def _repeated(work: Derivation, node: Node, operand: str, mode: Mode) -> Making:
    """The value repeated along an axis that it lacks."""
    made = yield operand, work.inner(operand, mode)
    for axis in node.axes:
        own = work.along(axis.name, mode) if axis.size == work.size else axis
        made = work.spread(made, own, node)
    return made


def _holds(work: Derivation, mask: str, mode: Mode) -> bool:
    """Whether a mask is true at all positions that are kept, seen from the one that is new."""
    reach, times = dict(mode), set(work.times(mask))
    return any(
        {axis, query} == times
        and axis in reach
        and query not in reach
        and band.exact
        and band.outside is False
        and band.covers(reach[axis])
        for (axis, query), band in work.bands[mask].items()
    )


def apart(work: Derivation, node: Node, mode: Mode) -> Making:
    """Every position by itself, whatever else is done."""
    made = []
    for operand in work.source.operands(node.name):
        made.append((yield operand, work.inner(operand, mode)))
    return work.again(node, made)


# ---- what runs over positions


def reduce(work: Derivation, node: Node, mode: Mode) -> Making:
    """A reduction over old positions and the new ones."""
    assert isinstance(node.attrs, ReduceAttrs)
    (operand,) = work.source.operands(node.name)
    fn = node.attrs.fn
    for axis in node.attrs.axes:
        if axis in work.times(operand):
            if operand in work.closed and len(work.times(operand)) == 1:
                why = (
                    f"depends on how many positions of `{axis}` there are, which a step cannot know"
                )
                raise work.refuse(node.name, why)
            if fn not in NEUTRAL:
                raise work.refuse(node.name, f"is the {fn} over all positions of `{axis}`")
            own = {p: b for p, b in work.bands[operand].items() if b.outside == NEUTRAL[fn]}
            reach = _reach(work, node, axis, mode, own)
            mode |= {(axis, None if fn.startswith("arg") else reach)}
    made = yield operand, work.inner(operand, mode)
    return work.again(node, (made,))


def contract(work: Derivation, node: Node, mode: Mode) -> Making:
    """A product summed over old positions and the new ones."""
    assert isinstance(node.attrs, ContractAttrs)
    operands = work.source.operands(node.name)
    own = absorbed([work.bands[operand] for operand in operands], 0)
    times = {axis for operand in operands for axis in work.times(operand)}
    for axis in node.attrs.axes:
        if axis in times:
            mode |= {(axis, _reach(work, node, axis, mode, own))}
    made = []
    for operand in operands:
        made.append((yield operand, work.inner(operand, mode)))
    return work.again(node, made)


def _reach(work: Derivation, node: Node, axis: str, mode: Mode, own: Bands) -> int | None:
    """How far back something looks along an axis; NotCausalError if it looks ahead."""
    whole = dict(mode)
    lows = [
        band.low
        for (along, query), band in own.items()
        if along == axis
        and query in node.axis_names
        and query not in whole
        and not band.looks_ahead
    ]
    if not lows:
        raise work.refuse(
            node.name,
            f"looks ahead: it takes all positions of `{axis}` together, later ones too",
            hint=f"where({axis} <= {work.axis.name}, .., ..)" if work.axis.name != axis else None,
        )
    known = [low for low in lows if low is not None]
    return -max(known) if known else None


def along(work: Derivation, node: Node, mode: Mode) -> Making:
    """A function along axes; along positions softmax, and what is cumulative."""
    assert isinstance(node.attrs, AlongAttrs)
    (operand,) = work.source.operands(node.name)
    fn, whole = node.attrs.fn, dict(mode)
    for axis in node.attrs.axes:
        if axis not in work.times(operand):
            continue
        if fn in RUNNING:
            return (yield from _running(work, node, axis, mode))
        if fn not in ("softmax", "log_softmax", "rank"):
            raise work.refuse(node.name, f"is {fn} along all positions of `{axis}`")
        own = {p: b for p, b in work.bands[operand].items() if b.outside == NEUTRAL["max"]}
        reach = _reach(work, node, axis, mode, own)
        reach = None if fn == "rank" else reach
        if _further(reach, whole.get(axis, 0)):
            return (yield from _part(work, node, axis, mode, reach))
    made = yield operand, work.inner(operand, mode)
    return work.again(node, (made,))


def _further(one: int | None, other: int | None) -> bool:
    return other is not None and (one is None or one > other)


def _part(work: Derivation, node: Node, axis: str, mode: Mode, reach: int | None) -> Making:
    """The last positions of what has to be computed further back."""
    wanted = dict(mode).get(axis, 0)
    whole = yield node.name, frozenset({**dict(mode), axis: reach}.items())
    end = work.nodes[whole].size(axis)
    start = sizes.subtract(end, work.along(axis, frozenset({(axis, wanted)})).size)
    return work.put(INDEX, IndexAttrs(Slice(axis, start, end)), (whole,), node)


def _running(work: Derivation, node: Node, axis: str, mode: Mode) -> Making:
    """Cumulative: the total of what came before is put to it."""
    assert isinstance(node.attrs, AlongAttrs)
    (operand,) = work.source.operands(node.name)
    if axis in dict(mode):
        if dict(mode)[axis] is not None:
            return (yield from _part(work, node, axis, mode, None))
        made = yield operand, work.inner(operand, mode)
        return work.again(node, (made,))
    if len(work.times(operand)) > 1:
        raise work.refuse(node.name, f"is cumulative along `{axis}` beside other positions")
    new = yield operand, mode
    here = work.put(node.op, node.attrs, (new,), node)
    axes = without(work.nodes[here].axes, [axis])
    before = work.state("total", node.name, axes, node.dtype, axis)
    made = work.put(
        MAP, MapAttrs(RUNNING[node.attrs.fn]), (here, before), node, site=work.site_of(node)
    )
    work.news[before] = work.put(INDEX, IndexAttrs(Select(axis, -1)), (made,), node)
    return made


# ---- axes and positions


def rename(work: Derivation, node: Node, mode: Mode) -> Making:
    """The same under other names, old positions too."""
    assert isinstance(node.attrs, RenameAttrs)
    (operand,) = work.source.operands(node.name)
    whole, before = dict(mode), dict(mode)
    pairs = []
    for _, new in node.attrs.pairs:
        for own in new:
            before.pop(own.name, None)
    for old, new in node.attrs.pairs:
        sized = tuple(work.along(own.name, mode) if own.size == work.size else own for own in new)
        pairs.append((old, sized))
        if len(new) == 1 and new[0].name in whole:
            before[old[0]] = whole[new[0].name]
    made = yield operand, work.inner(operand, frozenset(before.items()))
    return work.again(node, (made,), RenameAttrs(tuple(pairs)))


def index(work: Derivation, node: Node, mode: Mode) -> Making:
    """Selections, tables that are looked up at positions, windows."""
    assert isinstance(node.attrs, IndexAttrs)
    operand = work.source.operands(node.name)[0]
    how = node.attrs.how
    runs = how.axis in work.times(operand)
    match how:
        case Select(axis, at) if runs:
            return (yield from _selected(work, node, operand, axis, at, mode))
        case Slice(axis, start, _) if not runs and axis in work.times(node.name):
            base = yield operand, work.inner(operand, mode)
            place = work.shifted(work.index(node, axis, mode), start, node)
            return work.again(node, (base, place), IndexAttrs(Gather(axis)))
        case Slice(axis, start, stop) if runs and (start, stop) != (0, work.size):
            raise work.refuse(node.name, f"reads positions {start}..{stop} of `{axis}` alone")
        case Gather(axis) if runs:
            raise work.refuse(node.name, f"reads positions of `{axis}` that the data pick")
        case Window() if runs:
            return (yield from _window(work, node, operand, how, mode))
        case Window() if any(term.size == work.size for term, _ in how.terms):
            base = yield operand, work.inner(operand, mode)
            return work.again(
                node, (base, _place(work, node, how, mode)), IndexAttrs(Gather(how.axis, how.fill))
            )
    return (yield from apart(work, node, mode))


def _selected(work: Derivation, node: Node, operand: str, axis: str, at: int, mode: Mode) -> Making:
    """The first position, which is kept; the others are not there from the start."""
    if at != 0:
        where = f"position {at}" if at > 0 else "a position that is counted from the end"
        raise work.refuse(node.name, f"reads {where} of `{axis}`, which earlier ones do not see")
    if len(work.times(operand)) > 1:
        made = yield operand, work.inner(operand, mode | {(axis, None)})
        return work.again(node, (made,))
    new = yield operand, frozenset()
    axes = without(work.nodes[new].axes, [axis])
    kept = work.state("first", operand, axes, node.dtype, axis)
    work.news[kept] = kept
    return work.put(RENAME, RenameAttrs(), (kept,), node, site=work.site_of(node))


def _place(work: Derivation, node: Node, how: Window, mode: Mode) -> str:
    """The position that a window reads."""
    place = None
    for term, factor in how.terms:
        step = (
            work.index(node, term.name, mode) if term.size == work.size else work.plain(term, node)
        )
        step = work.put(MAP, MapAttrs("mul"), (step, work.number(factor, node)), node)
        place = step if place is None else work.put(MAP, MapAttrs("add"), (place, step), node)
    assert place is not None
    return work.shifted(place, how.offset, node)


def _window(work: Derivation, node: Node, operand: str, how: Window, mode: Mode) -> Making:
    """A window, a shift: what it reads of old positions is kept."""
    running = [(term, factor) for term, factor in how.terms if term.size == work.size]
    others = [(term, factor) for term, factor in how.terms if term.size != work.size]
    if [factor for _, factor in running] != [1] or not isinstance(how.offset, int):
        raise work.refuse(node.name, f"reads `{how.axis}` in steps of its own")
    ahead, back = how.offset, -how.offset
    for term, factor in others:
        if not isinstance(term.size, int):
            raise work.refuse(node.name, f"reads as many positions of `{how.axis}` as there are")
        ahead += max(factor, 0) * (term.size - 1)
        back -= min(factor, 0) * (term.size - 1)
    if ahead > 0:
        raise work.refuse(
            node.name, f"looks ahead: it reads up to {ahead} later positions of `{how.axis}`"
        )
    ((term, _),) = running
    if term.name in dict(mode):
        if len(work.times(node.name)) == 1:
            new = yield node.name, frozenset()
            return work.held(node.name, term.name, dict(mode)[term.name], new)
        if dict(mode)[term.name] is not None:
            return (yield from _part(work, node, term.name, mode, None))
        inner = {a: r for a, r in mode if a != term.name} | {how.axis: None}
        made = yield operand, work.inner(operand, frozenset(inner.items()))
        return work.again(node, (made,), IndexAttrs(_moved(work, how, term.name, 0, mode)))
    if len(work.times(operand)) > 1:
        raise work.refuse(node.name, f"reads a window of `{how.axis}` beside other positions")
    new = yield operand, mode
    if back:
        here = work.nodes[new]
        old = Axis(how.axis, back)
        axes = tuple(old if own.name == how.axis else own for own in here.axes)
        before = work.state("window", operand, axes, here.dtype, how.axis, back, fill=how.fill)
        new = work.put(CONCAT, ConcatAttrs(how.axis), (before, new), node)
        whole = work.nodes[new].size(how.axis)
        last = Slice(how.axis, sizes.subtract(whole, back), whole)
        work.news[before] = work.put(INDEX, IndexAttrs(last), (new,), node)
    return work.again(node, (new,), IndexAttrs(_moved(work, how, term.name, back, mode)))


def _moved(work: Derivation, how: Window, axis: str, back: int, mode: Mode) -> Window:
    terms = tuple((work.along(axis, mode) if t.name == axis else t, f) for t, f in how.terms)
    return replace(how, terms=terms, offset=sizes.add(how.offset, back))


def scatter(work: Derivation, node: Node, mode: Mode) -> Making:
    """Writes at positions of another axis."""
    assert isinstance(node.attrs, ScatterAttrs)
    over = {*node.attrs.over, node.attrs.axis}
    if over & {axis for o in work.source.operands(node.name) for axis in work.times(o)}:
        raise work.refuse(node.name, "moves positions to where the data say")
    return (yield from apart(work, node, mode))


RULES: dict[str, Rule] = {
    "input": leaf,
    "param": leaf,
    "state": leaf,
    "random": leaf,
    "const": leaf,
    "iota": iota,
    "map": pointwise,
    "reduce": reduce,
    "contract": contract,
    "rename": rename,
    "index": index,
    "scatter": scatter,
    "concat": apart,
    "along": along,
    "scan": scan,
    "item": item,
    "stop": apart,
}
