"""Expressions: names, arithmetic, and who handles the rest."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from .. import ops, sizes
from .. import syntax as s
from ..core import names
from ..diagnostics import Note, Severity, Slug, or_any, or_nearest
from .builtins import BUILTINS, UNARY, as_block, builtin_call
from .calls import DEEPEST, call, template
from .indexing import index_value
from .owned import call_owned
from .sites import read_site
from .structure import walk
from .values import Formula, HaltError, Instance, Known, Poison, Run, Table, Template, Val, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Axis, Node
    from .scope import Scope

CONSTANTS: dict[str, float | bool] = {
    "true": True,
    "false": False,
    "inf": math.inf,
    "pi": math.pi,
    "nan": math.nan,
}
OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "^": "pow",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "and": "and",
    "or": "or",
}
_ON_NUMBERS: dict[str, Callable[..., float | bool]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "^": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
}
_ON_SIZES = {"+": sizes.add, "-": sizes.subtract, "*": sizes.multiply}


def evaluate_all(tree: s.Expr, scope: Scope, address: str | None) -> tuple[Val, ...]:
    """What an expression stands for: several values only from a call."""
    if isinstance(tree, s.Call):
        return call_value(tree, scope, address)
    return (evaluate(tree, scope),)


def evaluate(tree: s.Expr, scope: Scope) -> Val:
    """What an expression stands for. Calls in it that nobody names get their block's name."""
    match tree:  # the most frequent first
        case s.Name():
            return _name(tree, scope)
        case s.Call():
            return scope.evaluate(tree)
        case s.Number():
            return Known(tree.value)
        case s.Binary():
            if tree.op == "in":
                return _member(tree, tree.left, tree.right, scope)
            left, right = evaluate(tree.left, scope), evaluate(tree.right, scope)
            return binary(tree.op, left, right, tree, scope)
        case s.Index():
            found = read_site(tree, scope)
            return found if found is not None else _index(tree, scope)
        case s.SizeOf():
            return _size(tree, scope)
        case s.Unary():
            return _unary(tree, scope)
        case s.Attr():
            found = read_site(tree, scope)
            return found if found is not None else _attr(tree, scope)
        case s.Text():
            return Known(tree.value)
        case s.At(name):
            scope.fail(
                Slug.NOT_A_VALUE,
                f"`@{name}` is a position of an example, and stands in an index",
                tree.span,
                hint=f"x[t = @{name}]",
            )
        case s.Range():
            scope.fail(
                Slug.NOT_A_VALUE,
                "a range stands in an index or a sweep",
                tree.span,
                hint=f"x[t = {tree.span.text}]",
            )
        case _:
            scope.fail(Slug.NOT_A_VALUE, "a list is no value here", tree.span)
    return None


def call_value(tree: s.Call, scope: Scope, address: str | None) -> tuple[Val, ...]:
    """A call of a block, a shared part or a built-in function; `address` is where its insides
    live."""
    items: tuple[s.Item, ...] | None = None
    target = tree.target
    if isinstance(target, s.Index):
        items, target = target.items, target.base
    if isinstance(target, s.Attr):
        made = call_owned(tree, target, items or (), scope)
        if made is not None:
            return made
    if not isinstance(target, s.Name):
        hint = None
        if isinstance(target, s.Call) and all(isinstance(arg.value, s.Name) for arg in target.args):
            axes = ", ".join(arg.span.text for arg in target.args)  # max(k)(x)
            hint = f"brackets hold axes: `{target.target.span.text}[{axes}](...)`"
        scope.fail(
            Slug.UNKNOWN_BLOCK, "only a block or a function can be called", target.span, hint=hint
        )
    found = scope.lookup(target.id)
    if found is None:
        found = scope.global_value(target.id)
    if found is None and target.id in BUILTINS:
        return builtin_call(target.id, items, tree, scope, address)
    match found:
        case Template() | Instance():
            return call(found, items or (), tree, scope, address)
        case Formula():
            return (measure(found, tree, scope),)
        case Poison():
            raise HaltError
        case None:
            near = [*BUILTINS, *scope.frame.module.visible()]
            scope.fail(
                Slug.UNKNOWN_BLOCK,
                f"no block or function is called `{target.id}`",
                target.span,
                hint=or_nearest(target.id, near),
            )
        case _:
            notes = []
            if (span := scope.assigned_at(target.id)) is not None:
                notes = [Note(f"`{target.id}` is assigned", span)]
            scope.fail(
                Slug.UNKNOWN_BLOCK,
                f"`{target.id}` is a value, not a block",
                target.span,
                notes=notes,
                hint=f"`{target.id}[...]` selects, `{target.id} * (...)` multiplies",
            )
    return None


