"""The brackets of a call against those of the block: `linear[h, k -> d]`, `attention[h = 8]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, Node
from ..diagnostics import Note, Slug, or_any
from .values import Binding, Known, Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scope import Scope

Sides = tuple[list[s.Side], list[s.Side] | None]


def bind_brackets(
    base: Template, nodes: dict[str, Node], tree: s.Call, scope: Scope, inner: Scope
) -> tuple[Binding, dict[str, Node]]:
    """What the brackets settle. An axis on both sides of an arrow gets a primed copy on the left,
    and the arguments that carry it are renamed, but those whose type says the one on the right."""
    block = base.block
    binding = Binding({}, {}, {})
    positional, after = _positional(base, binding, scope)
    left, right = _sides(tuple(i for i in block.axes if not isinstance(i, s.Bind)))
    if right is None and after is not None:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` takes no arrow between axes",
            tree.target.span,
            notes=[Note(f"`{block.name}` is defined", block.span)],
        )
    if right is not None and after is None and (right or left):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` wants axes on both sides of an arrow",
            tree.target.span,
            hint=f"{block.name}[d -> m](...)",
        )
    if right is None and not positional and any(isinstance(side, s.Star) for side in left):
        spare = [name for node in nodes.values() for name in sorted(node.axis_names)]
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` wants to know which axes it is over",
            tree.target.span,
            hint=f"{block.name}[{(spare or ['d'])[0]}](...)",
        )
    carried = {axis.name: axis for node in nodes.values() for axis in node.axes}
    made = [axis for part, where in positional for axis in _make_axes(part, where)]
    ins = [carried.get(axis.name, axis) for axis in made]  # a value may have another size by now
    again = {axis.name: axis for axis in ins}
    for (part, where), side in zip(after or [], right or [], strict=False):
        _make_usual(part, where, side, dict(zip(_names(left), ins, strict=False)), inner)
    outs = [axis for part, where in after or [] for axis in _make_axes(part, where, again)]
    if right is not None:
        there = Binding({}, {}, {})
        _match(right, outs, there, block, tree, scope)
        binding.bound.update(there.bound)
        binding.packs.update(there.packs)
        both = {axis.name for axis in ins} & {axis.name for axis in outs}
        if both:
            primed = {
                name: Axis(
                    _prime_of(name, scope.around() | set(carried)),
                    next(a.size for a in ins if a.name == name),
                )
                for name in both
            }
            ins = [primed.get(axis.name, axis) for axis in ins]
            kept = _on_the_right(block, there)
            nodes = {
                name: _prime(node, primed, kept[name], tree, scope) for name, node in nodes.items()
            }
    _match(left, ins, binding, block, tree, scope)
    carried = {axis.name: axis for node in nodes.values() for axis in node.axes}
    binding.bound.update(
        {local: carried.get(axis.name, axis) for local, axis in binding.bound.items()}
    )
    return binding, nodes


def _sides(items: tuple[s.Item, ...]) -> Sides:
    """What stands before and after the arrow; without one, all is before."""
    left: list[s.Side] = []
    right: list[s.Side] | None = None
    for item in items:
        if isinstance(item, s.Arrow):
            if item.left is not None:
                left.append(item.left)
            right = [item.right] if item.right is not None else []
        elif right is not None:
            right.append(item)
        else:
            left.append(item)
    return left, right


Placed = list[tuple[s.Side, "Scope"]]


def _positional(base: Template, binding: Binding, scope: Scope) -> tuple[Placed, Placed | None]:
    """Settle `axis = size` and `axis = name`; return what is given by position."""
    own = {item.axis for item in base.block.axes if isinstance(item, s.Bind)}
    typed = {axis.name for param in base.block.params for axis in param.axes or ()}
    plain = {item.id for item in base.block.axes if isinstance(item, s.Name)}
    before: Placed = []
    after: Placed | None = None
    for item, where in base.items:
        match item:
            case s.Arrow(left, right):
                if after is not None:
                    where.fail(Slug.WRONG_ARGUMENTS, "a call has one arrow", item.span)
                if left is not None:
                    before.append((left, where))
                after = [(right, where)] if right is not None else []
            case s.Bind(axis, value) if after is None:
                if axis not in own | typed | plain:
                    where.fail(
                        Slug.UNKNOWN_AXIS,
                        f"`{base.block.name}` has no axis `{axis}`",
                        item.span.word(axis),
                        notes=[Note(f"`{base.block.name}` is defined", base.block.span)],
                        hint=or_any(axis, sorted(own | typed | plain)),
                    )
                bound = (
                    where.axis(value.id)
                    if isinstance(value, s.Name) and where.lookup(value.id) is None
                    else None
                )
                if bound is not None:
                    binding.bound[axis] = bound
                else:
                    binding.sized[axis] = where.axis_size(value)
            case s.Tuple(parts):
                before += [(part, where) for part in parts]
            case _:
                (before if after is None else after).append((item, where))
    return before, after


def _make_axes(
    part: s.Side, where: Scope, again: Mapping[str, Axis] | None = None
) -> tuple[Axis, ...]:
    """The axes that a part of a call's brackets stands for. Those in `again` may get another
    size."""
    again = again or {}
    match part:
        case s.Name(name):
            axis = where.need_axis(name, part.span)
            return (again.get(axis.name, axis),)
        case s.Bind(name, value):
            size = where.axis_size(value)
            known = where.axis(name)
            if known is not None and known.name in again:
                return (Axis(known.name, size),)
            if known is not None and known.size != size:
                where.fail(
                    Slug.SIZE_MISMATCH,
                    f"`{name}` already has size {known.size} here",
                    part.span,
                    hint=f"another name: `{name}_2 = {part.value.span.text}`",
                )
            return (known or where.new_axis(name, size),)
        case s.Star(pack) if pack in where.frame.packs:
            return where.frame.packs[pack]
    found = where.evaluate(part) if not isinstance(part, s.Star | s.Everything) else None
    shown = f" (a number sizes an axis: `[h = {found.value}]`)" if isinstance(found, Known) else ""
    where.fail(Slug.NOT_AN_AXIS, f"`{part.span.text}` is no axis{shown}", part.span)
    return None


def _names(sides: list[s.Side]) -> list[str]:
    return [side.id for side in sides if isinstance(side, s.Name)]


def _make_usual(
    part: s.Side, where: Scope, side: s.Side, known: dict[str, Axis], inner: Scope
) -> None:
    """A new axis that a call does not size has the size that the block says: `[d -> f = |d|]`.
    `known` are the axes on the left, as the block calls them."""
    if isinstance(part, s.Name) and isinstance(side, s.Bind) and where.axis(part.id) is None:
        where.new_axis(part.id, inner.inner(axes=known, names={}).axis_size(side.value))


def _prime_of(name: str, taken: frozenset[str]) -> str:
    name += "'"
    while name in taken:
        name += "'"
    return name


def _on_the_right(block: s.Block, there: Binding) -> dict[str, frozenset[str]]:
    """For each argument the axes of the call that its type says by a name right of the arrow."""
    named = {local: {axis.name} for local, axis in there.bound.items()}
    named |= {pack: {axis.name for axis in axes} for pack, axes in there.packs.items()}
    return {
        param.name: frozenset().union(*(named.get(axis.name, ()) for axis in param.axes or ()))
        for param in block.params
    }


def _prime(
    node: Node, primed: dict[str, Axis], kept: frozenset[str], tree: s.Call, scope: Scope
) -> Node:
    pairs = tuple(
        ((name,), (Axis(axis.name, node.size(name)),))
        for name, axis in primed.items()
        if name in node.axis_names and name not in kept
    )
    if not pairs:
        return node
    return scope.builder.emit(ops.RENAME, ops.RenameAttrs(pairs), [node], tree.span, scope.path)


def _match(
    wanted: list[s.Side],
    given: list[Axis],
    binding: Binding,
    block: s.Block,
    tree: s.Call,
    scope: Scope,
) -> None:
    """Axes by position; a pack takes what the others leave."""
    flat = list(given)
    packs = sum(isinstance(w, s.Star) for w in wanted)
    spare = len(flat) - (len(wanted) - packs)
    if not flat and not packs:
        return
    if spare < 0 or (spare > 0 and not packs):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` takes {len(wanted)} "
            f"{'axis' if len(wanted) == 1 else 'axes'} here, and is given {len(flat)}",
            tree.target.span,
            notes=[Note(f"`{block.name}` is defined", block.span)],
            hint="a size is given by name: `[h = 4]`",
        )
    for side in wanted:
        if isinstance(side, s.Star):
            binding.packs[side.pack or ""] = tuple(flat[:spare])
            del flat[:spare]
        elif isinstance(side, s.Name | s.Bind):
            name = side.id if isinstance(side, s.Name) else side.axis
            binding.bound[name] = flat.pop(0)
