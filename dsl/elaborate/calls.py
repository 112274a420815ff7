"""Calling a block: what its axes are bound to, which axes ride along, where its insides live."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from .. import ops, sizes
from .. import syntax as s
from ..core import Axis, Node, names
from ..diagnostics import Note, Slug, or_nearest
from .brackets import bind_brackets
from .builtins import BUILTINS
from .scope import Frame, Scope, join
from .statements import run_steps
from .structure import axis_words, owns_parameters, speaks_of_axes
from .values import Binding, HaltError, Instance, Known, Poison, Template, Val, Value

if TYPE_CHECKING:
    from ..source import Span

DEEPEST = 48


def template(base: Template, items: tuple[s.Item, ...], scope: Scope) -> Template:
    """A template with more axes given."""
    return replace(base, items=(*base.items, *((item, scope) for item in items)))


def call(
    target: Template | Instance,
    items: tuple[s.Item, ...],
    tree: s.Call,
    scope: Scope,
    address: str | None,
) -> tuple[Val, ...]:
    """Call a block, or make a template of one when no tensor is given to it."""
    base = target if isinstance(target, Template) else target.template
    base = template(base, items, scope)
    block = base.block
    if block.kind == "model":
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{block.name}` is a model; only blocks are called in blocks",
            tree.span,
        )
    if isinstance(target, Template) and tree.args and all(arg.name for arg in tree.args):
        given = {arg.name for arg in tree.args}
        if any(
            p.default is None and p.name not in given and p.name not in base.args
            for p in block.params
        ):
            args = {arg.name or "": scope.evaluate(arg.value) for arg in tree.args}
            _check_names(block, args, tree, scope)
            return (replace(base, args={**base.args, **args}),)
    own, anonymous = address is not None or not isinstance(target, Template), address is None
    if address is None:
        address = _anonymous(block, scope)
    inner_address = (
        address
        if own and isinstance(target, Template) and not owns_parameters(block, base.module)
        else None
    )
    values = _arguments(base, tree, scope, inner_address)
    where = target.path if isinstance(target, Instance) else None
    ctx = scope.ctx
    ctx.spend(tree.span)
    if ctx.depth >= DEEPEST:
        _too_deep(block, tree, scope)
    ctx.depth += 1
    ctx.calls.append((block.name, tree.span))
    outer_fill, ctx.fill = ctx.fill, 0.0
    statement = ctx.statement
    try:
        results = _enter(base, values, tree, scope, address, where)
    finally:
        ctx.depth -= 1
        ctx.calls.pop()
        ctx.fill, ctx.statement = outer_fill, statement
    if anonymous and len(results) == 1 and isinstance(results[0], Value):
        node = results[0].node
        if node.name in scope.builder.place and scope.builder.current(node).site is None:
            claimed = scope.ctx.claim(address, "it")
            return (Value(scope.builder.name(node, claimed, tree.span, scope.path)),)
    return results


def _too_deep(block: s.Block, tree: s.Call, scope: Scope) -> NoReturn:
    """A block that calls itself, in the end; the last call of the one that is met most often."""
    calls = [*scope.ctx.calls, (block.name, tree.span)]
    called = [name for name, _ in calls]
    most = max(called, key=called.count)
    if called.count(most) < 3:
        scope.fail(Slug.TOO_LARGE, f"blocks are called more than {DEEPEST} deep here", tree.span)
    at = [span for name, span in calls if name == most][-1]
    scope.fail(Slug.RECURSIVE, f"`{most}` calls itself without end", at)


def _anonymous(block: s.Block, scope: Scope) -> str:
    """Under the block's name, numbered from the second."""
    count = scope.counts[block.name] = scope.counts.get(block.name, 0) + 1
    return join(scope.path, block.name if count == 1 else f"{block.name}.{count}")


def _check_names(block: s.Block, args: dict[str, Val], tree: s.Call, scope: Scope) -> None:
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


