"""The laws of interventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx
import numpy as np

from ..compiler.build import addresses
from ..compiler.build import build as graph_of
from ..dsl.core import DType
from ..dsl.elaborate.sites import body_sites, model_axis
from ..dsl.ops import INPUT, PARAM, STATE, ScanAttrs
from ..runtime.examples import inputs_for
from .comparing import assert_close
from .interventions import Drawn, under, writable
from .models import measuring, model_of, results, trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..compiler.graph import Graph
    from ..runtime.model import SpecModel
    from ..runtime.program import Program
    from ..runtime.sites import Site

MOST = 24  # sites that are written in one intervention


def check_noop(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """Setting a site to what it already holds changes nothing: the emitted source is the same, byte
    for byte. Setting it to what it holds in the run without interventions changes no number."""
    made = model_of(program, model)
    sites = some(writable(made), seed)
    if not sites:
        return
    name = made.checked.name
    same = under(made, writes(name, [f"{site.address} = it" for site in sites]))
    if same._artifact.source != made._artifact.source:
        for site in sites:
            alone = under(made, writes(name, [f"{site.address} = it"]))
            assert alone._artifact.source == made._artifact.source, (
                f"`{site.address} = it` changes the emitted source"
            )
        raise AssertionError(
            "these writes together change the emitted source:\n"
            + "\n".join(s.address for s in sites)
        )
    given = inputs_for(made, seed) if inputs is None else inputs
    based = under(made, writes(name, [f"{site.address} = base.{site.address}" for site in sites]))
    assert_close(
        results(based, given), results(made, given), what="with every site set to `base`, result"
    )


def check_patch_all(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    others: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """Patching every source of the output from a run gives that run's output.

    The sources are sites, some near the output and some far above it, such that nothing reaches the
    output around them; they are patched into a run on `others`.
    """
    made = model_of(program, model)
    sources, ints = _cut(made, np.random.default_rng(seed))
    first = inputs_for(made, seed) if inputs is None else inputs
    lengths = _lengths(made, first)
    second = inputs_for(made, seed + 1, lengths) if others is None else others
    second = [
        a if decl.name in ints else b
        for decl, a, b in zip(made.checked.inputs, first, second, strict=True)
    ]
    clean = trace(made, first, [site.address for site in sources])
    header = ", ".join(
        f"v{n}[{', '.join(site.axes)}]" if site.axes else f"v{n}[]"
        for n, site in enumerate(sources)
    )
    lines = [f"{site.address} = v{n}" for n, site in enumerate(sources)]
    if not lines:
        return
    text = writes(made.checked.name, lines, header)
    tensors = {f"v{n}": clean[site.address].tensor for n, site in enumerate(sources)}
    patched = under(made, text, tensors)
    found = results(patched, second)
    assert_close(found, results(made, first), what=f"with its sources patched:\n{text}result")


def check_disjoint_commute(
    program: Program,
    model: SpecModel | str | None,
    first: Drawn,
    second: Drawn,
    inputs: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """Interventions that write different sites give the same in either order."""
    made = model_of(program, model)
    assert not first.sites & second.sites, "these interventions are not disjoint"
    given = inputs_for(made, seed) if inputs is None else inputs
    one, other = first.then(second).under(made), second.then(first).under(made)
    assert_close(
        results(one, given),
        results(other, given),
        what=f"{first}{second}in the other order, result",
    )


def check_downstream_free(
    program: Program,
    model: SpecModel | str | None = None,
    intervention: Drawn | None = None,
    site: str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """An intervention downstream of what is measured changes nothing and costs nothing: the values
    are the same, and so is the source that is emitted to measure them.

    Without an intervention, everything that is downstream is set to 0. Without a site, one is drawn.
    """
    made = model_of(program, model)
    graph = graph_of(made.checked)
    if site is None:
        known = [s.address for s in writable(made)]
        site = known[int(np.random.default_rng(seed).integers(len(known)))]
    below = downstream(made, site, graph)
    if intervention is None:
        floats = [s.address for s in writable(made) if s.node.dtype is DType.FLOAT]
        writes = [
            f"{address} = 0"
            for address in floats
            if made.checked.aliases.get(address, address) in below
        ]
        intervention = Drawn(tuple(writes[:MOST]), frozenset(below), made.checked.name)
    if not intervention.writes:
        return
    assert intervention.sites <= below, (
        f"not downstream of `{site}`: {sorted(intervention.sites - below)}"
    )
    plain, changed = measuring(made, [site]), measuring(intervention.under(made), [site])
    assert changed._artifact.source == plain._artifact.source, (
        f"measuring `{site}` costs something under\n{intervention}"
    )
    given = list(inputs_for(made, seed) if inputs is None else inputs)
    assert_close(
        results(changed, given),
        results(plain, given),
        tolerance=0.0,
        what=f"`{site}` under\n{intervention}",
    )


def downstream(model: SpecModel, site: str, graph: Graph | None = None) -> frozenset[str]:
    """The addresses that cannot change what stands at a site: nothing leads from them to it.

    A recurrence counts as one: what stands in it may change all of it.
    """
    graph = graph or graph_of(model.checked)
    homes = _homes(graph)
    homes |= {
        address: [name]
        for address, name in addresses(model.checked, graph).items()
        if address not in homes
    }
    own = homes[model.checked.aliases.get(site, site)]
    above = set(own).union(*(networkx.ancestors(graph.nx, name) for name in own))
    return frozenset(address for address, names in homes.items() if not above & set(names))


def _homes(graph: Graph) -> dict[str, list[str]]:
    """For each address the nodes that hold it: one inside a recurrence is held by the recurrence."""
    homes: dict[str, list[str]] = {}
    for name in graph.in_order():
        node = graph.node(name)
        if node.site is not None:
            homes.setdefault(node.site, []).append(name)
        if isinstance(node.attrs, ScanAttrs):
            for address, _ in body_sites(node.attrs.body):
                homes.setdefault(address, []).append(name)
    return homes


def _cut(model: SpecModel, numbers: np.random.Generator) -> tuple[list[Site], set[str]]:
    """Sites that together carry all that reaches the results, and the inputs beside them that both
    runs must share: ints, which are not patched."""
    checked = model.checked
    graph = graph_of(checked)
    sites = {
        s.address: s
        for s in writable(model)
        if s.node.dtype is DType.FLOAT
        and all(a.name.isidentifier() and model_axis(a.name, checked) == a for a in s.node.axes)
    }
    names: dict[str, Site] = {}
    for address, site in sites.items():
        name = graph.sites().get(model.checked.aliases.get(address, address))
        if name is not None and set(graph.node(name).axes) == set(site.node.axes):
            names.setdefault(name, site)
    found: dict[str, Site] = {}
    shared: set[str] = set()
    waiting = list(graph.results[: len(model.checked.results)])
    seen = set(waiting)
    ends = set(waiting)
    while waiting:
        name = waiting.pop()
        node = graph.node(name)
        if name not in ends and name in names and (numbers.random() < 0.5 or node.op is INPUT):
            found[name] = names[name]
            continue
        if node.op is INPUT:
            shared.add(node.site or name)
        if node.op in (PARAM, STATE):
            continue
        for operand in graph.operands(name):
            if operand not in seen:
                seen.add(operand)
                waiting.append(operand)
    return list(found.values()), shared


def _lengths(model: SpecModel, inputs: Sequence[Any]) -> dict[str, int]:
    """The run-time sizes of these inputs, by the name of their axis."""
    return {
        axis: length
        for decl, value in zip(model.checked.inputs, inputs, strict=True)
        for axis, length in zip(decl.order, np.shape(value), strict=True)
    }


def writes(model: str, lines: Sequence[str], params: str = "") -> str:
    """An intervention of these lines, as text."""
    head = (
        f"intervention writes({params}) on {model}:"
        if params
        else f"intervention writes on {model}:"
    )
    return "\n".join([head, *(f"    {line}" for line in lines), ""])


def some(sites: list[Site], seed: int) -> list[Site]:
    """At most so many of the sites as are tried at once, in their order."""
    order = np.random.default_rng(seed).permutation(len(sites))[:MOST]
    return [sites[place] for place in sorted(order)]
