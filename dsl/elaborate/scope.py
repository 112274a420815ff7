"""What names and axes mean at one place of a block, and the address of that place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from .. import ops, sizes
from ..core import Axis, Node, names
from ..diagnostics import Note, Slug, or_nearest
from ..syntax import Block
from .values import Formula, HaltError, Known, Poison, Run, Table, Template, Val, Value, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..modules import Module
    from ..sizes import Size
    from ..source import Span
    from ..syntax import Expr
    from .builder import Builder, Context


LARGEST = 2**31  # positions of an axis


def join(path: str, name: str) -> str:
    """An address inside another."""
    return f"{path}.{name}" if path else name


@dataclass(eq=False)
class Frame:
    """What all scopes of one call of a block share."""

    module: Module
    bound: set[str] = field(default_factory=set)  # graph names that the caller's axes have
    riding: dict[str, Axis] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()  # graph names that may ride in later, on a carry
    packs: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    results: tuple[Val, ...] | None = None
    returned: tuple[Span, ...] = ()  # where the results stand
    states: dict[str, str] = field(default_factory=dict)  # name -> address
    inside: dict[str, tuple[str, Span]] = field(default_factory=dict)  # what only turns have
    run: Run | None = None  # whose sites may be read without its name
    positions: dict[str, Node] = field(default_factory=dict)  # what `@name` stands for


@dataclass(eq=False)
class Scope:
    """A place: its names, its axes, its address. `params` is where parameters live."""

    ctx: Context
    builder: Builder
    frame: Frame
    path: str
    params: str
    parent: Scope | None = None
    names: dict[str, Val] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    axes: dict[str, Axis] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    banks: tuple[Axis, ...] = ()
    owners: tuple[Axis, ...] = ()  # those banks whose members have parameters of their own
    carried: dict[str, Val] = field(default_factory=dict)  # the old values, for `prev`
    kept: dict[str, tuple[Axis, ...]] = field(default_factory=dict)  # the axes written at a carry

    def inner(self, **changes: object) -> Scope:
        """A scope inside this one."""
        given: dict[str, object] = {
            "ctx": self.ctx,
            "builder": self.builder,
            "frame": self.frame,
            "path": self.path,
            "params": self.params,
            "parent": self,
            "banks": self.banks,
            "owners": self.owners,
            "counts": self.counts,
        }
        return Scope(**{**given, **changes})  # type: ignore[arg-type]  # the fields, by name

    # ---- saying what is wrong

    def fail(
        self,
        slug: Slug,
        message: str,
        span: Span,
        *,
        notes: Sequence[Note] = (),
        hint: str | None = None,
    ) -> NoReturn:
        """Report, and give up on this step."""
        self.ctx.report(slug, message, span, notes=notes, hint=hint)
        raise HaltError

    # ---- names

    def lookup(self, name: str) -> Val | None:
        """What a name of this block stands for, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def owner(self, name: str) -> Scope | None:
        """The scope of this block in which the name is."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.parent
        return scope

    def assigned_at(self, name: str) -> Span | None:
        """Where the name got its value."""
        owner = self.owner(name)
        return owner.spans.get(name) if owner is not None else None

    def global_value(self, name: str) -> Val | None:
        """What a name stands for in the file or in `std`."""
        if name in self.frame.module.broken:
            return Poison()
        found = self.frame.module.find(name)
        if found is not None and isinstance(found[0], Block):
            return Template(found[0], found[1])
        return None

    # ---- axes

    def axis(self, name: str) -> Axis | None:
        """The axis that a name stands for here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.axes:
                return scope.axes[name]
            scope = scope.parent
        return None

    def known_axes(self) -> dict[str, Axis]:
        """All axes that have a name here."""
        outer = self.parent.known_axes() if self.parent is not None else {}
        return {**outer, **self.axes}

    def around(self) -> frozenset[str]:
        """The graph names that may yet ride in where a call stands: in a scan, with a carry."""
        if not self.builder.in_scan:
            return self.frame.reserved
        known = {axis.name for axis in self.known_axes().values()}
        return self.frame.reserved.union(known, self.frame.bound, self.frame.riding)

    def need_axis(self, name: str, span: Span) -> Axis:
        """The axis, or an error that says how to give it a size."""
        found = self.axis(name)
        if (
            found is None
            and name.endswith("'")
            and (first := self.axis(name.rstrip("'"))) is not None
        ):
            return self.new_axis(name, first.size)  # a second copy
        if found is None:
            near = or_nearest(name, self.known_axes())
            self.fail(
                Slug.UNKNOWN_AXIS,
                f"no axis is called `{name}` here",
                span,
                hint=near or f"give it a size where it is made: `{name} = 16`",
            )
        return found

    def new_axis(self, name: str, size: Size) -> Axis:
        """Make an axis of this block; an axis of the caller with that name is kept apart."""
        graph = name
        while (
            graph in self.frame.bound or graph in self.frame.riding or graph in self.frame.reserved
        ):
            graph += "'"
        axis = Axis(graph, size)
        self.axes[name] = axis
        return axis

    def axis_named(self, name: str, value: Node, span: Span, what: str) -> str:
        """The graph's name of the axis that `name` is on `value`, or an error."""
        found = self.axis(name)
        if found is not None and found.name in value.axis_names:
            return found.name
        if name in value.axis_names:
            return name
        notes = []
        builder: Builder | None = self.builder
        while builder is not None and builder.axis is not None:
            if found is not None and builder.axis.name == found.name:
                notes = [
                    Note(f"inside `scan {name}`, what has `{name}` is taken at the present step")
                ]
            builder = builder.parent
        self.fail(
            Slug.UNKNOWN_AXIS,
            f"{what}, but the value has {self.say_axes(value)}",
            span,
            notes=notes,
            hint=or_nearest(name, value.axis_names) if not notes else None,
        )
        return None

    def say_axes(self, value: Node) -> str:
        """`axes t and s`, in the names used here."""
        known = {axis.name: name for name, axis in self.known_axes().items()}
        words = [f"`{known.get(n, n)}`" for n in names(value.axes)]
        if not words:
            return "no axes"
        if len(words) == 1:
            return f"the axis {words[0]}"
        return f"axes {', '.join(words[:-1])} and {words[-1]}"

    def say_size(self, size: Size, axis: str) -> str:
        """A size; one that a lone block was given for no reason, as that of its axis."""
        return (
            f"|{axis}|" if self.ctx.lone is not None and size == self.ctx.lone else sizes.show(size)
        )

    # ---- values

    def evaluate(self, tree: Expr, address: str | None = None) -> Val:
        """What an expression stands for here; if it is a call, its insides live at `address`."""
        values = self.evaluate_all(tree, address)
        if len(values) != 1:
            self.fail(
                Slug.WRONG_ARGUMENTS,
                f"this gives {len(values)} values, and one is wanted",
                tree.span,
                hint=f"{', '.join('abcdef'[: len(values)])} = {tree.span.text}",
            )
        return values[0]

    def evaluate_all(self, tree: Expr, address: str | None = None) -> tuple[Val, ...]:
        """All the values that an expression gives."""
        return self.ctx.evaluate(tree, self, address)

    def constant(self, tree: Expr, what: str) -> float | int | bool:
        """A number that must be known at compile time."""
        value = settled(self.evaluate(tree), self.ctx.sweeping)
        if isinstance(value, Poison):
            raise HaltError
        if not isinstance(value, Known) or isinstance(value.value, str | sizes.Poly):
            self.fail(Slug.NOT_CONSTANT, f"{what} must be known before the model runs", tree.span)
        return value.value

    def whole(self, tree: Expr, what: str) -> int:
        """A whole number that must be known at compile time."""
        number = self.constant(tree, what)
        if isinstance(number, bool) or not isinstance(number, int):
            self.fail(Slug.BAD_SIZE, f"{what} is a whole number, and this is {number}", tree.span)
        return number

    def finite(self, tree: Expr, what: str) -> float:
        """A number that must be known at compile time, and not infinite."""
        number = float(self.constant(tree, what))
        if not math.isfinite(number):
            self.fail(Slug.BAD_SIZE, f"{what} is a number, and this is {number}", tree.span)
        return number

    def size_of(self, tree: Expr) -> Size:
        """A size: an int, or arithmetic on run-time sizes."""
        value = settled(self.evaluate(tree), self.ctx.sweeping)
        if isinstance(value, Poison):
            raise HaltError
        number = value.value if isinstance(value, Known) else None
        if isinstance(number, bool) or not isinstance(number, int | sizes.Poly):
            self.fail(
                Slug.BAD_SIZE, f"`{tree.span.text}` is no size: a size is a whole number", tree.span
            )
        return number

    def axis_size(self, tree: Expr) -> Size:
        """The size of an axis: 1 at least, and not more than can be counted."""
        size = self.size_of(tree)
        if isinstance(size, int) and size < 1:
            self.fail(
                Slug.BAD_SIZE, f"an axis has 1 position at least, and this is {size}", tree.span
            )
        if isinstance(size, int) and size > LARGEST:
            self.fail(
                Slug.TOO_LARGE,
                f"an axis has at most {LARGEST} positions, and this is {size}",
                tree.span,
            )
        return size

    def node(self, value: Val, span: Span) -> Node:
        """The value as a tensor. Reports what is none."""
        match value:
            case Value(node):
                return self.builder.use(node)
            case Known(bool() | int() | float() as number):
                return self.builder.emit(ops.CONST, ops.ConstAttrs(number), [], span, self.path)
            case Known(sizes.Poly() as size):
                return self._size(size, span)
            case Poison():
                raise HaltError
            case Known(str()):
                self.fail(Slug.NOT_A_VALUE, "a text is no number", span)
            case Template(block):
                self.fail(
                    Slug.NOT_A_VALUE,
                    f"`{block.name}` is a block, not a value",
                    span,
                    hint=f"{block.name}(...)",
                )
            case Run(name):
                self.fail(
                    Slug.NOT_A_VALUE,
                    f"`{name}` is a run; its values have addresses",
                    span,
                    hint=f"{name}.logits",
                )
            case Table(name, fields):
                self.fail(
                    Slug.NOT_A_VALUE,
                    f"`{name}` is data; its fields are values",
                    span,
                    hint=f"{name}.{next(iter(fields), 'field')}",
                )
            case Formula(tree):
                self.fail(
                    Slug.NOT_A_VALUE,
                    f"`{tree.name}` is a measure of a run",
                    span,
                    hint=f"{tree.name}({', '.join(tree.params)})",
                )
            case _:
                self.fail(Slug.NOT_A_VALUE, "a shared part is no value until it is called", span)
        return None

    def _size(self, size: sizes.Poly, span: Span) -> Node:
        """A run-time size as a number: how many indices its axis has."""
        total: Node | None = None
        for monomial, count in size.terms:
            term = self.node(Known(count), span)
            for atom in monomial:
                factor = self._atom(atom, span)
                term = self.map("mul", [term, factor], span)
            total = term if total is None else self.map("add", [total, term], span)
        assert total is not None
        return total

    def _atom(self, atom: sizes.Atom, span: Span) -> Node:
        match atom:
            case sizes.Quotient(top, bottom):
                whole = self.node(Known(top), span)
                return self.map("floordiv", [whole, self.node(Known(bottom), span)], span)
            case sizes.Count(name):
                return self.builder.use(self.builder.find(name))
            case str():
                axis = Axis(self._counted(atom), sizes.symbol(atom))
                index = self.builder.emit(ops.IOTA, ops.IotaAttrs(axis), [], span, self.path)
                one = self.map("ge", [index, self.node(Known(0), span)], span)
                return self.builder.emit(
                    ops.REDUCE, ops.ReduceAttrs("sum", (axis.name,)), [one], span, self.path
                )

    def _counted(self, name: str) -> str:
        """The axis to count a run-time size along: in a scan over it, one that is called
        otherwise."""
        builder: Builder | None = self.builder
        while builder is not None:
            if builder.axis is not None and builder.axis.name == name:
                return self._counted(f"^{name}")
            builder = builder.parent
        return name

    def map(self, fn: str, operands: Sequence[Node], span: Span) -> Node:
        """A pointwise operation; sizes that differ are the user's mistake."""
        try:
            return self.builder.emit(ops.MAP, ops.MapAttrs(fn), operands, span, self.path)
        except ops.OpError as error:
            self.unfit(error, span)

    def template(self, tree: Expr, hint: str) -> Template:
        """What `share NAME = ..` shares: a block with some of its axes and arguments."""
        value = self.evaluate(tree)
        if not isinstance(value, Template):
            self.fail(Slug.NOT_A_VALUE, "`share NAME =` wants a block", tree.span, hint=hint)
        return value

    def unfit(self, error: ops.OpError, span: Span) -> NoReturn:
        """Report operands that do not fit, in the names used here."""
        if isinstance(error, ops.SizeError):
            known = {axis.name: name for name, axis in self.known_axes().items()}
            name = known.get(error.axis, error.axis)
            first, second = (self.say_size(size, name) for size in error.sizes)
            message = f"`{name}` has {first} positions in one value, and {second} in another"
            if any(map(sizes.counts, error.sizes)):
                message = f"`{name}` is packed by one mask in one value, and not so in another"
            self.fail(Slug.SIZE_MISMATCH, message, span)
        self.fail(Slug.AXIS_MISMATCH, str(error), span)

    def spread(self, node: Node, axis: Axis, span: Span) -> Node:
        """The value repeated along an axis that it lacks."""
        if axis.name in node.axis_names:
            return node
        index = self.builder.emit(ops.IOTA, ops.IotaAttrs(axis), [], span, self.path)
        always = self.map("ge", [index, self.node(Known(0), span)], span)
        return self.map("where", [always, node, node], span)
