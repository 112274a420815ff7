"""Interventions as planned writes: which sites, which part of each, and what stands there
instead."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, Node
from ..diagnostics import Note, Severity, Slug, or_nearest
from .owned import owned_in
from .parts import check_selection, mask_of
from .paths import add_detour
from .planned import Plan, Planned
from .returns import returned
from .sites import (
    Pattern,
    body_sites,
    matches,
    pattern,
    split_selection,
    turns_of,
    unknown_site,
)
from .values import Known, Run, Value

if TYPE_CHECKING:
    from ..program import CheckedModel
    from ..source import Span
    from ..syntax import Write
    from .scope import Scope

IDENTITY = "identity"


def plan(
    write: Write,
    model: CheckedModel,
    scope: Scope,
    into: Plan,
    *,
    any_turn: bool = False,
    when: tuple[s.Item, ...] = (),
) -> None:
    """Find the sites that a write is about and add it to each. One that matches none is an error;
    with `any_turn`, a turn that the model lacks at these sizes is not. `when` selects besides what
    the write does."""
    site, selection = split_selection(write.site)
    selection = (*selection, *when)
    path = pattern(site, scope)
    known = dict(body_sites(model.body))
    hits = _hits(path, known, write, model)
    if not hits:
        every = Pattern(tuple((name, turn if turn is None else "*") for name, turn in path.parts))
        if any_turn and _hits(every, known, write, model):
            return
        if _whole_turn(path, known):
            scope.fail(
                Slug.BAD_WRITE,
                f"`{path}` is a turn, and not one value",
                write.site.span,
                hint=f"`{path} = identity`, or "
                f"{path}.{_whole_turn(path, known)[0][0].rpartition('.')[2]} = ...",
            )
        unknown_site(path, {**known, **model.aliases}, write.site, scope)
    _check_swept(path, hits, write, scope)
    entries = {
        address: Planned(write, selection, _bound(path, turns), scope, when)
        for address, turns in hits
    }
    for address in entries:
        check_selection(selection, known[address], address, scope)
    if write.path is not None:
        is_open = any_turn and _picks_by_parameter(write, scope)
        add_detour(write.path, entries, model, scope, into, check_selection, quiet=is_open)
    if write.path is not None and not write.path.but:
        return
    for address, entry in entries.items():
        for other in into.writes.get(address, ()):
            _overlap(entry, other, address, scope)
        into.writes.setdefault(address, []).append(entry)


def _picks_by_parameter(write: Write, scope: Scope) -> bool:
    """Whether which sites are meant depends on what is given for a parameter."""
    from .structure import walk

    return any(
        isinstance(tree, s.Name) and isinstance(scope.names.get(tree.id), Known)
        for tree in walk((write.site, write.path))
    )


def _bound(path: Pattern, turns: tuple[int, ...]) -> tuple[tuple[str, str, int], ...]:
    return tuple((loop, by, turn) for (loop, by), turn in zip(path.open, turns, strict=False))


def _check_swept(
    path: Pattern, hits: list[tuple[str, tuple[int, ...]]], write: Write, scope: Scope
) -> None:
    """A swept variable picks turns that there are."""
    for place, (loop, by) in enumerate(path.open):
        picked = scope.lookup(by) if by != "*" else None
        reach = scope.ctx.swept.get(picked.node.name) if isinstance(picked, Value) else None
        most = max(turns[place] for _, turns in hits)
        if reach is not None and not 0 <= reach[0] <= reach[1] <= most:
            scope.fail(
                Slug.UNKNOWN_SITE,
                f"`{by}` goes from {reach[0]} to {reach[1]}, and `{loop}` has turns 0 to {most}",
                write.site.span,
                hint=f"sweep ... over {by} in {loop}",
            )


def _hits(
    path: Pattern, known: dict[str, Node], write: Write, model: CheckedModel
) -> list[tuple[str, tuple[int, ...]]]:
    """The sites that a write is about, each with its turns."""
    whole = _whole_turn(path, known) if _is_identity(write) else []
    return whole or matches(path, known, model.aliases)


def _is_identity(write: Write) -> bool:
    return write.op == "=" and isinstance(write.value, s.Name) and write.value.id == IDENTITY


def _whole_turn(path: Pattern, known: dict[str, Node]) -> list[tuple[str, tuple[int, ...]]]:
    """`layer[7] = identity`: every name that the turn carries."""
    if path.parts[-1][1] is None:
        return []
    found = []
    inside = Pattern((*path.parts, ("in", None), ("*", None)))
    for entered, turns in matches(inside, known, {}):
        head, _, name = entered.rpartition(".in.")
        if f"{head}.{name}" in known:
            found.append((f"{head}.{name}", turns))
    return found


def _overlap(new: Planned, old: Planned, address: str, scope: Scope) -> None:
    """Two writes to one element: the later one stands, and the user is told."""
    if new.write.op not in ("=", "from") or _reads_back(new.write.value):
        return
    if new.write is old.write or (new.when and old.when and new.when != old.when):
        return
    ones = {i.axis: i.value for i in old.selection if isinstance(i, s.Bind)}
    for item in new.selection:
        if isinstance(item, s.Bind) and item.axis in ones and ones[item.axis] != item.value:
            return
    scope.ctx.report(
        Slug.OVERLAPPING_WRITE,
        f"`{address}` is written twice; the later write stands",
        new.write.span,
        notes=[Note("the earlier one", old.write.span)],
        severity=Severity.WARNING,
    )


def _reads_back(tree: s.Expr) -> bool:
    """Whether a value knows of what was there."""
    from .structure import walk

    return any(isinstance(t, s.Name) and t.id in ("it", "before") for t in walk(tree))


def written(planned: Planned, it: Node, address: str, run: Run, builder_scope: Scope) -> Node:
    """The value after the write: `it` outside the selected part."""
    span = planned.write.span
    scope = planned.scope.inner(
        builder=builder_scope.builder, names={}, axes={}, path=builder_scope.path
    )
    scope.frame = replace(planned.scope.frame, run=run)
    before = Run("before", run.model, run.inputs, run.values, run.written, before=True)
    scope.names.update(it=Value(it), before=before)
    for axis in it.axes:
        scope.axes.setdefault(axis.name, axis)
    for loop, by, turn in planned.turns:
        scope.names[loop if by == "*" else by] = Known(turn)
        if by == "*":
            scope.axes.setdefault(loop, Axis(loop, turns_of(loop, address, run.model)))
    with owned_in(planned, address, run, scope):
        if planned.write.is_rule:
            part = partial(_returned_part, planned)
            return returned(it, planned.write.op, planned.write.value, scope, span, part)
        new = _new_value(planned, it, address, run, scope)
    for loop, by, turn in planned.turns:
        if by == "*" and loop in new.axis_names:
            _check_turns(new, loop, address, planned, run.model, scope)
            new = scope.builder.emit(ops.INDEX, ops.IndexAttrs(ops.Select(loop, turn)), [new], span)
    masks = _masks(planned, it, scope)
    _check_axes(new, it, masks, planned, scope)
    return _chosen(masks, new, it, scope, span)


def _check_turns(
    new: Node, loop: str, address: str, planned: Planned, model: CheckedModel, scope: Scope
) -> None:
    """What has a value for each turn of a loop has as many as there are turns."""
    found, turns = new.size(loop), turns_of(loop, address, model)
    if isinstance(found, int) and found != turns:
        scope.fail(
            Slug.SIZE_MISMATCH,
            f"what is written is of {found} turns of `{loop}`, and `{model.name}` has {turns} here",
            planned.write.value.span,
            hint=f"by their share of the depth: `x[{loop} = {loop} * {found} // |{loop}|]`",
        )


def _returned_part(planned: Planned, new: Node, arrived: Node, scope: Scope) -> Node:
    """What a rule makes of what arrives, where the rule is meant."""
    masks = _masks(planned, arrived, scope)
    return _chosen(masks, new, arrived, scope, planned.write.span)


def _masks(planned: Planned, it: Node, scope: Scope) -> list[Node]:
    """Where, and for which members of a sweep, a planned write is."""
    masks = [mask_of(item, it, scope, planned.scope) for item in planned.selection]
    span = planned.write.span
    for _, by, turn in planned.turns:
        swept = planned.scope.lookup(by) if by != "*" else None
        if isinstance(swept, Value):
            own = [scope.builder.use(swept.node), scope.node(Known(turn), span)]
            masks.append(scope.map("eq", own, span))
    return masks


def _chosen(masks: list[Node], new: Node, it: Node, scope: Scope, span: Span) -> Node:
    if not masks:
        for axis in it.axes:
            new = scope.spread(new, axis, span)
        return new
    mask = masks[0]
    for other in masks[1:]:
        mask = scope.map("and", [mask, other], span)
    return scope.map("where", [mask, new, it], span)


def in_part(planned: Planned, new: Node, it: Node, builder_scope: Scope) -> Node:
    """A value in the part that is meant, and what was there elsewhere."""
    scope = planned.scope.inner(
        builder=builder_scope.builder, names={}, axes={}, path=builder_scope.path
    )
    for axis in it.axes:
        scope.axes.setdefault(axis.name, axis)
    return _chosen(_masks(planned, it, scope), new, it, scope, planned.write.span)


def _new_value(planned: Planned, it: Node, address: str, run: Run, scope: Scope) -> Node:
    write = planned.write
    if write.op == "from":
        source = scope.evaluate(write.value)
        if not isinstance(source, Run):
            scope.fail(Slug.BAD_WRITE, "`from` wants a run", write.value.span, hint="from clean")
        if address not in source.values:
            scope.fail(
                Slug.UNKNOWN_SITE,
                f"`{source.name}` is a run of `{source.model.name}`, which has no `{address}`",
                write.value.span,
                notes=[Note(f"`{source.model.name}` is declared", source.model.span)],
                hint=or_nearest(address, source.values),
            )
        found = scope.builder.use(source.values[address])
        for axis in it.axes:
            size = found.size(axis.name) if axis.name in found.axis_names else axis.size
            if size != axis.size and isinstance(size, int) and isinstance(axis.size, int):
                scope.fail(
                    Slug.SIZE_MISMATCH,
                    f"`{address}` of `{source.name}` has {size} positions of `{axis.name}`, and "
                    f"here it has {axis.size}",
                    write.value.span,
                )
        return found
    if _is_identity(write):
        return _skipped(address, run, scope, write.span)
    value = scope.node(scope.evaluate(write.value), write.value.span)
    if write.op != "=":
        fn = {"+=": "add", "-=": "sub", "*=": "mul", "/=": "div"}[write.op]
        value = scope.map(fn, [it, value], write.span)
    if it.dtype == "float" and value.dtype != "float":
        value = scope.map("float", [value], write.span)
    if value.dtype != it.dtype:
        scope.fail(
            Slug.WRONG_DTYPE,
            f"the site holds {it.dtype}, and this is {value.dtype}",
            write.value.span,
        )
    return value


def _skipped(address: str, run: Run, scope: Scope, span: Span) -> Node:
    """What entered: of a turn, the carried name as it came in; of a call, its first argument."""
    head, _, name = address.rpartition(".")
    entered = f"{head}.in.{name}"
    if entered in run.values:
        return scope.builder.use(run.values[entered])
    given = [
        site
        for site in run.values
        if site.startswith(address + ".") and "." not in site[len(address) + 1 :]
    ]
    if given:
        return scope.builder.use(run.values[given[0]])
    scope.fail(
        Slug.BAD_WRITE,
        f"`{address}` is neither a turn nor a call, so it has no `identity`",
        span,
        hint="layer[7] = identity",
    )
    return None


def _check_axes(new: Node, it: Node, masks: list[Node], planned: Planned, scope: Scope) -> None:
    """A written value has the axes of its site; a sweep's may come with it."""
    swept = {axis.name for mask in masks for axis in mask.axes} | set(scope.frame.riding)
    extra = sorted(new.axis_names - it.axis_names - swept)
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"the site has {scope.say_axes(it)}, and what is written has "
            f"{' and '.join(f'`{name}`' for name in extra)} too",
            planned.write.value.span,
            hint=f"mean[{', '.join(extra)}]({planned.write.value.span.text})",
        )
