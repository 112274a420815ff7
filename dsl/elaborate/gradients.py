"""`grad` and its kin: derivatives of an expression with respect to a value that has a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from .. import ops
from .. import syntax as s
from ..core import Axis, DType
from ..derivatives import NoFloatError, OneWayError, worked_out
from ..diagnostics import Slug
from .by_sites import by_sites, everything_in
from .sites import read_site
from .values import HaltError, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core import Body, Node
    from ..source import Span
    from .builder import Builder, Context
    from .functions import Given
    from .values import Val

    _Direction = tuple[Node, Sequence[tuple[Axis, Axis]]]


def grad(given: Given) -> Val:
    """`grad(y, x)`: how the sum of y changes with each element of x."""
    return _backwards(given, 2, lambda asked: (asked.emit(ops.CONST, ops.ConstAttrs(1.0)), ()))


def vjp(given: Given) -> Val:
    """`vjp(y, x, c)`: the sum of y times c instead; what c has besides rides along."""
    return _backwards(given, 3, lambda asked: asked.apart_from(asked.value))


def _backwards(
    given: Given,
    count: int,
    direction: Callable[[_Asked], tuple[Node, Sequence[tuple[Axis, Axis]]]],
) -> Val:
    """By a value that has a name, or by those at an address of a run."""
    if len(given.tree.args) == count and given.items is None:
        scope, args = given.scope, [arg.value for arg in given.tree.args]
        values = [scope.evaluate(tree) for place, tree in enumerate(args) if place != 1]

        def by_one(source: Node) -> Node:
            asked = _Asked(given, count, [values[0], Value(source), *values[1:]])
            if not asked.depends:
                nothing = asked.emit(ops.CONST, ops.ConstAttrs(0.0))
                for axis in asked.source.axes:
                    nothing = scope.spread(nothing, axis, given.tree.span)
                return nothing
            return scope.node(asked.ask(*direction(asked)), given.tree.span)

        found = by_sites(given, values, by_one)
        if found is not None:
            return found
        whole = [values[0], scope.evaluate(args[1]), *values[1:]]
        return _Asked(given, count, whole, named=True).ask_in(direction)
    return _Asked(given, count).ask_in(direction)


def jvp(given: Given) -> Val:
    """`jvp(y, x, v)`: how y changes when x moves along v; what v has besides rides along."""
    asked = _Asked(given, 3)
    direction, back = asked.apart_from(asked.source)
    return asked.ask(direction, back, forward=True)


def jacobian(given: Given) -> Val:
    """`jacobian[n -> m](y, x)`: how y at each m changes with x at each n. An m that y lacks is
    another name for the axis of which it is a primed copy."""
    match given.items:
        case (s.Arrow(s.Name(old), s.Name(new)),):
            pass
        case _:
            given.wrong("`jacobian` says from which axis of the value to which of the expression")
            raise HaltError
    asked, scope, at = _Asked(given, 2), given.scope, given.tree.span
    scope.axis_named(old, asked.source, at, f"the derivative is by `{old}`")
    known = scope.axis(new)
    is_own = (new if known is None else known.name) in asked.value.axis_names
    over = new if is_own else new.rstrip("'")
    name = scope.axis_named(over, asked.value, at, f"the derivative is of `{over}`")
    axis = Axis(name, asked.value.size(name))
    target = axis if is_own else known or scope.new_axis(new, axis.size)
    apart = asked.apart(axis)
    ends = [asked.emit(ops.IOTA, ops.IotaAttrs(end)) for end in (axis, apart)]
    one = asked.emit(ops.MAP, ops.MapAttrs("float"), asked.emit(ops.MAP, ops.MapAttrs("eq"), *ends))
    return asked.ask(one, ((apart, target),))


def work_out(ctx: Context, body: Body) -> Body:
    """The program with all derivatives that it asks for, now that all types are settled."""
    try:
        return worked_out(body, ctx.spend)
    except NoFloatError as error:  # a carry that never got a float
        no_floats(ctx, error.operand, error.operand.span.text, error.request.span)
        raise HaltError from error
    except OneWayError as error:
        message = "this has a rule for the way back, and forwards no derivative goes through it"
        ctx.report(Slug.NOT_A_VALUE, message, error.node.span, hint="`grad` or `vjp`")
        raise HaltError from error


def no_floats(ctx: Context, node: Node, text: str, span: Span) -> None:
    """Report a derivative of, or by, ints or bools."""
    message = f"`{text}` holds {node.dtype}s, and only floats have a derivative"
    ctx.report(Slug.WRONG_DTYPE, message, span)


class _Asked:
    """The arguments of a derivative, in the innermost program that all of them are seen from.
    Their `values` may be known; the second is then that at an address, or else is `named`."""

    def __init__(
        self, given: Given, count: int, values: Sequence[Val] = (), *, named: bool = False
    ) -> None:
        self.given, self.scope = given, given.scope
        if given.items is not None and given.name != "jacobian":
            given.wrong(f"`{given.name}` is over no axes")
        is_site = bool(values) and not named
        values = values or given.values(count, count)
        self.trees = [arg.value for arg in given.tree.args]
        if not is_site:
            self._check_name(self.trees[1])
        for value, tree in zip(values, self.trees, strict=True):
            self.scope.node(value, tree.span)  # reports what is none
        self.builder = _common(self.scope.builder, values)
        inner = self.scope.inner(builder=self.builder)
        nodes = [inner.node(v, tree.span) for v, tree in zip(values, self.trees, strict=True)]
        self.value, self.source, self.last = nodes[0], self._before_rules(nodes[1]), nodes[-1]
        for node, tree in zip(nodes[:2], self.trees, strict=False):
            if node.dtype is not DType.FLOAT and self.builder.parent is None:
                no_floats(self.scope.ctx, node, tree.span.text, tree.span)
                raise HaltError
        self.depends = self.source.name in everything_in(self.builder, self.value)
        if not self.depends and not is_site:
            text, name = (tree.span.text for tree in self.trees[:2])
            self._fail(
                Slug.NOT_A_VALUE,
                f"`{text}` does not depend on `{name}`: its derivative is 0",
                self.trees[1],
            )

    def _before_rules(self, node: Node) -> Node:
        """What comes back to a value that has a rule is what the rule makes of it."""
        while node.op is ops.BACKWARD and node.name in self.builder.place:
            step = self.builder.steps[self.builder.place[node.name]]
            node = self.builder.find(step.operands[0])
        return node

    def emit(self, op: ops.OpDef, attrs: ops.Attrs, *operands: Node) -> Node:
        """Append an operation where the derivative stands."""
        return self.builder.emit(op, attrs, operands, self.given.tree.span, self.scope.path)

    def ask_in(self, direction: Callable[[_Asked], _Direction]) -> Val:
        """The derivative in a direction that is told from the arguments."""
        return self.ask(*direction(self))

    def ask(
        self, direction: Node, back: Sequence[tuple[Axis, Axis]] = (), *, forward: bool = False
    ) -> Val:
        """The derivative; of each pair, the first axis is that of the direction, and becomes the
        second."""
        riding = (*(apart.name for apart, _ in back), *sorted(self.scope.ctx.members))
        attrs = ops.DeriveAttrs(forward, riding, lifts=self._is_carried() and not forward)
        found = self.emit(ops.DERIVE, attrs, self.value, self.source, direction)
        for apart, target in back:
            if apart == target:
                continue
            if target.name in found.axis_names:
                self._fail(
                    Slug.WRONG_ARGUMENTS,
                    f"the result would have the axis `{target.name}` twice",
                    self.given.tree,
                    f"a second copy is primed: `{target.name}'`",
                )
            pairs = (((apart.name,), (target,)),)
            found = self.emit(ops.RENAME, ops.RenameAttrs(pairs), found)
        return Value(found)

    def apart_from(self, like: Node) -> tuple[Node, list[tuple[Axis, Axis]]]:
        """The direction, which is for `like`, with what it has besides called apart."""
        direction = self.last
        if direction.dtype is not DType.FLOAT:
            direction = self.emit(ops.MAP, ops.MapAttrs("float"), direction)
        back = [
            (self.apart(axis), axis) for axis in direction.axes if axis.name not in like.axis_names
        ]
        pairs = tuple(((axis.name,), (apart,)) for apart, axis in back)
        return self.emit(ops.RENAME, ops.RenameAttrs(pairs), direction), back

    def apart(self, axis: Axis) -> Axis:
        """The axis by a name that nothing in the program has."""
        taken = {own.name for step in self.builder.steps for own in step.node.axes}
        name = axis.name + "'"
        while name in taken:
            name += "'"
        return Axis(name, axis.size)

    def _check_name(self, tree: s.Expr) -> None:
        named = isinstance(tree, s.Name | s.Attr)
        if isinstance(tree, s.Index):
            named = read_site(tree, self.scope) is not None
        if isinstance(tree, s.Call) and isinstance(tree.target, s.Name):
            named = tree.target.id == "prev"
        if not named:
            self._fail(
                Slug.NOT_A_VALUE,
                f"a derivative is by a value that has a name, and `{tree.span.text}` has none",
                tree,
                f"`name = {tree.span.text}` above, and `name` in the expression too",
            )

    def _is_carried(self) -> bool:
        """Whether the source is made of a carry: it has then what rides along, as a carry has."""
        outer = (*self.builder.per_step.values(), *self.builder.constant.values())
        given = {inner.name for _, inner in outer}
        return self.builder.parent is not None and any(
            self.builder.steps[self.builder.place[name]].node.op is ops.INPUT and name not in given
            for name in everything_in(self.builder, self.source)
        )

    def _fail(self, slug: Slug, message: str, tree: s.Expr, hint: str | None = None) -> NoReturn:
        self.scope.fail(slug, message, tree.span, hint=hint)


def _common(builder: Builder, values: Sequence[Val]) -> Builder:
    """The innermost builder in which one of the values is made."""
    made = [value.node.name for value in values if isinstance(value, Value)]
    while builder.parent is not None and not any(name in builder.place for name in made):
        builder = builder.parent
    return builder
