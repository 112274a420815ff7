"""Emitting steps: one builder for the program, one for each scan body inside it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import ops, sizes
from ..core import Axes, Axis, Node, Step, without
from ..diagnostics import Collector, Note, Severity, Slug
from .values import HaltError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..program import CheckedCalibration, CheckedModel, Limit
    from ..source import Span
    from ..syntax import Expr, Tree
    from .scope import Scope
    from .values import Val


MOST = 2_000_000  # operations that a model or a study may have


@dataclass
class Budget:
    """How much may be elaborated. A check that is to be quick has less than a run, and leaves the
    rest to it."""

    most: int = MOST
    spent: int = 0
    was_said: bool = False
    models: dict[object, CheckedModel | None] = field(default_factory=dict)  # made already
    calibrations: dict[str, CheckedCalibration | None] = field(default_factory=dict)  # these too

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is elaborated."""
        return self.spent > self.most


@dataclass
class Context:
    """What the elaboration of one model shares."""

    collector: Collector
    evaluate: Callable[[Expr, Scope, str | None], tuple[Val, ...]]
    training: bool = False
    reads_mode: bool = False  # `training` was asked for
    prompt: Callable[[str], Node | None] | None = None  # its length, along what is decoded
    reads_last: bool = False  # `@last` is written, and was the end of a run over the whole
    steps: int | None = None  # and how many tokens follow
    budget: Budget = field(default_factory=Budget)
    seen: int = 0
    depth: int = 0
    turns: int = 1  # how often what is elaborated is surely done again: by the loops around it
    statement: Tree | None = None  # what is run at present, in which an axis may be made further on
    fill: float = 0.0  # what stands outside a window: the identity of the enclosing reduction
    params: dict[str, Node] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    updates: dict[str, Node] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    calls: list[tuple[str, Span]] = field(default_factory=list)  # those that are being elaborated
    lone: int | None = None  # the size of axes that have none, where a block is checked alone
    swept: dict[str, tuple[int, int]] = field(default_factory=dict)  # least and most, by input node
    packed: dict[object, sizes.Size] = field(default_factory=dict)  # by mask, axis and most
    members: set[str] = field(default_factory=set)  # the axes of sweeps
    sweeping: set[str] = field(default_factory=set)  # those of the sweep that is read at present
    decided: dict[str, dict[str, Node]] = field(default_factory=dict)  # in shared parts, by path:
    # what their parameters alone decide
    owned: dict[str, dict[str, Axis]] = field(default_factory=dict)  # the axes that those of
    # interventions make, by path

    @contextmanager
    def turning(self, turns: int) -> Iterator[None]:
        """While this lasts, what is elaborated is done again so often."""
        before, self.turns = self.turns, turns
        try:
            yield
        finally:
            self.turns = before

    def report(
        self,
        slug: Slug,
        message: str,
        span: Span,
        *,
        notes: Sequence[Note] = (),
        hint: str | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Report; what went wrong inside a block of another file, at the call of it in this one."""
        if self.calls and span.source is not self.calls[0][1].source:
            home = self.calls[0][1].source
            name, at = [(name, at) for name, at in self.calls if at.source is home][-1]
            notes, span, hint = [Note(f"inside `{name}`", span), *notes], at, None
        elif self.calls and self.depth and span.source is self.calls[-1][1].source:
            name, at = self.calls[-1]
            if not (at.start <= span.start and span.end <= at.end):
                notes = [*notes, Note(f"`{name}` is called", at)]
        if hint is not None and "`" not in hint:  # then all of it is code
            hint = f"`{hint}`"
        self.collector.report(slug, message, span, notes=notes, hint=hint, severity=severity)

    def claim(self, address: str, rival: str) -> str:
        """The address if it is free, else the next under the name `rival`."""
        if address in self.claimed:
            parent, _, last = address.rpartition(".")
            address = f"{parent}.{rival}.{last}".lstrip(".")
            while address in self.claimed:
                address += "'"
        self.claimed.add(address)
        return address

    def fresh(self, span: Span) -> str:
        """A node name not used before."""
        self.seen += 1
        self.spend(span)
        return f"v{self.seen}"

    def spend(self, span: Span) -> None:
        """Count a piece of work; there is an end to it."""
        budget = self.budget
        budget.spent += 1
        if budget.spent <= budget.most:
            return
        if not budget.was_said:
            budget.was_said = True
            message, severity = f"this makes more than {MOST} operations", Severity.ERROR
            if budget.most < MOST:
                message = f"a check ends after {budget.most} operations; a run checks the rest"
                severity = Severity.WARNING
            self.report(Slug.TOO_LARGE, message, span, severity=severity)
        raise HaltError


@dataclass
class Kept:
    """A state that a scan carries: what it is when the scan begins, at a step, and after it."""

    state: Node
    init: Node
    before: Node
    after: Node


class Builder:
    """A list of steps that grows. In a scan body, outer values come in through `use`."""

    def __init__(
        self, ctx: Context, parent: Builder | None = None, axis: Axis | None = None
    ) -> None:
        self.ctx, self.parent, self.axis = ctx, parent, axis
        self.steps: list[Step] = []
        self.place: dict[str, int] = {}
        self.per_step: dict[str, tuple[Node, Node]] = {}
        self.constant: dict[str, tuple[Node, Node]] = {}
        self.states: dict[str, Kept] = {}  # by address

    @property
    def root(self) -> Builder:
        """The builder of the whole program."""
        return self if self.parent is None else self.parent.root

    @property
    def in_scan(self) -> bool:
        """Whether this is the body of a scan."""
        return self.parent is not None

    def find(self, name: str) -> Node:
        """The node of that name, here or outside. Raises KeyError if it stands in neither."""
        if name in self.place:
            return self.steps[self.place[name]].node
        if self.parent is None:
            raise KeyError(name)
        return self.parent.find(name)

    def knows(self, node: Node) -> bool:
        """Whether a value can be used here: it stands here or outside, and in no other scan."""
        return node.name in self.place or (self.parent is not None and self.parent.knows(node))

    def origin(self, node: Node) -> tuple[Node, Builder]:
        """The node that this one stands for, if it is an input of a body, and who made it."""
        for table in (self.per_step, self.constant):
            for outer, inner in table.values():
                if inner.name == node.name and self.parent is not None:
                    return self.parent.origin(outer)
        return node, self

    def put(self, node: Node, operands: Sequence[Node] = ()) -> Node:
        """Append a finished node."""
        self.place[node.name] = len(self.steps)
        self.steps.append(Step(node, tuple([operand.name for operand in operands])))
        return node

    def emit(
        self, op: ops.OpDef, attrs: ops.Attrs, operands: Sequence[Node], span: Span, scope: str = ""
    ) -> Node:
        """Append an operation. Raises OpError if the operands do not fit."""
        own = [self.use(operand) for operand in operands]
        axes, dtype = op.infer(attrs, [(operand.axes, operand.dtype) for operand in own])
        self.check_axes(axes, span)
        node = Node(self.ctx.fresh(span), op, attrs, axes, dtype, span, scope=scope)
        return self.put(node, own)

    def check_axes(self, axes: Axes, span: Span) -> None:
        """In the body of a scan nothing has its axis: what it names has it outside already."""
        if self.axis is not None and any(axis.name == self.axis.name for axis in axes):
            name = self.axis.name
            message = f"this has the axis `{name}`, along which the scan runs"
            hint = f"give it another name, `{name}'`"
            self.ctx.report(Slug.AXIS_MISMATCH, message, span, hint=hint)
            raise HaltError
        if self.parent is not None:
            self.parent.check_axes(axes, span)

    def use(self, node: Node) -> Node:
        """The node as seen here: an outer one comes in as an input of the body, per step if it
        has the axis of the scan."""
        place = self.place.get(node.name)
        if place is not None:
            return self.steps[place].node
        assert self.parent is not None, node
        assert self.axis is not None, node
        for table in (self.per_step, self.constant):
            if node.name in table:
                return table[node.name][1]
        outer = self.parent.use(node)
        stepped = self.axis.name in outer.axis_names
        axes = without(outer.axes, [self.axis.name])
        inner = Node(
            self.ctx.fresh(node.span),
            ops.INPUT,
            ops.InputAttrs(tuple(a.name for a in axes), axes, outer.dtype),
            axes,
            outer.dtype,
            node.span,
            scope=node.scope,
        )
        (self.per_step if stepped else self.constant)[node.name] = (outer, inner)
        return self.put(inner)

    def is_kept(self, address: str) -> bool:
        """Whether a scan around this place carries a state that has its new value already."""
        return address in self.states or (self.parent is not None and self.parent.is_kept(address))

    def keep(self, address: str, state: Node, value: Node) -> None:
        """Let the scan of this body carry a state, which becomes a value at each step."""
        before = self.use(state)
        init, _ = self.constant.pop(state.name)
        self.states[address] = Kept(state, init, before, value)

    def current(self, node: Node) -> Node:
        """The record as it stands now, which may have got a site or other axes since."""
        return self.steps[self.place[node.name]].node

    def swap(self, node: Node) -> Node:
        """Put a changed record in the place of the one of the same name."""
        place = self.place[node.name]
        self.steps[place] = Step(node, self.steps[place].operands)
        return node

    def name(
        self, node: Node, address: str, span: Span, scope: str, *, apart: bool = False
    ) -> Node:
        """Give the value an address: its own if it has none yet, else that of an identity node."""
        own = node.name in self.place
        if own:
            node = self.current(node)
        if not own or apart or node.site or node.op in (ops.INPUT, ops.PARAM, ops.STATE):
            node = self.emit(ops.RENAME, ops.RenameAttrs(), [node], span, scope)
        return self.swap(node.at(address))