def measure(formula: Formula, tree: s.Call, scope: Scope) -> Val:
    """A measure of runs: its expression with the runs in the place of its parameters."""
    params = formula.tree.params
    runs = [scope.evaluate(arg.value) for arg in tree.args]
    if len(runs) != len(params) or not all(isinstance(run, Run | Poison) for run in runs):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{formula.tree.name}` is a measure of {len(params)} "
            f"run{'' if len(params) == 1 else 's'}",
            tree.span,
            notes=[Note("it is said", formula.tree.span)],
            hint=f"{formula.tree.name}({', '.join(params)})",
        )
    inner = formula.scope.inner(names=dict(zip(params, runs, strict=True)), axes=scope.known_axes())
    if scope.ctx.depth > DEEPEST:
        scope.fail(Slug.RECURSIVE, f"`{formula.tree.name}` measures itself without end", tree.span)
    scope.ctx.spend(tree.span)
    scope.ctx.depth += 1
    try:
        return inner.evaluate(formula.tree.value)
    finally:
        scope.ctx.depth -= 1


def _name(tree: s.Name, scope: Scope) -> Val:
    found = scope.lookup(tree.id)
    if found is not None:
        return found
    site = read_site(tree, scope)
    if site is not None:
        return site
    if tree.id in CONSTANTS:
        return Known(CONSTANTS[tree.id])
    if tree.id == "training":
        scope.ctx.reads_mode = True
        return Known(scope.ctx.training)
    axis = scope.need_axis(tree.id, tree.span) if tree.id.endswith("'") else scope.axis(tree.id)
    axis = axis or introduced(tree.id, scope)
    if axis is not None:
        builder = around = scope.builder
        while around.parent is not None:  # inside a scan, its axis stands for the present step
            if around.axis is not None and around.axis.name == axis.name:
                builder = around.parent
            around = around.parent
        return Value(builder.emit(ops.IOTA, ops.IotaAttrs(axis), [], tree.span, scope.path))
    known = scope.global_value(tree.id)
    if known is None and tree.id in UNARY:
        known = as_block(tree.id)
    if known is not None:
        return known
    if tree.id in BUILTINS:
        usage = BUILTINS[tree.id].usage
        scope.fail(
            Slug.NOT_A_VALUE,
            f"`{tree.id}` is a function, and not called here",
            tree.span,
            hint=usage,
        )
    near = [*_all_names(scope), *scope.known_axes(), *CONSTANTS]
    scope.fail(
        Slug.UNKNOWN_NAME,
        f"`{tree.id}` is not assigned above",
        tree.span,
        notes=_inside(tree.id, scope),
        hint=or_nearest(tree.id, near),
    )
    return None


def _inside(name: str, scope: Scope) -> list[Note]:
    """That a name is one of the turns of a loop, which nobody outside sees."""
    if name not in scope.frame.inside:
        return []
    loop, place = scope.frame.inside[name]
    return [Note(f"each turn of `{loop}` has its own, assigned", place)]


def introduced(name: str, scope: Scope) -> Axis | None:
    """An axis that a copy further on in the same statement makes: `where(s <= t, f(key[t -> s]),
    0)`."""
    for tree in walk(scope.ctx.statement):
        match tree:
            case s.Arrow(s.Name(old), s.Name(new)) if new == name and scope.axis(old) is not None:
                return scope.new_axis(name, scope.need_axis(old, tree.span).size)
    return None


def _all_names(scope: Scope | None) -> list[str]:
    found: list[str] = []
    while scope is not None:
        found += scope.names
        scope = scope.parent
    return found


def _size(tree: s.SizeOf, scope: Scope) -> Val:
    if tree.pack:
        if tree.axis not in scope.frame.packs:
            scope.fail(
                Slug.UNKNOWN_AXIS, f"no pack of axes is called `*{tree.axis}` here", tree.span
            )
        size = sizes.product(axis.size for axis in scope.frame.packs[tree.axis])
    else:
        size = scope.need_axis(tree.axis, tree.span).size
    return Known(size)


def _unary(tree: s.Unary, scope: Scope) -> Val:
    value = evaluate(tree.operand, scope)
    if isinstance(value, Known):
        match tree.op, value.value:
            case "-", int() | float() as number:
                return Known(-number)
            case "-", sizes.Poly() as size:
                return Known(sizes.multiply(-1, size))
            case "+", int() | float() | sizes.Poly():
                return value
            case "not", bool() as truth:
                return Known(not truth)
    node = scope.node(value, tree.span)
    if tree.op == "+":
        return Value(node)
    return Value(scope.map("neg" if tree.op == "-" else "not", [node], tree.span))


def binary(op: str, left: Val, right: Val, tree: s.Binary, scope: Scope) -> Val:
    """Arithmetic and logic: on numbers at once, on tensors by name."""
    if isinstance(left, Known) and isinstance(right, Known):
        folded = _fold(op, left.value, right.value, tree, scope)
        if folded is not None:
            return folded
    a, b = scope.node(left, tree.left.span), scope.node(right, tree.right.span)
    _check_sizes(a, b, tree, scope)
    _check_shared(a, b, tree, scope)
    return Value(scope.map(OPERATORS[op], [a, b], tree.span))


def _fold(op: str, a: object, b: object, tree: s.Binary, scope: Scope) -> Known | None:
    if isinstance(a, str) and isinstance(b, str) and op in ("==", "!="):
        return Known(_ON_NUMBERS[op](a, b))
    if isinstance(a, str) or isinstance(b, str):
        return None
    if isinstance(a, sizes.Poly) or isinstance(b, sizes.Poly):
        if isinstance(a, int | sizes.Poly) and isinstance(b, int | sizes.Poly):
            if op in _ON_SIZES:
                return Known(_ON_SIZES[op](a, b))
            if op == "//" and isinstance(b, int) and b > 0:
                return Known(sizes.floor_divide(a, b))
        return None
    assert isinstance(a, int | float)
    assert isinstance(b, int | float)
    if (
        op == "^"
        and isinstance(a, int)
        and isinstance(b, int)
        and (b < 0 or b * max(abs(a), 2).bit_length() > 64)
    ):
        a = float(a)
    try:
        result = _ON_NUMBERS[op](a, b)
    except (ZeroDivisionError, OverflowError):
        scope.fail(Slug.BAD_SIZE, f"`{tree.span.text}` has no value", tree.span)
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) > 2**63):
        scope.fail(Slug.BAD_SIZE, f"`{tree.span.text}` is out of range", tree.span)
    return Known(result)


def _check_sizes(a: Node, b: Node, tree: s.Binary, scope: Scope) -> None:
    """An axis of both sides has one size."""
    if a.axes == b.axes:
        return
    sides = {axis.name: axis.size for axis in a.axes}
    for axis in b.axes:
        first = sides.get(axis.name, axis.size)
        if first != axis.size:
            known = {own.name: name for name, own in scope.known_axes().items()}
            name = known.get(axis.name, axis.name)
            left, right = tree.left.span.text, tree.right.span.text
            message = (
                f"`{left}` has {scope.say_size(first, name)} positions of `{name}`, "
                f"and `{right}` has {scope.say_size(axis.size, name)}"
            )
            if sizes.counts(first) and sizes.counts(axis.size):
                message = f"`{left}` and `{right}` are packed along `{name}` by different masks"
            elif sizes.counts(first) or sizes.counts(axis.size):
                packed, other = (left, right) if sizes.counts(first) else (right, left)
                message = f"`{packed}` is packed along `{name}`, and `{other}` is not"
            scope.fail(Slug.SIZE_MISMATCH, message, tree.span)


def _check_shared(a: Node, b: Node, tree: s.Binary, scope: Scope) -> None:
    """Two tensors without a common axis make an outer product: seldom meant."""
    # what is in a bank, or what rides along (a sweep is one), is a value for each of its positions
    each = {axis.name for axis in scope.banks} | set(scope.frame.riding)
    left, right = a.axis_names - each, b.axis_names - each
    if not left or not right or left & right:
        return
    if "float" not in (a.dtype, b.dtype) or a.dtype != b.dtype:
        return  # comparing and subtracting indices is how masks and distances are made
    scope.ctx.report(
        Slug.SHARED_NO_AXIS,
        f"the two sides share no axis: {scope.say_axes(a)} against {scope.say_axes(b)}",
        tree.span,
        severity=Severity.WARNING,
    )


def _member(tree: s.Binary, left: s.Expr, right: s.Expr, scope: Scope) -> Val:
    if not isinstance(right, s.Listing) or not right.items:
        scope.fail(
            Slug.NOT_A_VALUE,
            "`in` wants a set of numbers on its right",
            right.span,
            hint=f"{left.span.text} in {{1, 5}}",
        )
    value = evaluate(left, scope)
    total: Val | None = None
    for item in right.items:
        same = binary(
            "==", value, evaluate(item, scope), s.Binary("==", left, item, span=tree.span), scope
        )
        total = same if total is None else binary("or", total, same, tree, scope)
    assert total is not None
    return total


def _index(tree: s.Index, scope: Scope) -> Val:
    """A selection from a value, or a block with axes given: `gla[h = 4]`."""
    if isinstance(tree.base, s.Name):
        found = scope.lookup(tree.base.id)
        if found is None and scope.axis(tree.base.id) is None:
            found = scope.global_value(tree.base.id)
        if isinstance(found, Template):
            return template(found, tree.items, scope)
    return index_value(tree, scope)


def _attr(tree: s.Attr, scope: Scope) -> Val:
    """A parameter of a shared part: `enc.w`."""
    path: list[str] = []
    base: s.Expr = tree
    while isinstance(base, s.Attr):
        path.insert(0, base.name)
        base = base.base
    found = scope.lookup(base.id) if isinstance(base, s.Name) else None
    if isinstance(found, Instance):
        address = ".".join([found.path, *path])
        if address in scope.ctx.params:
            return Value(scope.ctx.params[address])
        decided = scope.ctx.decided.get(found.path, {})
        made = decided.get(".".join(path))
        if made is not None and scope.builder.knows(made):
            return Value(made)
        prefix = found.path + "."
        own = [a.removeprefix(prefix) for a in scope.ctx.params if a.startswith(prefix)]
        own += decided
        scope.fail(
            Slug.UNKNOWN_SITE,
            f"`{found.path}` has no parameter `{'.'.join(path)}`",
            tree.span,
            hint=or_nearest(".".join(path), own)
            or (None if own else f"`{found.path}` has parameters once it is called"),
        )
    if isinstance(found, Poison):
        raise HaltError
    if isinstance(found, Table):
        if len(path) == 1 and path[0] in found.fields:
            return Value(found.fields[path[0]])
        scope.fail(
            Slug.UNKNOWN_FIELD,
            f"the data `{found.name}` has no field `{'.'.join(path)}`",
            tree.span,
            hint=or_any(path[0], found.fields),
        )
    if isinstance(found, Value):
        scope.fail(
            Slug.NOT_A_VALUE,
            f"a value has no parts: it has {scope.say_axes(found.node)}",
            tree.span,
            hint=f"{base.span.text}[{next(iter(names(found.node.axes)), 't')} = 0]",
        )
    scope.fail(Slug.UNKNOWN_NAME, f"`{tree.span.text}` is not known here", tree.span)
    return None
