"""The axes of a call: which bind, by the written types, and which ride along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Node, names
from ..diagnostics import Note, Slug, or_nearest
from .structure import axis_words

if TYPE_CHECKING:
    from .scope import Scope
    from .values import Binding, Template


def bind_types(
    block: s.Block,
    binding: Binding,
    nodes: dict[str, Node],
    tree: s.Call,
    scope: Scope,
    inner: Scope,
) -> None:
    """Match the written types with the axes of the arguments, by name."""
    for param in block.params:
        node = nodes.get(param.name)
        if node is None:
            continue
        for axis in param.axes or ():
            if axis.pack:
                _check_pack(axis.name, param, node, binding, block, tree, scope)
            elif axis.name in binding.bound:
                wanted = binding.bound[axis.name].name
                if wanted in node.axis_names:
                    _check_size(axis.name, wanted, param, nodes, block, tree, scope)
                elif node.axes:
                    _missing(axis.name, param, node, block, tree, scope)
            else:
                known = scope.axis(axis.name)
                graph = (
                    known.name if known is not None and known.name in node.axis_names else axis.name
                )
                if graph in node.axis_names:
                    _settle(axis.name, Axis(graph, node.size(graph)), binding, block, tree, scope)
                elif node.axes or node.op is not ops.CONST:
                    _missing(axis.name, param, node, block, tree, scope)
    for local, axis_bound in binding.bound.items():
        inner.axes[local] = axis_bound
        inner.frame.bound.add(axis_bound.name)
    for pack in binding.packs.values():
        for axis_bound in pack:
            inner.axes.setdefault(axis_bound.name, axis_bound)
            inner.frame.bound.add(axis_bound.name)
    inner.frame.packs.update(binding.packs)


def _check_size(
    local: str,
    graph: str,
    param: s.Param,
    nodes: dict[str, Node],
    block: s.Block,
    tree: s.Call,
    scope: Scope,
) -> None:
    """An axis that two arguments have has one size."""
    for other in block.params:
        if other is param:
            return
        node = nodes.get(other.name)
        declared = {axis.name for axis in other.axes or ()}
        if node is None or local not in declared or graph not in node.axis_names:
            continue
        first, second = node.size(graph), nodes[param.name].size(graph)
        if first != second and isinstance(first, int) and isinstance(second, int):
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{other.name}` has {first} positions of `{local}`, and "
                f"`{param.name}` has {second}",
                tree.span,
                notes=[Note(f"`{block.name}` takes both", block.span)],
            )


def _settle(
    local: str, axis: Axis, binding: Binding, block: s.Block, tree: s.Call, scope: Scope
) -> None:
    wanted = binding.sized.get(local)
    if (
        wanted is not None
        and wanted != axis.size
        and isinstance(wanted, int)
        and isinstance(axis.size, int)
    ):
        scope.fail(
            Slug.SIZE_MISMATCH,
            f"`{block.name}` is told `{local}` = {wanted}, and is given {sizes.show(axis.size)}",
            tree.span,
        )
    binding.bound[local] = axis


def _check_pack(
    pack: str,
    param: s.Param,
    node: Node,
    binding: Binding,
    block: s.Block,
    tree: s.Call,
    scope: Scope,
) -> None:
    for axis in binding.packs.get(pack, ()):
        if axis.name not in node.axis_names and node.axes:
            _missing(axis.name, param, node, block, tree, scope)


def _missing(
    name: str, param: s.Param, node: Node, block: s.Block, tree: s.Call, scope: Scope
) -> None:
    spare = list(names(node.axes))
    scope.fail(
        Slug.MISSING_AXIS,
        f"`{block.name}` wants an axis `{name}` on `{param.name}`, which has "
        f"{scope.say_axes(node)}",
        tree.span,
        notes=[Note(f"`{param.name}` is declared", param.span)],
        hint=or_nearest(name, spare) or _bound_hint(name, spare, tree),
    )


def _bound_hint(name: str, spare: list[str], tree: s.Call) -> str | None:
    """The call, bound to an axis that the argument has."""
    if not spare or isinstance(tree.target, s.Index):
        return None
    arguments = ", ".join(arg.span.text for arg in tree.args)
    return f"{tree.target.span.text}[{name} = {spare[-1]}]({arguments})"


def keep_apart(
    base: Template,
    binding: Binding,
    nodes: dict[str, Node],
    tree: s.Call,
    scope: Scope,
    inner: Scope,
) -> dict[str, str]:
    """Axes that ride along and are called like one of the block's own become `^name` inside it."""
    taken = axis_words(base.block, base.module) - set(binding.bound)
    present = frozenset().union(*(node.axis_names for node in nodes.values()))
    renamed: dict[str, str] = {}

    def apart(axis: Axis) -> Axis:
        if axis.name not in taken or axis.name in inner.frame.bound:
            return axis
        kept = "^" + axis.name
        while kept in present:
            kept = "^" + kept
        renamed[kept] = axis.name
        return Axis(kept, axis.size)

    inner.banks = tuple(map(apart, inner.banks))  # what is drawn and made along them, too
    inner.owners = tuple(map(apart, inner.owners))
    for name, node in nodes.items():
        riding = {
            axis.name: apart(axis) for axis in node.axes if axis.name not in inner.frame.bound
        }
        inner.frame.riding.update({axis.name: axis for axis in riding.values()})
        clashes = [((old,), (new,)) for old, new in riding.items() if new.name != old]
        if clashes:
            nodes[name] = scope.builder.emit(
                ops.RENAME, ops.RenameAttrs(tuple(clashes)), [node], tree.span, scope.path
            )
    return renamed


def own_axes(block: s.Block, binding: Binding, inner: Scope) -> None:
    """Make the axes of the header that no argument has."""
    for item in block.axes:
        if isinstance(item, s.Bind) and item.axis not in binding.bound:
            size = binding.sized.get(item.axis)
            inner.new_axis(item.axis, size if size is not None else inner.axis_size(item.value))
        elif isinstance(item, s.Name) and item.id in binding.sized and item.id not in binding.bound:
            inner.new_axis(item.id, binding.sized[item.id])
