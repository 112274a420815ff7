"""`SITE along {A, B} then C through {D} = value`: who is on the path, and what changes on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Severity, Slug
from .planned import Consumer, Detour, Plan, Planned
from .routes import blocks_of, is_in, route, within
from .sites import Pattern, body_sites, matches, pattern, split_selection, unknown_site
from .swept_paths import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..core import Node
    from ..program import CheckedModel
    from .scope import Scope


NO_CALL = " "  # the region of a consumer that is one value


def add_detour(
    path: s.Path,
    sources: Mapping[str, Planned],
    model: CheckedModel,
    scope: Scope,
    into: Plan,
    check: Callable[[tuple[s.Item, ...], Node, str, Scope], None],
    *,
    quiet: bool = False,
) -> None:
    """Plan a write along a path. A consumer or block that the model lacks is an error; that nothing
    comes from the sources to any consumer is a warning, unless this is to be `quiet`. `check` looks
    at what is selected."""
    top = {step.node.site: step.node for step in model.body.steps if step.node.site is not None}
    known = dict(body_sites(model.body))
    for address in sources:
        _outside_of_scans(address, top, path, scope)
    hops = tuple(
        tuple(c for tree in trees for c in _consumers(tree, known, top, model, scope, check))
        for trees in path.consumers
    )
    through = frozenset(b for tree in path.blocks for b in _blocks(tree, model, scope))
    whole = Detour({address: [one] for address, one in sources.items()}, hops, through, path)
    start = frozenset(sources)
    for hop in _seen(whole, top).hops:
        if not quiet:
            _warn_unless_reached(start, hop, through, model, path, scope)
        start = frozenset(one.address for one in hop)
    for new in exclusive(whole, model.body, lambda one: _seen(one, top)):
        for detour in into.detours:
            if detour.goes_along(new):
                for address, planned in new.sources.items():
                    detour.sources.setdefault(address, []).extend(planned)
                break
            _same_way(detour, new, scope)
        else:
            into.detours.append(new)


def _consumers(
    tree: s.Expr,
    known: Mapping[str, Node],
    top: Mapping[str, Node],
    model: CheckedModel,
    scope: Scope,
    check: Callable[[tuple[s.Item, ...], Node, str, Scope], None],
) -> list[Consumer]:
    site, selection = split_selection(tree)
    path = pattern(site, scope)
    hits = matches(path, known, model.aliases)
    if not hits:
        unknown_site(path, {**known, **model.aliases}, site, scope)
    scopes = {step.node.scope for step in model.body.steps}
    found = []
    for address, turns in hits:
        _outside_of_scans(address, top, tree, scope)
        check(selection, top[address], address, scope)
        if top[address].op in (ops.PARAM, ops.INPUT, ops.STATE, ops.RANDOM):
            scope.fail(
                Slug.BAD_WRITE,
                f"`{address}` reads nothing, so no path leads to it",
                tree.span,
                hint="along {logits}",
            )
        bound = tuple((lp, by, at) for (lp, by), at in zip(path.open, turns, strict=False))
        said = _with_turns(path, turns)
        region = said if any(within(other, said) for other in scopes) else address
        write = s.Write(tree, "=", tree, span=tree.span)
        found.append(Consumer(address, region, Planned(write, selection, bound, scope)))
    return found


def _seen(detour: Detour, top: Mapping[str, Node]) -> Detour:
    """The path, its consumers as they are seen from where each hop begins."""
    hops: tuple[tuple[Consumer, ...], ...] = ()
    begin = [top[address] for address in detour.sources]
    for hop in detour.hops:
        hops = (*hops, tuple(_from(begin, consumer) for consumer in hop))
        begin = [top[consumer.address] for consumer in hop]
    return replace(detour, hops=hops)


def _from(sources: Iterable[Node], consumer: Consumer) -> Consumer:
    """A consumer as seen from sources: a call that a source stands in is its result alone."""
    inside = any(n.site != consumer.address and is_in(n, consumer) for n in sources)
    return replace(consumer, region=NO_CALL) if inside else consumer


def _with_turns(path: Pattern, turns: tuple[int, ...]) -> str:
    """The address that a pattern stands for at these turns."""
    left = list(turns)
    parts = [(name, left.pop(0) if isinstance(at, str) else at) for name, at in path.parts]
    return str(Pattern(tuple(parts)))


def _outside_of_scans(address: str, top: Mapping[str, Node], at: s.Tree, scope: Scope) -> None:
    if address not in top or isinstance(top[address].attrs, ops.ItemAttrs):
        scope.fail(
            Slug.BAD_WRITE,
            f"`{address}` is a value of single steps of a `scan`, which has no paths of its own",
            at.span,
            hint="a call around the scan, as source or consumer",
        )


def _blocks(tree: s.Expr, model: CheckedModel, scope: Scope) -> list[str]:
    """The calls that `through` names."""
    path = pattern(tree, scope)
    calls = dict.fromkeys(b for step in model.body.steps for b in blocks_of(step.node.scope))
    hits = [address for address, _ in matches(path, calls, {})]
    if not hits:
        unknown_site(path, calls, tree, scope)
    return hits


def _same_way(old: Detour, new: Detour, scope: Scope) -> None:
    """Two paths to one consumer go through the same blocks: else their numbers would mix."""
    ends = {one.region for one in old.hops[-1]} & {one.region for one in new.hops[-1]}
    if ends and (old.through != new.through or old.path.but != new.path.but):
        scope.fail(
            Slug.BAD_WRITE,
            f"two paths lead to `{min(ends)}`, and go through different blocks",
            new.path.span,
            hint="the same `through` in both, or a run for each",
        )


def _warn_unless_reached(
    start: frozenset[str],
    hop: tuple[Consumer, ...],
    through: frozenset[str],
    model: CheckedModel,
    path: s.Path,
    scope: Scope,
) -> None:
    found = route(model.body, start, hop, through)
    if found.reached:
        return
    message, hint = "nothing leads from the site to these consumers: the path changes nothing", None
    if found.detained:
        message = "what leads to these consumers goes through blocks that are held"
        hint = f"through {{{', '.join(sorted(found.detained)[:3])}}}"
    scope.ctx.report(Slug.NO_PATH, message, path.span, severity=Severity.WARNING, hint=hint)
