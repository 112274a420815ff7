"""What an intervention owns: blocks whose parameters stand under its name, used in its writes.

There is one set of parameters whatever is written and swept; with a wildcard in the name, one for
each turn. In a run with weights of its own they are those of the weights.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import Axis
from ..diagnostics import Note, Slug
from .builder import Builder
from .calls import call
from .shared import below, of_parameters
from .sites import body_sites, model_axis, pattern, root
from .structure import walk
from .values import Instance, Owned, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..core import Node
    from ..program import CheckedModel
    from .planned import Planned
    from .scope import Scope
    from .values import Val


def own(step: s.Owned, head: str, model: CheckedModel, scope: Scope) -> Owned:
    """`share r = rotation[d -> f]` in the intervention `head`, `share layer[*].r = ..`."""
    at = pattern(step.site, scope).parts
    name, turn = at[-1]
    if turn is not None or any(n == "*" or t not in (None, "*") for n, t in at):
        scope.fail(
            Slug.UNKNOWN_SITE,
            "what is shared has a name, or one in all turns of a loop",
            step.site.span,
            hint="share r = ..., share layer[*].r = ...",
        )
    if name in scope.spans:
        scope.fail(
            Slug.REASSIGNED,
            f"`{name}` already stands for something",
            step.site.span,
            notes=[Note("here", scope.spans[name])],
        )
    if any(re.match(rf"{re.escape(head)}([.\[]|$)", site) for site, _ in body_sites(model.body)):
        scope.fail(
            Slug.DUPLICATE_NAME,
            f"`{model.name}` has a part `{head}`, where the intervention would keep `{name}`",
            step.span,
            hint="another name for the intervention",
        )
    for word in {tree.id for tree in walk(step.value) if isinstance(tree, s.Name)}:
        if (axis := model_axis(word, model)) is not None:
            scope.axes[word] = axis  # and not that of the data, whose size is known later
    value = scope.template(step.value, f"share {name} = rotation[d -> f]")
    made = scope.names[name] = Owned(value, head, at)
    scope.spans[name] = step.site.span
    return made


@contextmanager
def owned_in(planned: Planned, address: str, run: Run, scope: Scope) -> Iterator[None]:
    """While the value of a write is made, what it owns stands for one set of parameters, and the
    insides of its calls are values of the run, below the intervention's name."""
    words = {tree.id for tree in walk(planned.write.value) if isinstance(tree, s.Name)}
    used = {
        name: value
        for name, value in planned.scope.names.items()
        if isinstance(value, Owned) and name in words
    }
    if not used:
        yield
        return
    turns = dict(re.findall(r"(\w+)\[(\d+)\]", address))
    statement, scope.ctx.statement = scope.ctx.statement, planned.write
    opened = {loop for loop, _, _ in planned.turns}
    homes = {}
    for name, value in used.items():
        opened |= set(value.loops)
        homes[name] = _home(name, value, turns, address, planned, scope)
        path = run.home(homes[name])
        made = Instance(value.template, path, name=name)
        if path not in scope.ctx.owned:
            known = set(planned.scope.axes)
            scope.ctx.decided[path] = _decided(name, made, scope, planned.write)
            new = {k: axis for k, axis in planned.scope.axes.items() if k not in known}
            scope.ctx.owned[path] = new
        planned.scope.axes.update(scope.ctx.owned[path])
        scope.names[name] = made
    heads = dict.fromkeys(value.head for value in used.values())
    inside = [f"{loop}[{turn}]" for loop, turn in turns.items() if loop in opened]
    label = f"{run.name}:" if run.name else ""
    scope.path, before = f"{label}{'.'.join([*heads, *inside])}", len(scope.builder.steps)
    try:
        yield
    finally:
        scope.ctx.statement = statement
    _keep(run, homes.values(), scope, before)


def _keep(run: Run, homes: Iterable[str], scope: Scope, before: int) -> None:
    """The values of calls are values of the run; inside a scan they are those of a step."""
    if scope.builder.parent is not None:
        return
    label = f"{run.name}:" if run.name else ""
    for step in scope.builder.steps[before:]:
        site = step.node.site or ""
        if site.startswith(f"{scope.path}."):
            run.owned.setdefault(site.removeprefix(label), step.node)
    for home in homes:
        path = run.home(home)
        for place, node in scope.ctx.params.items():
            if place.startswith(f"{path}."):
                run.owned[home + place.removeprefix(path)] = node
        decided = scope.ctx.decided.get(path, {})
        run.owned |= {f"{home}.{inner}": node for inner, node in decided.items()}


