"""Carries with a short axis along which elements are mixed, said as several carries without it.

Then how an element changes with the others is a small matrix between carries, as it is for carries
that turn into each other: what is made for these is made for it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from ...dsl.core import names, without
from ...dsl.items import item_attrs
from ...dsl.ops import (
    INDEX,
    INPUT,
    ITEM,
    SCAN,
    IndexAttrs,
    InputAttrs,
    ItemAttrs,
    ScanAttrs,
    Select,
)
from ..graph import Edit
from .algebra import Maker
from .classify import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...dsl.core import Axes, Node
    from .classify import Group, Recurrence

MOST = 4  # carries that depend on each other: a turn takes their cube


def short(found: Recurrence) -> dict[int, Axes]:
    """The carries of groups that may be taken apart, by their places, and the axes that they then
    lack."""
    taken: dict[int, Axes] = {}
    for group in found.groups:
        own = {place: _mixed(found, group, place) for place in group.carries}
        counts = [_count(axes) for axes in own.values()]
        if group.kind is Kind.NONLINEAR and group.mixed and 0 < sum(counts) <= MOST:
            taken |= own
    return taken


def _mixed(found: Recurrence, group: Group, place: int) -> Axes:
    return tuple(
        axis for axis in found.body.node(found.carries[place]).axes if axis.name in group.mixed
    )


def _count(axes: Axes) -> int:
    """How many carries there are without these axes; more than enough of a size that is not
    known."""
    count = 1
    for axis in axes:
        count *= axis.size if isinstance(axis.size, int) else MOST + 1
    return count


def apart(edit: Edit, name: str, taken: Mapping[int, Axes]) -> str:
    """Take carries of a scan apart, along axes; the new scan stands in its place."""
    node = edit.node(name)
    scan = node.attrs
    assert isinstance(scan, ScanAttrs)
    make = Maker(edit, node, "apart")
    read = edit.operands(name)
    firsts: list[str] = []
    for place in range(scan.carries):
        axes = taken.get(place, ())
        firsts += [_piece(make, read[place], at) for at in _positions(axes)]
    attrs = apart_scan(scan, taken)
    new = make.add(SCAN, attrs, *firsts, *read[scan.carries :])
    places = iter(range(attrs.carries))
    pieces = [[next(places) for _ in _positions(taken.get(p, ()))] for p in range(scan.carries)]
    more = attrs.carries - scan.carries
    for item, _ in edit.users(name):
        own = edit.node(item).attrs
        assert isinstance(own, ItemAttrs)
        if own.index >= scan.carries:
            value = make.add(ITEM, item_attrs(attrs, own.index + more), new)
        else:
            found = [make.add(ITEM, item_attrs(attrs, at), new) for at in pieces[own.index]]
            value = _whole(make, found, taken.get(own.index, ()))
        edit.redirect(item, value)
        site = edit.node(item).site
        edit.remove(item)
        if site is not None:
            edit.put(edit.node(value).at(site))
    edit.remove(name)
    return new


def apart_scan(scan: ScanAttrs, taken: Mapping[int, Axes]) -> ScanAttrs:
    """The scan by itself."""
    steps = scan.body.steps
    inputs = [step.node for step in steps if step.node.op is INPUT]
    edit = Edit({}, {}, ())
    make = Maker(edit, inputs[0], "apart")
    called: dict[str, str] = {}
    pieces: dict[int, list[str]] = {}
    for place, node in enumerate(inputs):
        axes = taken.get(place, ()) if place < scan.carries else ()
        pieces[place] = [_input(make, node, axes) for _ in _positions(axes)]
    for place, node in enumerate(inputs):
        axes = taken.get(place, ()) if place < scan.carries else ()
        called[node.name] = _whole(make, pieces[place], axes)
    for step in steps:
        if step.node.op is not INPUT:
            node = step.node
            read = [called[operand] for operand in step.operands]
            called[node.name] = edit.add(
                node.op, node.attrs, read, span=node.span, site=node.site, scope=node.scope,
                made_by=node.made_by,
            )  # fmt: skip
    results = [called[result] for result in scan.body.results]
    new = [
        _piece(make, result, at)
        for place, result in enumerate(results[: scan.carries])
        for at in _positions(taken.get(place, ()))
    ]
    edit.set_results([*new, *results[scan.carries :]])
    return replace(scan, body=edit.done().to_body(), carries=len(new))


def _positions(axes: Axes) -> list[dict[str, int]]:
    """Each position along the axes; one without any."""
    known = [range(axis.size) for axis in axes if isinstance(axis.size, int)]
    return [dict(zip(names(axes), at, strict=True)) for at in product(*known)]


def _input(make: Maker, node: Node, gone: Axes) -> str:
    axes = without(node.axes, names(gone))
    return make.add(INPUT, InputAttrs(names(axes), axes, node.dtype))


def _piece(make: Maker, value: str, at: Mapping[str, int]) -> str:
    """What stands at a position; what lacks an axis is the same along it."""
    for axis, place in at.items():
        if make.has(value, [axis]):
            value = make.add(INDEX, IndexAttrs(Select(axis, place)), value)
    return value


def _whole(make: Maker, pieces: Sequence[str], axes: Axes) -> str:
    """The value of which these are the pieces."""
    value, *rest = pieces
    positions = _positions(axes)
    if axes:
        value = make.spread(value, axes)
    for piece, at in zip(rest, positions[1:], strict=True):
        here = [make.map("eq", make.index(axis), make.const(at[axis.name])) for axis in axes]
        there = here[0]
        for one in here[1:]:
            there = make.map("and", there, one)
        value = make.map("where", there, piece, value)
    return value
