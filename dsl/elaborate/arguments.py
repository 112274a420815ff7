"""What a call is given: the values by parameter, and whether each is what its header says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug, or_nearest
from .builtins import BUILTINS
from .scope import Scope, join
from .values import HaltError, Instance, Known, Poison, Template, Val, Value

if TYPE_CHECKING:
    from ..core import Node
    from ..source import Span


def check_names(block: s.Block, args: dict[str, Val], tree: s.Call, scope: Scope) -> None:
    """What is given by name is a parameter of the block."""
    known = [param.name for param in block.params]
    axes = {side.axis for side in block.axes if isinstance(side, s.Bind)}
    for arg in tree.args:
        if arg.name is not None and arg.name not in known:
            hint = or_nearest(arg.name, known)
            if arg.name in axes:
                rest = ", ".join(other.span.text for other in tree.args if other is not arg)
                hint = f"`{arg.name}` is an axis: `{block.name}[{arg.span.text}]({rest})`"
            takes = ", ".join(f"`{name}`" for name in known) or "nothing"
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{block.name}` has no argument `{arg.name}`",
                arg.span,
                notes=[Note(f"`{block.name}` takes {takes}", block.span)],
                hint=hint,
            )


def arguments(
    base: Template, tree: s.Call, scope: Scope, wrapped: str | None
) -> dict[str, tuple[Val, Span]]:
    """The values by parameter name. A wrapper without parameters lends its address (`wrapped`) to
    the call that it wraps."""
    block = base.block
    values: dict[str, tuple[Val, Span]] = {name: (v, tree.span) for name, v in base.args.items()}
    free = [param.name for param in block.params if param.name not in base.args]
    check_names(block, {}, tree, scope)
    for position, arg in enumerate(tree.args):
        if arg.name is None and not free:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{block.name}` takes {len(block.params)} "
                f"argument{'s' if len(block.params) != 1 else ''}, "
                f"and is given {len(tree.args)}",
                arg.span,
                notes=[Note(f"`{block.name}` is defined", block.span)],
            )
        name = arg.name or free[0]
        if name in free:
            free.remove(name)
        elif name in values and arg.name is not None and name not in base.args:
            scope.fail(Slug.WRONG_ARGUMENTS, f"`{name}` is given twice", arg.span)
        if position == 0 and wrapped is not None and isinstance(arg.value, s.Call):
            value = scope.evaluate(arg.value, wrapped if _lends(arg.value, scope) else None)
        else:
            value = scope.evaluate(arg.value)
        values[name] = (value, arg.span)
    if any(isinstance(value, Poison) for value, _ in values.values()):
        raise HaltError
    for param in block.params:
        if param.name not in values and param.default is None:
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{block.name}` needs `{param.name}`, which is not given",
                tree.span,
                notes=[Note("it is declared", param.span)],
            )
    return values


def _lends(tree: s.Call, scope: Scope) -> bool:
    """Whether the call may live at the address of a wrapper: a block does, a function passes it
    on."""
    target = tree.target.base if isinstance(tree.target, s.Index) else tree.target
    if not isinstance(target, s.Name):
        return False
    found = scope.lookup(target.id) or scope.global_value(target.id)
    return isinstance(found, Template) or (found is None and target.id in BUILTINS)


def is_tensor(param: s.Param, value: Val) -> bool:
    """Whether the parameter is given axes: a tensor, or a number where its type has some."""
    if param.kind == "block":
        return False
    return isinstance(value, Value) or (
        param.axes is not None and isinstance(value, Known) and not isinstance(value.value, str)
    )


def bind_param(
    param: s.Param,
    values: dict[str, tuple[Val, Span]],
    nodes: dict[str, Node],
    inner: Scope,
    scope: Scope,
    tree: s.Call,
) -> None:
    """Let the parameter stand for what is given, or for its default, inside the block."""
    if param.name in nodes:
        node = nodes[param.name]
        _check_dtype(param, node, scope, values[param.name][1])
        address = inner.ctx.claim(join(inner.path, param.name), "in")
        named = inner.builder.name(node, address, tree.span, inner.path, apart=True)
        value: Val = Value(named)
    elif param.name in values:
        value = values[param.name][0]
        if param.kind == "block" and not isinstance(value, Template | Instance | Poison):
            at = values[param.name][1]
            scope.fail(
                Slug.WRONG_ARGUMENTS,
                f"`{param.name}` wants a block, and `{_given(at, param.name)}` is none",
                at,
                notes=[Note("it is declared", param.span)],
                hint=f"{param.name} = mlp",
            )
    else:
        assert param.default is not None
        value = inner.evaluate(param.default)
        if param.axes is not None and isinstance(value, Known):
            value = Value(inner.node(value, param.span))
    inner.names[param.name] = value
    inner.spans[param.name] = param.span


def _given(span: Span, name: str) -> str:
    """What is given, without the name that it is given for."""
    return re.sub(rf"^{name}\s*=\s*", "", span.text)


def _check_dtype(param: s.Param, node: Node, scope: Scope, span: Span) -> None:
    wanted = param.kind or ("float" if param.axes is not None else None)
    fits = {"int": ("int", "bool"), "bool": ("bool",), "float": ("float", "int", "bool")}
    if wanted in fits and node.dtype not in fits[wanted]:
        hint = (
            f"int({_given(span, param.name)})"
            if wanted == "int"
            else f"{_given(span, param.name)} > 0"
        )
        scope.fail(
            Slug.WRONG_DTYPE,
            f"`{param.name}` wants {wanted}, and this is {node.dtype}",
            span,
            notes=[Note("it is declared", param.span)],
            hint=hint,
        )
