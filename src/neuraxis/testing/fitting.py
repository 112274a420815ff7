"""The law of fitting: what is not listed stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import networkx
import numpy as np
from hypothesis import strategies as st
from rich.console import Console

from ..compiler.build import build as graph_of
from ..dsl.core import DType
from ..dsl.ops import INPUT, ITEM, PARAM, ParamAttrs
from ..runtime.session import Session
from ..runtime.teaching import parameters_of
from .changes import writes
from .experiments import DATA, FILE, data_of
from .interventions import writable
from .models import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..runtime.model import SpecModel
    from ..runtime.program import Program
    from ..runtime.sites import Site

    Draw = Callable[[st.SearchStrategy[Any]], Any]

OPTIMISERS: tuple[str, ...] = (
    "sgd(lr = 0.01)",
    "sgd(lr = 0.01, momentum = 0.9)",
    "adam(lr = 0.01)",
)
DECAYING = ("sgd(lr = 0.01, weight_decay = 0.1)", "adamw(lr = 0.01, weight_decay = 0.1)")


def check_fitting(
    program: Program, training: str | None = None, *, listed: Collection[str]
) -> None:
    """After a training all parameters and states that are not listed are what they were when it
    began, to the bit. `listed` are addresses, with all that lies below them."""
    name = next(iter(program.checked.trainings)) if training is None else training
    with TemporaryDirectory() as folder:
        session = Session(program, Path(folder), console=Console(file=StringIO()))
        before = parameters_of(session.begun(name)).state()
        after = parameters_of(session.weights(name)).state()
    for address, value in before.items():
        same = np.array_equal(
            value.numpy(), after[address].numpy(), equal_nan=value.is_floating_point()
        )
        own = any(f"{address}.".startswith(f"{other}.") for other in listed)
        assert same or own, f"`{address}` has moved, and is not listed"


# ---- what is drawn


@dataclass(frozen=True)
class DrawnTraining:
    """The text of a data statement, of an intervention and of a training; the parameters that may
    move; and what the data's file holds."""

    text: str
    listed: frozenset[str]
    arrays: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def save(self, folder: Path) -> None:
        """Write the file of the data."""
        np.savez(folder / FILE, **self.arrays)


@st.composite
def trainings(
    draw: Draw, program: Program, model: SpecModel | str | None = None
) -> DrawnTraining | None:
    """A training `fit` of a model, of two steps: of some of its parameters, of all but some, or of
    a map that an intervention shares; a site may be clamped on the way. None if the model has no
    parameter that a value depends on."""
    made = model_of(program, model)
    ways = _Ways(made)
    if not ways.ends:
        return None
    end = draw(st.sampled_from(ways.ends))
    name, between = made.checked.name, [site for site in ways.sites if ways.leads(site, end)]
    arrays, data, inputs, _ = data_of(made, draw(st.integers(0, 2**16)))
    kind, clamp = draw(st.sampled_from(["only", "freeze", "map"])), None
    lines: list[str] = []
    given, optimisers = "", OPTIMISERS
    listed = ways.behind(end)
    mapped = [site for site in between if _axis(site)]
    if kind == "map" and mapped:
        site = draw(st.sampled_from(mapped))
        axis, given = _axis(site), " with fits"
        lines = [f"share m = rotation[{axis} -> code]", f"{site.address} += 0.5 * sum[code](m(it))"]
        rules, listed = [], {"fits.m"}
    else:
        clamp = draw(st.sampled_from([None, *between]))
        if clamp is not None and ways.named(end, clamp):
            value = draw(st.sampled_from(["0", "stop(it)", "0.5 * stop(it)"]))
            lines, given, listed = (
                [f"{clamp.address} = {value}"],
                " with fits",
                ways.behind(end, clamp),
            )
        else:
            clamp, optimisers = None, (*OPTIMISERS, *DECAYING)
        first = draw(st.sampled_from(ways.named(end, clamp)))
        some = draw(st.sets(st.sampled_from(ways.params)))
        if kind == "freeze":
            rules = [f"freeze {address}" for address in sorted(some - {first})]
            listed = listed - (some - {first})
        else:
            rules = [f"only {', '.join(sorted(some | {first}))}"]
            listed = listed & (some | {first})
    loss = f"tanh({end.address}) ^ 2"
    loss = f"mean[{', '.join(end.axes)}]({loss})" if end.axes else loss
    text = [
        data,
        "",
        *([writes(name, lines).replace("writes", "fits", 1)] if lines else []),
        f"train fit of {name}{inputs}{given} on {DATA}:",
        f"    loss = {loss}",
        f"    using {draw(st.sampled_from(optimisers))}, batch 1, steps 2",
        *(f"    {rule}" for rule in rules),
        "",
    ]
    return DrawnTraining("\n".join(text), frozenset(listed), arrays)


class _Ways:
    """Which parameters lead to which values of a model. A recurrence counts as one."""

    def __init__(self, model: SpecModel) -> None:
        self.graph = graph_of(model.checked)
        own = self.graph.sites()
        nodes = {n: self.graph.node(n) for n in self.graph.in_order()}
        self.homes = {
            site.address: own[at]
            for site in writable(model)
            if (at := model.checked.aliases.get(site.address, site.address)) in own
        }
        self.trained = {
            node.site: name
            for name, node in nodes.items()
            if isinstance(node.attrs, ParamAttrs) and node.attrs.trained and node.site is not None
        }
        self.params = sorted(self.trained.keys() & self.homes.keys())  # that a spec can name
        self.sites = [
            site
            for site in writable(model)
            if site.node.dtype is DType.FLOAT
            and site.address in self.homes
            and nodes[self.homes[site.address]].op not in (PARAM, INPUT, ITEM)
            and all(axis.isidentifier() for axis in site.axes)
        ]
        self.ends = [site for site in self.sites if self.named(site)]

    def leads(self, site: Site, end: Site) -> bool:
        """Whether a value depends on another, or is it."""
        start, home = self.homes[site.address], self.homes[end.address]
        return bool(networkx.has_path(self.graph.nx, start, home))

    def named(self, end: Site, clamp: Site | None = None) -> list[str]:
        """Those of the parameters that a value depends on that a spec can name."""
        return sorted(self.behind(end, clamp).intersection(self.params))

    def behind(self, end: Site, clamp: Site | None = None) -> set[str]:
        """The parameters that a value depends on, but for what goes through another value."""
        graph, home = self.graph.nx, self.homes[end.address]
        if clamp is not None and self.homes[clamp.address] == home:
            return set()
        if clamp is not None:
            graph = networkx.restricted_view(graph, [self.homes[clamp.address]], [])
        above = networkx.ancestors(graph, home)
        return {site for site, name in self.trained.items() if name in above}


def _axis(site: Site) -> str | None:
    """An axis along which a map can be made."""
    known = (a.name for a in site.node.axes if isinstance(a.size, int) and a.name.isalpha())
    return next(known, None)
