"""Optimisers: PyTorch's by name, with groups of parameters that have settings of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...dsl.diagnostics import Diagnostic, Slug, SpecError, or_nearest
from ...dsl.elaborate.optimisation import OPTIMISERS
from .options import bound, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...dsl.program import Phase
    from ...dsl.source import Span
    from ..parameters import Parameters

CLASSES: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": torch.optim.Adamax,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
    "asgd": torch.optim.ASGD,
    "lbfgs": torch.optim.LBFGS,
}
SWITCHES = frozenset({"nesterov", "amsgrad", "centered"})
COUNTS = frozenset({"max_iter", "history_size"})
BETAS = (0.9, 0.999)  # what PyTorch takes where nothing is said
ETAS = (0.5, 1.2)


@dataclass(frozen=True, slots=True)
class Optimiser:
    """An optimiser, and the addresses of what it changes, in its order.

    `rate` is the learning rate of what is in no group, `rates` are those of all its groups.
    """

    torch: torch.optim.Optimizer
    sites: tuple[str, ...]
    rate: float
    rates: tuple[float, ...]

    def scale(self, factor: float) -> None:
        """Set the learning rate of every group to this much of what it is by itself."""
        for group, rate in zip(self.torch.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def state(self) -> dict[str, Any]:
        """What it remembers of each parameter, by address: tensors, numbers, lists of both."""
        remembered = self.torch.state_dict()["state"]
        return {site: remembered[at] for at, site in enumerate(self.sites) if at in remembered}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember again what `state` gave."""
        own = self.torch.state_dict()
        own["state"] = {at: state[site] for at, site in enumerate(self.sites) if site in state}
        self.torch.load_state_dict(own)


def optimiser_for(phase: Phase, parameters: Parameters, span: Span) -> Optimiser:
    """The optimiser of a phase; SpecError if it cannot be made so."""
    name = phase.optimiser.name
    base = bound(phase.optimiser, OPTIMISERS[name], span)
    settings = {site: dict(base) for site in phase.trained}
    for sites, own in phase.groups:
        _check(name, own, span)
        for site in sites:
            if site in settings:  # a later group has the last word
                settings[site] |= own
    groups: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for site, own_settings in settings.items():
        groups.setdefault(tuple(sorted(own_settings.items())), []).append(site)
    if name == "lbfgs" and len(groups) > 1:
        raise _problem("`lbfgs` has one group, all of whose settings are the same", span)
    rows = [
        {"params": [parameters[site] for site in sites], **_translated(name, dict(own), span)}
        for own, sites in groups.items()
    ]
    try:  # a single group's settings are given whole, for optimisers that know no groups
        params = rows[0].pop("params") if len(rows) == 1 else rows
        made = CLASSES[name](params, **(rows[0] if len(rows) == 1 else {}))
    except ValueError as error:
        raise _problem(f"`{name}` cannot be made so: {error}", span) from None
    ordered = tuple(site for sites in groups.values() for site in sites)
    rates = tuple(float(group["lr"]) for group in made.param_groups)
    return Optimiser(made, ordered, base.get("lr", float(made.defaults["lr"])), rates)


def _check(name: str, settings: Sequence[tuple[str, float]], span: Span) -> None:
    for setting, _ in settings:
        if setting not in OPTIMISERS[name]:
            hint = or_nearest(setting, OPTIMISERS[name])
            message = f"`{name}` has no option `{setting}` for a group"
            raise SpecError([Diagnostic(Slug.UNKNOWN_OPTION, message, span, hint=hint)])


def _translated(name: str, settings: dict[str, float], span: Span) -> dict[str, object]:
    """Settings as PyTorch calls them."""
    found: dict[str, object] = {}
    if settings.keys() & {"beta1", "beta2"}:
        found["betas"] = (settings.pop("beta1", BETAS[0]), settings.pop("beta2", BETAS[1]))
    if "etas" in settings:  # one number: by what a step grows, or by what it shrinks
        eta = settings.pop("etas")
        found["etas"] = (eta, ETAS[1]) if eta < 1 else (ETAS[0], eta)
    for setting, value in settings.items():
        if setting in SWITCHES:
            found[setting] = bool(value)
        elif setting in COUNTS:
            found[setting] = whole(f"`{setting}` of `{name}`", value, span, least=1)
        else:
            found[setting] = value
    return found


def _problem(message: str, span: Span) -> SpecError:
    return SpecError([Diagnostic(Slug.WRONG_ARGUMENTS, message, span)])