def call_owned(
    tree: s.Call, target: s.Expr, items: tuple[s.Item, ...], scope: Scope
) -> tuple[Val, ...] | None:
    """A call of what an intervention of a run owns, `probed.p(x)`, `clean.probed.p(x)`; None if it
    is no such call."""
    first = root(target)
    run = scope.lookup(first.id) if first is not None else None
    if first is None or not isinstance(run or scope.frame.run, Run):
        return None
    parts = pattern(target, scope).parts
    parts, run = (parts, scope.frame.run) if run is None else (parts[1:], run)
    assert isinstance(run, Run)
    found = next((owned for owned in run.maps if _names(parts, owned)), None)
    if found is None:
        return None
    steps = [n if turn is None else f"{n}[{turn}]" for n, turn in parts]
    home = ".".join(steps)
    made = Instance(found.template, run.home(home), name=parts[-1][0])
    label = f"{run.name}:" if run.name else ""
    inner = scope.inner(path=label + ".".join(steps[:-1]), names={})
    wheres = [where for _, where in found.template.items]
    known, before = {key for where in wheres for key in where.axes}, len(scope.builder.steps)
    results = call(made, items, tree, inner, None)
    new = {k: axis for where in wheres for k, axis in where.axes.items() if k not in known}
    for key, axis in scope.ctx.owned.setdefault(made.path, new).items():
        scope.axes.setdefault(key, axis)
    _keep(run, [home], inner, before)
    return results


def _names(parts: tuple[tuple[str, int | str | None], ...], owned: Owned) -> bool:
    """Whether a path is that of what is owned, each turn a number."""
    at = tuple((n, "*" if isinstance(turn, int) else turn) for n, turn in parts[1:])
    picked = not any(isinstance(turn, str) for _, turn in parts)
    return bool(parts) and parts[0] == (owned.head, None) and picked and at == owned.at


def _home(
    name: str, owned: Owned, turns: dict[str, str], address: str, planned: Planned, scope: Scope
) -> str:
    """The address of the parameters that a write to a site uses."""
    for loop in owned.loops:
        if loop not in turns:
            scope.fail(
                Slug.UNKNOWN_SITE,
                f"there is one `{name}` for each turn of `{loop}`, and `{address}` is in none",
                planned.write.value.span,
                notes=[Note("it is shared", scope.assigned_at(name) or planned.write.span)],
            )
    parts = [part if turn is None else f"{part}[{turns[part]}]" for part, turn in owned.at]
    return ".".join([owned.head, *parts])


def _decided(name: str, made: Instance, scope: Scope, write: s.Write) -> dict[str, Node]:
    """Call the block once, so that its parameters and axes are there for all that stands in the
    write, and keep what it computes of its parameters alone."""
    calls = (tree for tree in walk(write.value) if isinstance(tree, s.Call))
    called = next((tree for tree in calls if _is_of(tree.target, name)), None)
    if called is None:
        return {}
    ctx = scope.ctx
    claimed = set(ctx.claimed)
    trial, top = _Trial(ctx, scope.builder, Axis("^trial", 1)), scope.builder.root
    inner = scope.inner(builder=trial, names={name: made}, path=made.path, counts={})
    ctx.evaluate(called, inner, made.path)
    if trial.states:
        scope.fail(Slug.UNBUILT, "a `state` in an intervention is not built yet", write.span)
    params = {node.name for node in ctx.params.values()}
    reached = {inner.name: trial.origin(inner)[0] for _, inner in trial.constant.values()}
    stands = {name: outer for name, outer in reached.items() if outer.name in params}
    kept = of_parameters(trial.steps, stands)
    for step in kept:
        stands[step.node.name] = top.put(step.node, [stands[name] for name in step.operands])
    found = below(made.path, kept)
    ctx.claimed &= claimed | {*ctx.params, *(f"{made.path}.{inner}" for inner in found)}
    return found


class _Trial(Builder):
    """What is made here is looked at and not used; it is in a scan if that around it is."""

    @property
    def in_scan(self) -> bool:
        return self.parent is not None and self.parent.in_scan


def _is_of(target: s.Expr, name: str) -> bool:
    base = target.base if isinstance(target, s.Index) else target
    return isinstance(base, s.Name) and base.id == name
