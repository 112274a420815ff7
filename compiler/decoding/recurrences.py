"""Recurrences at new positions: they go on from the carries that are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl import sizes
from ...dsl.core import Axis
from ...dsl.items import body_inputs, body_results, item_attrs
from ...dsl.ops import (
    CONCAT,
    ITEM,
    RENAME,
    AlongAttrs,
    ConcatAttrs,
    ContractAttrs,
    IndexAttrs,
    IotaAttrs,
    ItemAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    ScatterAttrs,
    Select,
    Slice,
    Window,
)

if TYPE_CHECKING:
    from ...dsl.core import Body, Node
    from ...dsl.ops import Attrs
    from ...dsl.sizes import Size
    from .derive import Derivation, Making
    from .parts import Mode


def item(work: Derivation, node: Node, mode: Mode) -> Making:
    """One result of a recurrence."""
    assert isinstance(node.attrs, ItemAttrs)
    (name,) = work.source.operands(node.name)
    attrs = work.source.node(name).attrs
    assert isinstance(attrs, ScanAttrs)
    if attrs.axis.size != work.size:
        made = yield name, mode
        return work.again(node, (made,))
    if node.attrs.index < attrs.carries:
        raise work.refuse(node.name, "is known only when all positions have been read")
    yield name, frozenset()
    return work.outputs[name][node.attrs.index]


def scan(work: Derivation, node: Node, mode: Mode) -> Making:
    """A recurrence along another axis is done at each position; one along positions goes on."""
    attrs = node.attrs
    assert isinstance(attrs, ScanAttrs)
    _check(work, node, attrs.body)
    operands = work.source.operands(node.name)
    if attrs.axis.size != work.size:
        if mode:
            raise work.refuse(node.name, "is a recurrence beside old positions")
        made = []
        for operand in operands:
            made.append((yield operand, mode))
        return work.again(node, made, work.at_new(attrs))
    if attrs.reverse:
        raise work.refuse(node.name, f"looks ahead: it runs along `{attrs.axis.name}` from the end")
    for operand in operands[: attrs.carries]:
        if not _is_known_at_first(work, operand):
            raise work.refuse(operand, "is what a carry begins with, and is made of all positions")
    for place, operand in enumerate(operands):
        steps = attrs.carries <= place < attrs.carries + attrs.steps
        if len(work.times(operand)) > steps:
            raise work.refuse(node.name, "is a recurrence that has positions in its body")
    inputs = body_inputs(attrs.body)
    results = body_results(attrs.body)
    given = [
        work.state("carry", node.name, own.axes, own.dtype, place=place, of=new.site)
        for place, (own, new) in enumerate(zip(inputs[: attrs.carries], results, strict=False))
    ]
    for operand in operands[attrs.carries :]:
        given.append((yield operand, frozenset()))
    if work.count == 1:
        return _once(work, node, attrs, given)
    axis = Axis(attrs.axis.name, work.count)
    new = work.put(node.op, replace(attrs, axis=axis), given, node, name=node.name)
    made_of = work.nodes[new].attrs
    assert isinstance(made_of, ScanAttrs)
    found = {}
    for place in range(len(attrs.body.results)):
        found[place] = work.put(
            ITEM, item_attrs(made_of, place), (new,), node, site=_site(work, node, place)
        )
    for place, before in enumerate(given[: attrs.carries]):
        work.news[before] = found[place]
    work.outputs[node.name] = found
    return new


def _is_known_at_first(work: Derivation, name: str) -> bool:
    """Whether a value is made of nothing along time, but for positions counted from the start."""
    waiting, seen = [name], {name}
    while waiting:
        node = work.source.node(waiting.pop())
        if work.times(node.name):
            return False
        match node.attrs:
            case IndexAttrs(Select(_, at)) if isinstance(at, int) and at >= 0:
                continue
        fresh = [o for o in work.source.operands(node.name) if o not in seen]
        seen.update(fresh)
        waiting += fresh
    return True


def _once(work: Derivation, node: Node, attrs: ScanAttrs, given: list[str]) -> str:
    """One step: the body itself."""
    own: dict[str, str] = {}
    axis = attrs.axis.name
    for place, (inside, value) in enumerate(zip(body_inputs(attrs.body), given, strict=True)):
        if attrs.carries <= place < attrs.carries + attrs.steps:
            # the one position is a view: a selection would move up and split what is above
            value = work.put(RENAME, RenameAttrs((((axis,), ()),)), (value,), inside)
        own[inside.name] = value
    for step in attrs.body.steps:
        if step.node.name not in own:
            own[step.node.name] = work.again(step.node, [own[o] for o in step.operands])
    results = body_results(attrs.body)[: attrs.carries]
    for inside, before, result in zip(body_inputs(attrs.body), given, results, strict=False):
        work.news[before] = work.filled(own[result.name], work.nodes[before], inside)
    work.outputs[node.name] = {
        place: work.put(CONCAT, ConcatAttrs(axis, new=True), (own[result],), node)
        for place, result in enumerate(attrs.body.results)
        if place >= attrs.carries
    }
    return given[0] if given else ""


def _site(work: Derivation, node: Node, place: int) -> str | None:
    """The address of an item, as in the model."""
    for user, _ in work.source.users(node.name):
        own = work.source.node(user)
        if isinstance(own.attrs, ItemAttrs) and own.attrs.index == place:
            return work.site_of(own)
    return None


def _check(work: Derivation, node: Node, body: Body) -> None:
    """Nothing in a body runs along positions: they ride along."""
    nodes = {step.node.name: step.node for step in body.steps}
    for step in body.steps:
        read = [axis for name in step.operands for axis in nodes[name].axes]
        times = {axis.name for axis in read if axis.size == work.size}
        attrs = step.node.attrs
        if isinstance(attrs, ScanAttrs):
            _check(work, node, attrs.body)
        if times & _spoken(attrs) or work.size in _made(attrs):
            raise work.refuse(node.name, "is a recurrence that has positions in its body")


def _spoken(attrs: Attrs) -> set[str]:
    """The axes along which an operation does something."""
    match attrs:
        case ReduceAttrs(axes=axes) | ContractAttrs(axes) | AlongAttrs(axes=axes):
            return set(axes)
        case RenameAttrs(pairs):
            return {name for old, _ in pairs for name in old}
        case IndexAttrs(how):
            return {how.axis}
        case ScatterAttrs(axis, over):
            return {axis, *over}
        case ConcatAttrs(axis):
            return {axis}
    return set()


def _made(attrs: Attrs) -> tuple[Size, ...]:
    """The sizes of axes that an operation makes, or runs along."""
    match attrs:
        case IotaAttrs(axis) | ScanAttrs(axis):
            return (axis.size,)
        case RenameAttrs(pairs):
            return tuple(axis.size for _, new in pairs for axis in new)
        case IndexAttrs(Window(terms=terms)):
            return tuple(axis.size for axis, _ in terms)
        case IndexAttrs(Slice(_, start, stop)):
            return (sizes.subtract(stop, start),)
    return ()
