"""Puts parallel forms in the place of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.ops import ItemAttrs, ScanAttrs
from ..bodies import instead, narrow
from ..lift import same
from .algebra import Maker
from .chunkwise import Chunked
from .classify import classify
from .doubling import Doubled
from .forms import Form, choices
from .outside import Outside
from .rows import OneChunk, Rows
from .stepwise import Stepwise

if TYPE_CHECKING:
    from ..context import Context
    from ..graph import Edit
    from .classify import Group
    from .outside import Solved

MADE_BY = "parallelise"


def parallel(edit: Edit, name: str, ctx: Context, sites: set[str], *, whole: bool = False) -> None:
    """Compute a scan in the parallel forms that its groups have; nothing if none has one.

    `sites` are addresses that are taken. With `whole` the scan is one chunk; its size is a power of
    two.
    """
    node = edit.node(name)
    assert isinstance(node.attrs, ScanAttrs)
    if not node.attrs.carries:
        return
    found = classify(node.attrs)
    chosen = choices(found)
    if all(choice.form is Form.STEPS for choice in chosen):
        return
    make = Maker(edit, node, MADE_BY)
    outside = Outside(make, found, edit.operands(name), sites)
    fresh = found.algebra.fresh
    axis = node.attrs.axis
    rows = (
        OneChunk(make, axis, fresh)
        if whole
        else Rows(make, axis, ctx.chunk, fresh, reverse=node.attrs.reverse)
    )
    for group, choice in zip(found.groups, chosen, strict=True):
        outside.solved.append(solved_for(choice.form, outside, rows, group))
    put_in_place(edit, name, outside, ctx, MADE_BY)


def solved_for(form: Form, outside: Outside, rows: Rows, group: Group) -> Solved:
    """A group of carries, known for all steps."""
    match form:
        case Form.STEPS:
            return Stepwise(outside, group)
        case Form.DOUBLING:
            return Doubled(outside, rows, group)
        case Form.CHUNKS:
            return Chunked(outside, rows, group, outside.found.algebra.fresh)


def put_in_place(edit: Edit, name: str, outside: Outside, ctx: Context, made_by: str) -> None:
    """Whoever reads the scan reads what was made, and the scan is gone."""
    last = {place: own for solved in outside.solved for place, own in solved.last.items()}
    _replace(edit, name, outside, last, ctx, made_by)
    for solved in outside.solved:
        if isinstance(solved, Stepwise):
            narrow(edit, solved.scan)


def _replace(
    edit: Edit, name: str, outside: Outside, last: dict[int, str], ctx: Context, made_by: str
) -> None:
    results = outside.found.scan.body.results
    for item, _ in edit.users(name):
        node = edit.node(item)
        assert isinstance(node.attrs, ItemAttrs)
        at = node.attrs.index
        new = last[at] if at in last else outside.value(results[at])
        if node.attrs.index >= outside.found.scan.carries:
            new = outside.make.spread(new, node.axes)
        assert same(edit.type_of(new), (node.axes, node.dtype)), node
        if instead(edit, node, new, ctx, made_by) is None:
            continue
        edit.redirect(item, new)
        edit.remove(item)
        made = edit.node(new)
        if made.site is None:
            edit.put(made.at(node.site) if node.site else made)
    edit.remove(name)
