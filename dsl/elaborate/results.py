"""What a block returns: as much as its header says, with the axes that it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from .. import ops
from .. import syntax as s
from ..core import Axis
from ..diagnostics import Note, Slug, or_nearest
from .values import HaltError, Poison, Val, Value

if TYPE_CHECKING:
    from ..source import Span
    from .scope import Scope


def check_count(block: s.Block, inner: Scope) -> tuple[Val, ...]:
    """What a block returned, if it is as much as its header says."""
    results = inner.frame.results
    if results is None:
        inner.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` returns nothing",
            block.span.word(block.name),
            hint="return ...",
        )
    if any(isinstance(value, Poison) for value in results):
        raise HaltError
    if len(results) != len(block.results):
        at = inner.frame.returned
        inner.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` is said to give {_values(len(block.results))}, and this "
            f"is {len(results)}",
            at[0].to(at[-1]),
            notes=[Note("it is said", block.span)],
        )
    return results


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def no_such_axis(
    name: str, declared: tuple[s.AxisDecl, ...], block: s.Block, inner: Scope
) -> NoReturn:
    """A header that promises an axis that there is not."""
    place = next((decl.span for decl in declared if decl.name == name), block.span)
    inner.fail(
        Slug.MISSING_AXIS,
        f"`{block.name}` is said to give `{name}`, and has no such axis",
        place,
        hint=or_nearest(name, inner.known_axes()),
    )


def result(
    value: Val,
    declared: tuple[s.AxisDecl, ...],
    renamed: dict[str, str],
    block: s.Block,
    tree: s.Call,
    scope: Scope,
    inner: Scope,
    at: Span,
) -> Val:
    """A result has its written axes and what rode in on the arguments, nothing else."""
    node = inner.node(value, at)
    wanted: dict[str, str] = {}
    for decl in declared:
        if decl.pack:
            wanted.update({axis.name: axis.name for axis in inner.frame.packs.get(decl.name, ())})
        else:
            axis = inner.axis(decl.name)
            wanted[axis.name if axis is not None else decl.name] = decl.name
    allowed = {*wanted, *inner.frame.riding, *(axis.name for axis in inner.banks)}
    extra = [axis.name for axis in node.axes if axis.name not in allowed]
    if extra:
        inner.fail(
            Slug.AXIS_MISMATCH,
            f"`{block.name}` is said to give [{', '.join(wanted.values())}], and this "
            f"has `{extra[0]}` too",
            at,
            notes=[Note("it is said", block.span)],
            hint=f"-> [{', '.join([*wanted.values(), extra[0]])}]"
            if extra[0].isidentifier()
            else None,
        )
    for name, shown in wanted.items():
        if name not in node.axis_names:
            axis = inner.axis(shown) or inner.frame.riding.get(name)
            if axis is None and any(
                shown == decl.name for p in block.params for decl in p.axes or ()
            ):
                scope.fail(
                    Slug.MISSING_AXIS,
                    f"`{block.name}` gives `{shown}`, and nothing that it is given here has it",
                    tree.span,
                    notes=[Note(f"`{block.name}` is defined", block.span)],
                )
            if axis is None:
                no_such_axis(shown, declared, block, inner)
            node = inner.spread(node, axis, tree.span)
        if scope.axis(shown) is None and name not in inner.frame.bound:
            scope.axes[shown] = Axis(name, node.size(name))
    own = {  # primed because the caller had the name for something else
        name: shown
        for name, shown in wanted.items()
        if not {shown} & (node.axis_names | set(scope.frame.riding))
        and name not in inner.frame.bound | set(inner.frame.riding)
    }
    back = tuple(
        ((new,), (Axis(old, node.size(new)),))
        for new, old in {**renamed, **own}.items()
        if new in node.axis_names
    )
    if back:
        clash = [old for (_, (axis,)) in back for old in [axis.name] if old in node.axis_names]
        if not clash:
            node = scope.builder.emit(
                ops.RENAME, ops.RenameAttrs(back), [node], tree.span, scope.path
            )
    return Value(node)
