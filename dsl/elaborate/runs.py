"""A run: a model's program laid down again on given inputs, with its writes put in.

An intervention is a rewrite of the program, done here, before anything is lowered: the model is
laid down step by step, and where a written site stands, its readers get the new value.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .. import ops, sizes
from ..core import Node
from ..diagnostics import Slug
from ..resize import counted, resized
from .builder import Builder
from .detours import Detours
from .recurrences import as_input, close_scan, items_of, union
from .sites import body_sites
from .values import HaltError, Run
from .writes import written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core import Body, Step
    from ..ops import Typed
    from ..program import CheckedModel
    from .planned import Plan
    from .scope import Scope


_LEAVES = (ops.PARAM, ops.STATE, ops.RANDOM, ops.INPUT)


def lay_down(
    name: str,
    model: CheckedModel,
    inputs: Mapping[str, Node],
    plan: Plan,
    scope: Scope,
    *,
    weights: str = "",
    placed: Mapping[str, str] = MappingProxyType({}),
    seed: int | None = None,
) -> tuple[Run, tuple[Node, ...]]:
    """The run, and its results followed by the new values of its states."""
    label = name
    while f"{label}:" in scope.ctx.claimed:
        label += "'"
    scope.ctx.claimed.add(f"{label}:")
    run = Run(
        label, model, inputs, weights=weights, placed=placed, maps=tuple(plan.owned), seed=seed
    )
    layer = _Layer(run, plan, scope)
    stood = layer.lay(model.body, {})
    for step in model.body.steps:  # inputs are addressed too
        if step.node.op is ops.INPUT and step.node.site is not None:
            run.values.setdefault(step.node.site, stood[step.node.name])
    return run, tuple(stood[result] for result in model.body.results)


_OWN_WAY = {ops.INPUT, ops.PARAM, ops.STATE, ops.RANDOM, ops.SCAN, ops.ITEM}


class _Layer:
    """Lays one program down, scan bodies included."""

    def __init__(self, run: Run, plan: Plan, scope: Scope) -> None:
        self.run, self.plan, self.scope = run, plan.writes, scope
        self.detours = Detours(plan, run.model.body, run)
        self.aside = False  # what is laid down is no value of the run
        self.items: dict[str, list[ops.ItemAttrs]] = {}  # what the results of a scan hold
        self.types: dict[str, Typed] = {}  # of the model's own values, by node
        self.counted = counted(run.model.body)
        self.counts: dict[str, str] = {}  # what counts here, for what does in the model
        self.in_scans = {
            site
            for step in run.model.body.steps
            if isinstance(step.node.attrs, ops.ScanAttrs)
            for site, _ in body_sites(step.node.attrs.body)
        }

    def lay(self, body: Body, placed: dict[str, Node]) -> dict[str, Node]:
        """All steps of a program; `placed` holds those that stand already, and is filled."""
        for step in map(self._recounted, body.steps):
            node = step.node
            self.types[node.name] = (node.axes, node.dtype)
            if node.name not in placed:
                placed[node.name] = self._stood(step, placed)
            elif node.site is not None:
                placed[node.name] = self._write(node, placed[node.name])
            if node.name in self.counted:
                self.counts[node.name] = placed[node.name].name
        return placed

    def _stood(self, step: Step, placed: dict[str, Node]) -> Node:
        """A step as it is in the run, and what paths make of it."""
        detours = self.detours
        if not detours.hops or self.aside or self.scope.builder.parent is not None:
            made = self._step(step, [placed[name] for name in step.operands])
            return self._write(step.node, made)
        detours.follow(step, placed, self._aside)
        made = self._step(step, detours.operands(step, placed))
        made = self._write(step.node, detours.at_end(step.node, made, self.scope))
        detours.begin(step.node, made, self.scope)
        return made

    def _aside(self, step: Step, operands: list[Node]) -> Node:
        """What a step would be on other operands, writes and all; nobody can address it."""
        if step.node.name in self.counted:
            self.scope.fail(
                Slug.BAD_WRITE,
                "a path goes through a mask by which positions are packed, and there would be "
                "others on it",
                step.node.span,
            )
        self.aside = True
        try:
            return self._write(step.node, self._step(step, operands))
        finally:
            self.aside = False

    def _recounted(self, step: Step) -> Step:
        """The step with the sizes that this run counts."""
        if not self.counts or isinstance(step.node.attrs, ops.ScanAttrs):
            return step
        return replace(step, node=resized(step.node, self._here))

    def _here(self, size: sizes.Size) -> sizes.Size:
        def own(atom: str | sizes.Count) -> sizes.Size:
            if isinstance(atom, sizes.Count):
                most = self._here(atom.most)
                atom = sizes.Count(self.counts.get(atom.node, atom.node), most)
            return sizes.atom(atom)

        return sizes.substituted(size, own)

    def _step(self, step: Step, operands: Sequence[Node]) -> Node:
        node, builder = step.node, self.scope.builder
        if node.op not in _OWN_WAY:
            return self._again(step, operands)
        match node.attrs:
            case ops.InputAttrs():
                return self.run.inputs[node.site or ""]
            case ops.ParamAttrs() | ops.StateAttrs():
                return self._once(node.site or "", node)
            case ops.RandomAttrs(_, _, key) if self.run.seed is not None:
                key = f"{ops.seeded(self.run.seed)}:{key}"
                node = replace(node, attrs=replace(node.attrs, key=key), site=key)
                return self._once(f"{key}~", node)
            case ops.RandomAttrs(_, _, key):
                return self._once(f"{key}~", node)
            case ops.ScanAttrs():
                return self._scan(node, node.attrs, operands)
            case ops.ItemAttrs(index):
                scan = operands[0]
                if scan.name not in self.items:
                    self.items[scan.name] = items_of(scan)
                return builder.emit(
                    ops.ITEM, self.items[scan.name][index], operands, node.span, node.scope
                )
        raise TypeError(node.op)

    def _again(self, step: Step, operands: Sequence[Node]) -> Node:
        """The operation on these operands; the result's type is known if theirs are as before."""
        node, builder = step.node, self.scope.builder
        own = [builder.use(operand) for operand in operands]
        for name, operand in zip(step.operands, own, strict=True):
            axes, dtype = self.types[name]
            if (operand.axes is not axes and operand.axes != axes) or operand.dtype is not dtype:
                break
        else:
            fresh = self.scope.ctx.fresh(node.span)
            return builder.put(
                Node(
                    fresh, node.op, node.attrs, node.axes, node.dtype, node.span, None, node.scope
                ),
                own,
            )  # fmt: skip
        try:
            return builder.emit(node.op, node.attrs, own, node.span, node.scope)
        except ops.OpError as error:
            message = f"with what is given to this run, or written in it, {error}"
            self.scope.fail(Slug.AXIS_MISMATCH, message, node.span)

    def _once(self, key: str, node: Node) -> Node:
        """Parameters, states and drawn numbers are the same in all runs with the same weights; of
        other sizes are other numbers. Weights that are not the study's own are constants."""
        ctx, place, again = self.scope.ctx, self.run.home(key), ""
        while node.op is ops.RANDOM and ctx.params.get(place + again, node).axes != node.axes:
            again += "'"
        place += again
        if place not in ctx.params:
            made = replace(node, name=ctx.fresh(node.span))
            if node.site is not None:
                made = made.at(self.run.home(node.site) + again)
            if place != key and isinstance(made.attrs, ops.ParamAttrs):
                made = replace(made, attrs=replace(made.attrs, trained=False))
            ctx.params[place] = self.scope.builder.root.put(made)
        return ctx.params[place]

    def _write(self, node: Node, made: Node) -> Node:
        """Give the value its address; where it is written, the new value has it."""
        address = node.site
        if address is None:
            return made
        builder = self.scope.builder
        site = (
            f"{self.run.name}:{address}" if self.run.name else address
        )  # the only run needs no name
        inside = isinstance(node.attrs, ops.ItemAttrs) and address in self.in_scans
        writes = () if inside else self.plan.get(address, ())
        if self.aside:
            for planned in writes:
                made = written(planned, made, address, self.run, self.scope)
            return made
        self.run.values[address] = made
        if writes:
            self.run.written[address] = made
            for planned in writes:
                try:
                    made = written(planned, made, address, self.run, self.scope)
                except HaltError:  # was reported: the other writes are tried too
                    if self.scope.ctx.budget.is_spent:
                        raise
                self.run.values[address] = made
            if self.run.name or node.op not in _LEAVES:  # a leaf keeps its address to itself
                made = builder.name(made, site, node.span, node.scope)
        elif made.name in builder.place and made.op not in (
            ops.PARAM,
            ops.STATE,
            ops.RANDOM,
            ops.INPUT,
        ):
            made = builder.swap(builder.current(made).at(site))
        self.run.values[address] = made
        return made

    # ---- recurrences

    def _scan(self, node: Node, attrs: ops.ScanAttrs, operands: Sequence[Node]) -> Node:
        """The body is laid down in a builder of its own: a write in it may bring in outer
        values."""
        outer = self.scope
        attrs = replace(attrs, axis=resized(attrs.axis, self._here))
        builder = Builder(outer.ctx, outer.builder, attrs.axis)
        inputs = [
            self._recounted(step).node for step in attrs.body.steps if step.node.op is ops.INPUT
        ]
        placed: dict[str, Node] = {}
        carries = []
        for place, inner in enumerate(inputs):
            given = outer.builder.use(operands[place])
            if place < attrs.carries:
                fresh = replace(
                    inner, name=outer.ctx.fresh(node.span), axes=union(inner.axes, given.axes)
                )
                placed[inner.name] = builder.put(as_input(fresh))
                carries.append(placed[inner.name])
            else:
                placed[inner.name] = builder.use(given)
        self.scope = outer.inner(builder=builder, names={}, path=node.scope)
        inside = self.scope
        try:
            self.lay(attrs.body, placed)
        finally:
            self.scope = outer
        results = [placed[name] for name in attrs.body.results]
        return close_scan(builder, attrs, carries, results, operands[: attrs.carries], node, inside)
