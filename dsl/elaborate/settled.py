"""Swept variables that must be known before anything runs: what each stands for, as it is written.

Such are texts, weights and whatever else has a name, and numbers that a size, a count or an `if`
asks for. Members that differ in them are programs of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug, or_nearest
from ..program import AFTER
from .origins import are_weights
from .substitution import literal
from .values import Known
from .weights import check_own

if TYPE_CHECKING:
    from .scope import Scope
    from .study import Study

Choice = tuple[float | str, s.Expr]  # what a member is called by, and what stands for the variable

SNAPSHOTS = "snapshots"
MOST = 1000  # values of one variable, each of which is compiled


def choices(study: Study, over: s.Over, scope: Scope) -> tuple[Choice, ...] | None:
    """The values of a variable that are no numbers; None if they are."""
    match over.range:
        case s.Listing(items):
            found = [_choice(item, scope) for item in items]
            if not any(found):
                return None
            for item, one in zip(items, found, strict=True):
                if one is None and isinstance(item, s.Name) and scope.lookup(item.id) is None:
                    scope.fail(
                        Slug.UNKNOWN_NAME,
                        f"nothing is called `{item.id}`",
                        item.span,
                        hint=or_nearest(item.id, scope.frame.module.names()),
                    )
                if one is None:
                    scope.fail(
                        Slug.BAD_INDEX,
                        "a list to sweep over holds numbers, or texts, or names",
                        item.span,
                    )
            return tuple(one for one in found if one is not None)
        case s.Call(s.Name(name), args) if name == SNAPSHOTS:
            return _snapshots(study, over.range, args, scope)
    return None


def _snapshots(
    study: Study, tree: s.Expr, args: tuple[s.Argument, ...], scope: Scope
) -> tuple[Choice, ...]:
    """`snapshots(base)`: the weights that a training had after so many steps."""
    named = args[0].value if len(args) == 1 else None
    name = named.id if isinstance(named, s.Name) else ""
    found = study.module.find(name)
    if found is None or not isinstance(found[0], s.Train):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{SNAPSHOTS}` are those of a training",
            tree.span,
            hint=or_nearest(name, _trainings(study)) or f"W in {SNAPSHOTS}(TRAINING)",
        )
    check_own(name, tree.span, study)
    body, notes = found[0].body, (Note("the training", found[0].span.word(name)),)
    every = [p.count for p in body if isinstance(p, s.Every) and p.action == "snapshot"]
    settings = [one for part in body if isinstance(part, s.Using) for one in part.settings]
    steps = [one.value for one in settings if isinstance(one, s.Setting) and one.name == "steps"]
    if not every:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{name}` takes no snapshots",
            tree.span,
            notes=notes,
            hint="every 100 steps: snapshot",
        )
    if not steps:
        scope.fail(
            Slug.NOT_CONSTANT,
            f"how many snapshots `{name}` takes is known when its data are read",
            tree.span,
            notes=notes,
            hint="using adamw(lr = 3e-4), steps 2000",
        )
    last = scope.whole(steps[0], "how many steps there are")
    taken = sorted({at for count in every for at in range(count, last + 1, max(count, 1))})
    if not taken:
        scope.fail(
            Slug.BAD_SIZE, f"`{name}` ends before its first snapshot", tree.span, notes=notes
        )
    return tuple((at, s.Name(f"{name}{AFTER}{at}", span=tree.span)) for at in taken)


def _trainings(study: Study) -> list[str]:
    names = study.module.names()
    return [n for n in names if (f := study.module.find(n)) and isinstance(f[0], s.Train)]


def _choice(item: s.Expr, scope: Scope) -> Choice | None:
    if isinstance(item, s.Text):
        return item.value, item
    if isinstance(item, s.Name) and not isinstance(scope.lookup(item.id), Known):
        known = scope.lookup(item.id) is not None or are_weights(item.id, scope.frame.module)
        if known or scope.frame.module.find(item.id) is not None:
            return item.id, item
    return None


def numbers(
    values: tuple[float, ...] | None, count: object, over: s.Over, scope: Scope
) -> tuple[Choice, ...]:
    """The values of a variable that are numbers, `count` of them if they are positions."""
    if values is None and isinstance(count, int):
        values = tuple(float(place) for place in range(count))
    if values is None:
        scope.fail(
            Slug.NOT_CONSTANT,
            f"what `{over.name}` stands for must be known before anything runs, and how many "
            "there are is known when the data are",
            over.range.span,
            hint=f"{over.name} in 0..4",
        )
    if len(values) > MOST:
        scope.fail(
            Slug.TOO_LARGE,
            f"each value of `{over.name}` is compiled, and these are {len(values)}",
            over.range.span,
        )
    span = over.range.span
    return tuple((int(v) if v == int(v) else v, literal(v, span)) for v in values)
