"""How a training goes: the optimiser and its schedule, what is trained, what is done when."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Slug, or_any, or_nearest
from ..program import Call, Group
from .sites import matches, pattern, unknown_site

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .scope import Scope

OPTIMISERS: dict[str, tuple[str, ...]] = {
    "sgd": ("lr", "momentum", "weight_decay", "dampening", "nesterov"),
    "adam": ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"),
    "adamw": ("lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad"),
    "nadam": ("lr", "beta1", "beta2", "eps", "weight_decay", "momentum_decay"),
    "radam": ("lr", "beta1", "beta2", "eps", "weight_decay"),
    "adamax": ("lr", "beta1", "beta2", "eps", "weight_decay"),
    "adagrad": ("lr", "lr_decay", "weight_decay", "eps"),
    "adadelta": ("lr", "rho", "eps", "weight_decay"),
    "rmsprop": ("lr", "alpha", "eps", "weight_decay", "momentum", "centered"),
    "rprop": ("lr", "etas"),
    "asgd": ("lr", "lambd", "alpha", "t0", "weight_decay"),
    "lbfgs": ("lr", "max_iter", "history_size"),
}
GROUP_OPTIONS = frozenset(name for options in OPTIMISERS.values() for name in options)
SCHEDULES: dict[str, tuple[str, ...]] = {
    "warmup": ("steps",),
    "constant": ("steps",),
    "linear": ("to", "steps"),
    "cosine": ("to", "steps"),
    "exponential": ("rate", "steps"),
    "step": ("every", "rate"),
}
SETTINGS = {"batch": 32.0, "steps": 0.0, "epochs": 0.0, "clip": 0.0, "seed": 0.0}
NONE = "none"  # the optimiser that changes nothing
ACTIONS = ("evaluate", "snapshot")


def read_using(
    step: s.Using, scope: Scope, phase: str | None = None
) -> tuple[Call | None, Mapping[str, float]]:
    """The optimiser, and what is set; in a phase that may be `clip` alone."""
    optimiser: Call | None = None
    settings: dict[str, float] = {}
    for part in step.settings:
        if isinstance(part, s.Setting):
            if part.name not in SETTINGS:
                scope.fail(
                    Slug.UNKNOWN_OPTION,
                    f"a training has no setting `{part.name}`",
                    part.span,
                    hint=or_any(part.name, SETTINGS),
                )
            if phase is not None and part.name != "clip":
                scope.fail(
                    Slug.UNKNOWN_OPTION,
                    f"`{part.name}` is set for the whole training, and not in a phase",
                    part.span,
                    hint="until step 100" if part.name in ("steps", "epochs") else None,
                )
            read = scope.finite if part.name == "clip" else scope.whole
            settings[part.name] = float(read(part.value, f"`{part.name}`"))
            if settings[part.name] < 0 or (part.name == "batch" and settings[part.name] < 1):
                scope.fail(
                    Slug.BAD_SIZE,
                    f"`{part.name}` cannot be {part.value.span.text}",
                    part.span,
                    hint=f"{part.name} {SETTINGS[part.name]:.0f}" if SETTINGS[part.name] else None,
                )
        else:
            optimiser = read_call(part, {**OPTIMISERS, NONE: ()}, "optimiser", scope)
    if optimiser is None and phase is None:
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            "no optimiser is named",
            step.span,
            hint="using adamw(lr = 3e-4), batch 32, steps 2000",
        )
    if phase is None and not settings.get("steps") and not settings.get("epochs"):
        scope.fail(
            Slug.WRONG_ARGUMENTS, "how long it trains is not said", step.span, hint="steps 2000"
        )
    return optimiser, settings


def read_call(tree: s.Expr, table: Mapping[str, tuple[str, ...]], what: str, scope: Scope) -> Call:
    """One of a table by name, with numbers for what it takes."""
    args = tree.args if isinstance(tree, s.Call) else ()
    target = tree.target if isinstance(tree, s.Call) else tree
    if not isinstance(target, s.Name) or target.id not in table:
        name = target.id if isinstance(target, s.Name) else tree.span.text
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"no {what} is called `{name}`",
            target.span,
            hint=or_any(name, table),
        )
    numbers, options = [], []
    for arg in args:
        number = scope.finite(arg.value, f"what the {what} is given")
        if arg.name is None:
            numbers.append(number)
        elif arg.name in table[target.id]:
            options.append((arg.name, number))
        else:
            scope.fail(
                Slug.UNKNOWN_OPTION,
                f"`{target.id}` has no option `{arg.name}`",
                arg.span,
                hint=or_any(arg.name, table[target.id]),
            )
    return Call(target.id, tuple(numbers), tuple(options))


def read_every(step: s.Every, scope: Scope) -> str:
    """What is done every so many steps."""
    if step.action not in ACTIONS or step.unit not in ("steps", "step"):
        scope.fail(
            Slug.UNKNOWN_OPTION,
            "what a training does now and then is to `evaluate` or to take a `snapshot`",
            step.span,
            hint="every 100 steps: evaluate",
        )
    if step.count < 1:
        scope.fail(
            Slug.BAD_SIZE,
            f"every {step.count} steps is never",
            step.span,
            hint="every 100 steps: evaluate",
        )
    return step.action


def matching(tree: s.Expr, known: Mapping[str, bool], scope: Scope) -> list[str]:
    """Parameters that a pattern is about: those at the address and below it."""
    path = pattern(tree, scope)
    hits = [address for address, _ in matches(path, known, {})]
    prefix = path.regex().pattern
    below = re.compile(prefix + r"\..+")
    hits += [address for address in known if below.fullmatch(address) and address not in hits]
    if not hits:
        parts = [address.split(".") for address in known]
        above = {".".join(p[:n]): None for p in parts for n in range(1, len(p) + 1)}
        unknown_site(path, above, tree, scope)
    return [address for address in known if address in hits]


def trained(steps: Iterable[s.Lesson], known: Mapping[str, bool], scope: Scope) -> tuple[str, ...]:
    """The parameters that `only` and `freeze` leave to the optimiser."""
    chosen = {address for address, trained in known.items() if trained}
    for step in steps:
        if isinstance(step, s.Only):
            hits = {address for item in step.patterns for address in matching(item, known, scope)}
            chosen = chosen - hits if step.frozen else chosen & hits
    return tuple(address for address in known if address in chosen)


def read_groups(
    steps: Iterable[s.Lesson], known: Mapping[str, bool], scope: Scope
) -> tuple[Group, ...]:
    """Parameters with settings of their own."""
    groups = []
    for step in steps:
        if isinstance(step, s.OptimiserGroup):
            for name, value in step.settings:
                if name not in GROUP_OPTIONS:
                    scope.fail(
                        Slug.UNKNOWN_OPTION,
                        f"no optimiser has an option `{name}`",
                        value.span,
                        hint=or_nearest(name, GROUP_OPTIONS),
                    )
            settings = tuple(
                (name, scope.finite(value, f"`{name}`")) for name, value in step.settings
            )
            groups.append((tuple(matching(step.pattern, known, scope)), settings))
    return tuple(groups)
