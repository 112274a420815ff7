"""Draws experiments that sweep over a model, with data for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from ..dsl.core import DType
from ..runtime.examples import inputs_for
from .interventions import writable
from .models import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..runtime.model import SpecModel
    from ..runtime.program import Program
    from ..runtime.sites import Site

    Draw = Callable[[st.SearchStrategy[Any]], Any]

DATA, FILE = "given", "given.npz"
TURN = re.compile(r"(\w+)\[\d+\](\.[A-Za-z_]\w*)+")
STRENGTHS = "[0, 0.5, 2]"
REGIONS = ("= {v}", "= {v}", ">= {v}", "!= {v}")
CHANGES = (" = 0", " = 0.5 * it", " = tanh(it)", " += 0.25", " from clean", " from clean")
SCALED = (" *= {v}", " = {v} * it", " += {v}")


@dataclass(frozen=True)
class DrawnSweep:
    """The text of a data statement and an experiment that sweeps; what the data's file holds."""

    text: str
    arrays: dict[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def save(self, folder: Path) -> None:
        """Write the file of the data."""
        np.savez(folder / FILE, **self.arrays)


@st.composite
def sweeps(
    draw: Draw,
    program: Program,
    model: SpecModel | str | None = None,
    *,
    scanned: bool = False,
) -> DrawnSweep:
    """An experiment `drawn_sweep` on a model: over turns, positions and strengths, of one or two
    writes into one of two runs. Something is swept in it, if the model has a value to write. If
    `scanned`, it is swept in the steps of a scan, whose carry is written too."""
    made = model_of(program, model)
    arrays, data, inputs, halved = data_of(made, draw(st.integers(0, 2**16)))
    name = made.checked.name
    sites = [
        site
        for site in writable(made)
        if site.node.dtype is DType.FLOAT and all(a.isidentifier() for a in site.axes)
    ]
    over: dict[str, str] = {}
    writes = [_write(draw, draw(st.sampled_from(sites)), sites, over) for _ in range(2)]
    writes = writes[: draw(st.integers(1, 2))]
    used = {v: r for v, r in over.items() if re.search(rf"\\b{v}\\b", " ".join(writes))}
    if not used:
        used, writes = {"g": STRENGTHS}, [f"{draw(st.sampled_from(sites)).address} *= g"]
    base = draw(st.sampled_from(["clean", "other"]))
    ranges = ", ".join(f"{v} in {r}" for v, r in used.items())
    if scanned:
        writes.append(f"{draw(st.sampled_from(sites)).address} *= carried")
    sweep = [
        f"    sweep found over {ranges}:",
        f"        run patched = {base} with {', '.join(writes)}",
        f"        {draw(st.sampled_from(['size(patched)', 'size(patched) - size(clean)']))}",
    ]
    if scanned:
        head = ["    scan round * 3:", "        carry carried = 1.5"]
        end = "        carried = 0.5 * carried - 0.1 * round"
        sweep = [*head, *(f"    {line}" for line in sweep), end]
    lines = [
        data,
        "",
        f"experiment drawn_sweep of {name} on {DATA}:",
        f"    run clean = {name}{inputs}",
        f"    run other = {name}{halved}",
        f"    measure size(r) = {_measure(draw, draw(st.sampled_from(sites)))}",
        *sweep,
        "",
    ]
    return DrawnSweep("\n".join(lines), arrays)


def data_of(model: SpecModel, seed: int) -> tuple[dict[str, Any], str, str, str]:
    """Arrays with the examples in front, the statement that reads them, and the inputs of two runs."""
    arrays, fields, same, halved = {}, [], [], []
    given = inputs_for(model, seed)
    sizes = [
        np.shape(array)[decl.order.index("b")]
        for decl, array in zip(model.checked.inputs, given, strict=True)
        if "b" in decl.order
    ]
    for decl, array in zip(model.checked.inputs, given, strict=True):
        rest = [axis for axis in decl.order if axis != "b"]
        value = f"{DATA}.{decl.name}"
        if "b" in decl.order:
            arrays[decl.name] = np.moveaxis(array, decl.order.index("b"), 0)
        else:  # the same for all examples
            arrays[decl.name] = np.stack([array] * (sizes or [1])[0])
            value = f"{value}[b = 0]"
            same.append(f"{decl.name} = {value}")
        axes = f"[{', '.join(rest)}]" if rest else ""
        fields.append(f"{decl.name}{axes}: {decl.dtype}")
        if decl.dtype is DType.FLOAT:
            halved.append(f"{decl.name} = 0.5 * {value}")
        elif "b" not in decl.order:
            halved.append(f"{decl.name} = {value}")
    statement = f'data {DATA} = npz("{FILE}"): {", ".join(fields)}'
    return arrays, statement, _call(same), _call(halved)


def _call(arguments: Sequence[str]) -> str:
    return f"({', '.join(arguments)})" if arguments else ""


def _write(draw: Draw, site: Site, sites: Sequence[Site], over: dict[str, str]) -> str:
    """A write to a site; it may use variables, which are put into `over` with their ranges."""
    path = site.address
    turn = TURN.fullmatch(path)
    if turn is not None and path.count("[") == 1 and draw(st.booleans()):
        loop = turn[1]
        turns = {s.address.split("]")[0] for s in sites if s.address.startswith(f"{loop}[")}
        everywhere = re.sub(r"\[\d+\]", "[{}]", path)
        own = {s.address: s.node.axes for s in sites}
        alike = [own.get(everywhere.format(n)) for n in range(len(turns))]
        if all(axes == site.node.axes for axes in alike):
            over["l"] = loop
            path = everywhere.format("l")
    region = ""
    if site.axes and draw(st.booleans()):
        axis = draw(st.sampled_from(site.node.axes))
        known = isinstance(axis.size, int)
        over["p"] = f"0..{axis.size}" if known else "0..1"
        region = f"[{axis.name} {draw(st.sampled_from(REGIONS)).format(v='p')}]"
    if draw(st.booleans()):
        over["g"] = STRENGTHS
        return f"{path}{region}{draw(st.sampled_from(SCALED)).format(v='g')}"
    return f"{path}{region}{draw(st.sampled_from(CHANGES))}"


def _measure(draw: Draw, site: Site) -> str:
    """One number of a run."""
    value, axes = f"r.{site.address}", list(site.axes)
    if axes and draw(st.booleans()):
        axis = draw(st.sampled_from(axes))
        value = f"{value}[{axis} = {draw(st.sampled_from([0, -1]))}]"
        axes.remove(axis)
    return f"mean[{', '.join(axes)}]({value})" if axes else value
