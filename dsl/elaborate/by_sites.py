"""Derivatives by values of a run: `grad(diff(r), r.layer[l].attn.z[h = n])`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug
from .sites import Pattern, body_sites, combined, matches, pattern, root, split_selection
from .sites import unknown_site as unknown
from .values import Run, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core import Node
    from .builder import Builder
    from .functions import Given
    from .scope import Scope
    from .values import Val

WHOLE = "the derivative"  # in a scope; no spec can say it


def by_sites(given: Given, values: Sequence[Val], ask: Callable[[Node], Node]) -> Val | None:
    """The derivative by what the second argument names in a run: `ask` gives that by one value.
    Open turns make axes, as where values are read; what is selected is selected from the
    derivative. None if it names no values of a run."""
    scope, (tree, items) = given.scope, split_selection(given.tree.args[1].value)
    found = _run_and_path(tree, values[0], scope)
    if found is None:
        return None
    run, path = found
    sites = _hits(run, path)
    if not sites:
        known = dict.fromkeys(address for address, _ in body_sites(run.model.body))
        unknown(path, {**known, **run.model.aliases}, tree, scope)
    made = {turns: ask(scope.builder.use(run.values[address])) for address, turns in sites}
    whole = combined(made, path, tree, scope) if path.open else made[()]
    if not items:
        return Value(whole)
    inner = scope.inner(names={WHOLE: Value(whole)})
    part = s.Index(s.Name(WHOLE, span=tree.span), items, span=given.tree.args[1].value.span)
    return inner.evaluate(part)


def _run_and_path(tree: s.Expr, value: Val, scope: Scope) -> tuple[Run, Pattern] | None:
    """A path that begins with no run is of the one run that the value is made of."""
    first = root(tree)
    if first is None or isinstance(tree, s.Name):
        return None
    found = scope.lookup(first.id)
    if isinstance(found, Run) and not found.decoded:
        return found, Pattern(pattern(tree, scope).parts[1:])
    if found is not None or scope.frame.run is not None or not isinstance(value, Value):
        return None
    path = pattern(tree, scope)
    made_of = everything_in(scope.builder, value.node)
    runs = [
        run
        for run in _runs(scope)
        if any(run.values[site].name in made_of for site, _ in _hits(run, path))
    ]
    if len(runs) > 1:
        said = " and ".join(f"`{run.name}`" for run in runs)
        scope.fail(
            Slug.UNKNOWN_SITE,
            f"what is differentiated is made of {said}",
            tree.span,
            hint=f"{runs[0].name}.{tree.span.text}",
        )
    return (runs[0], path) if runs else None


def _runs(scope: Scope | None) -> list[Run]:
    found: dict[int, Run] = {}
    while scope is not None:
        found |= {id(run): run for run in scope.names.values() if isinstance(run, Run)}
        scope = scope.parent
    return [run for run in found.values() if not run.decoded and not run.before]


def _hits(run: Run, path: Pattern) -> list[tuple[str, tuple[int, ...]]]:
    """The addresses that a path names, each with its turns."""
    known = dict.fromkeys(a for a, _ in body_sites(run.model.body) if a in run.values)
    return matches(path, known, run.model.aliases)


def everything_in(builder: Builder, node: Node) -> set[str]:
    """All in a program that a value is made of, itself included."""
    seen, waiting = {node.name}, [node.name]
    while waiting:
        name = waiting.pop()
        reads = builder.steps[builder.place[name]].operands if name in builder.place else ()
        fresh = [name for name in reads if name not in seen]
        seen.update(fresh)
        waiting += fresh
    return seen