def _arguments(
    base: Template, tree: s.Call, scope: Scope, wrapped: str | None
) -> dict[str, tuple[Val, Span]]:
    """The values by parameter name. A wrapper without parameters lends its address (`wrapped`) to
    the call that it wraps."""
    block = base.block
    values: dict[str, tuple[Val, Span]] = {name: (v, tree.span) for name, v in base.args.items()}
    free = [param.name for param in block.params if param.name not in base.args]
    _check_names(block, {}, tree, scope)
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


def _enter(
    base: Template,
    values: dict[str, tuple[Val, Span]],
    tree: s.Call,
    scope: Scope,
    address: str,
    params: str | None,
) -> tuple[Val, ...]:
    block, ctx = base.block, scope.ctx
    frame = Frame(base.module, reserved=scope.around())
    inner = Scope(
        ctx,
        scope.builder,
        frame,
        address,
        params if params is not None else _param_path(scope, address),
        banks=scope.banks,
    )
    nodes = {
        param.name: scope.node(values[param.name][0], values[param.name][1])
        for param in block.params
        if param.name in values and _is_tensor(param, values[param.name][0])
    }
    binding, nodes = bind_brackets(base, nodes, tree, scope, inner)
    _bind_types(block, binding, nodes, tree, scope, inner)
    renamed = _keep_apart(base, binding, nodes, tree, scope, inner)
    first = [
        param
        for param in block.params  # values that sizes may speak of
        if param.name not in nodes and (param.name in values or not _after_axes(param, base))
    ]
    for param in first:
        _bind_param(param, values, nodes, inner, scope, tree)
    _own_axes(block, binding, inner)
    for param in block.params:
        if param not in first:
            _bind_param(param, values, nodes, inner, scope, tree)
    run_steps(block.body, inner)
    results = check_count(block, inner)
    return tuple(
        _result(value, declared, renamed, block, tree, scope, inner, at)
        for value, declared, at in zip(results, block.results, frame.returned, strict=True)
    )


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


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


def _after_axes(param: s.Param, base: Template) -> bool:
    return param.default is not None and speaks_of_axes(param.default, base.block, base.module)


def _param_path(scope: Scope, address: str) -> str:
    """Where parameters of a call at `address` live: under `share`, without the turn."""
    if scope.params == scope.path:
        return address
    return join(scope.params, address.removeprefix(scope.path).lstrip("."))


def _is_tensor(param: s.Param, value: Val) -> bool:
    if param.kind == "block":
        return False
    return isinstance(value, Value) or (
        param.axes is not None and isinstance(value, Known) and not isinstance(value.value, str)
    )


def _bind_types(
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


def _keep_apart(
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
    for name, node in nodes.items():
        clashes = []
        for axis in node.axes:
            if axis.name in inner.frame.bound:
                continue
            if axis.name in taken:
                kept = "^" + axis.name
                while kept in present:
                    kept = "^" + kept
                new = Axis(kept, axis.size)
                clashes.append(((axis.name,), (new,)))
                renamed[new.name] = axis.name
                inner.frame.riding[new.name] = new
            else:
                inner.frame.riding[axis.name] = axis
        if clashes:
            nodes[name] = scope.builder.emit(
                ops.RENAME, ops.RenameAttrs(tuple(clashes)), [node], tree.span, scope.path
            )
    return renamed


def _own_axes(block: s.Block, binding: Binding, inner: Scope) -> None:
    for item in block.axes:
        if isinstance(item, s.Bind) and item.axis not in binding.bound:
            size = binding.sized.get(item.axis)
            inner.new_axis(item.axis, size if size is not None else inner.axis_size(item.value))
        elif isinstance(item, s.Name) and item.id in binding.sized and item.id not in binding.bound:
            inner.new_axis(item.id, binding.sized[item.id])


def _bind_param(
    param: s.Param,
    values: dict[str, tuple[Val, Span]],
    nodes: dict[str, Node],
    inner: Scope,
    scope: Scope,
    tree: s.Call,
) -> None:
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


def _result(
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
