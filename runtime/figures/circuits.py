"""Circuits: who sends to whom, and how much of it matters, from the first layer upwards."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import FancyArrowPatch

from .. import labels
from .canvas import FAINT, INK, PAPER, RULE, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray
    from matplotlib.axes import Axes

    from .layout import Layout

MOST_EDGES: Final = 40  # unless a plot says how many
MOST_NODES: Final = 200
TURN: Final = re.compile(r"(\w+)\[(\d+)\]\.?")  # of a loop, at the head of an address


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A sender or receiver: the layer at which it stands, and what it is called there. Senders and
    receivers are of one kind if their axes are alike. `level` is what the layer is called."""

    layer: float
    kind: int
    entry: tuple[int, ...]
    name: str
    level: str


@dataclass(frozen=True, slots=True)
class Edge:
    """How much of what one sends matters to another."""

    source: Place
    target: Place
    weight: float


def circuit(data: xarray.DataArray, path: Path, layout: Layout) -> None:
    """The edges that weigh most of a table over senders and receivers, as arrows upwards."""
    edges = edges_of(data, layout)
    where = arranged(edges)
    wide = max(sum(p.layer == layer for p in where) for layer in {p.layer for p in where})
    deep = len({place.layer for place in where})
    longest = max(len(place.name) for place in where)
    each = max(0.55, 0.085 * longest + 0.2)
    size = (float(np.clip(1.9 + each * wide, 4, 14)), float(np.clip(1.3 + 0.75 * deep, 2.6, 14)))
    with drawn(path, size) as figure:
        axes = figure.subplots()
        axes.set_title(layout.title_of(data))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-wide / 2, wide / 2)
        axes.set_ylim(-0.45, deep - 0.55)
        _levels(axes, where)
        most = max(abs(edge.weight) for edge in edges)
        signed = any(edge.weight < 0 for edge in edges)
        scale = Normalize(-most if signed else 0, most)
        colours = mpl.colormaps["RdBu_r" if signed else "Blues"]
        for edge in sorted(edges, key=lambda edge: abs(edge.weight)):
            _arrow(axes, edge, where, abs(edge.weight) / most, colours, scale)
        for place, at in where.items():
            axes.text(
                *at,
                place.name,
                ha="center",
                va="center",
                fontsize=7.5,
                zorder=3,
                color=INK,
                bbox={
                    "boxstyle": "round,pad=0.35",
                    "facecolor": PAPER,
                    "edgecolor": FAINT,
                    "linewidth": 0.8,
                },
            )
        bar = figure.colorbar(
            ScalarMappable(scale, colours), ax=axes, label=layout.measured(data), shrink=0.7
        )
        bar.outline.set_visible(False)


def edges_of(data: xarray.DataArray, layout: Layout) -> list[Edge]:
    """The edges that are shown, the heaviest first. Raises ValueError."""
    sides = layout.senders, layout.receivers
    dims = [str(axis) for axis in data.dims]
    if not all(sides) or sorted(axis for side in sides for axis in side) != sorted(dims):
        there = ", ".join(dims) or "none"
        raise ValueError(f"a circuit is from axes to axes, and those of the array are {there}")
    senders, receivers = _places(data, sides)
    table = data.transpose(*sides[0], *sides[1]).values.astype(float)
    table = table.reshape(len(senders), len(receivers))
    heavy = np.where(np.isfinite(table) & (table != 0), np.abs(table), -1.0)
    heavy[heavy < layout.least] = -1.0
    most = MOST_EDGES if layout.most is None else layout.most
    order = np.argsort(-heavy, axis=None, kind="stable")[:most]
    found = [
        Edge(senders[source], receivers[target], float(table[source, target]))
        for source, target in zip(*np.unravel_index(order, table.shape), strict=True)
        if heavy[source, target] > 0
    ]
    if not found:
        raise ValueError("no edge of the circuit weighs enough to be shown")
    if len({place for edge in found for place in (edge.source, edge.target)}) > MOST_NODES:
        raise ValueError(f"at most {MOST_NODES} senders and receivers can be seen: say `most`")
    return found


def _places(
    data: xarray.DataArray, sides: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[list[Place], list[Place]]:
    """The senders and the receivers, in the order of the array."""
    along = [[data[axis].values.tolist() for axis in side] for side in sides]
    layered = all(_is_layered(values) for values in along)
    alike = layered and along[0] == along[1]
    found: list[list[Place]] = []
    for side, values in enumerate(along):
        kind = 0 if alike else side
        entries = product(*(range(len(part)) for part in values))
        rows = zip(entries, product(*values), strict=True)
        found.append([_place(at, row, kind, sides[kind], layered=layered) for at, row in rows])
        if alike:  # what has no turn comes before those that have one, or after them
            at = [place.layer for place in found[side]]
            first = next(i for i, layer in enumerate(at) if layer != -inf)
            found[side][first:] = [
                replace(place, layer=inf) if place.layer == -inf else place
                for place in found[side][first:]
            ]
    return found[0], found[1]


def _is_layered(values: Sequence[Sequence[object]]) -> bool:
    """Whether a side says at which layer each entry stands: by its first axis of several, or by
    the turn in its address."""
    first = values[0]
    if all(isinstance(value, str) for value in first):
        return any(TURN.match(str(value)) for value in first)
    return len(values) > 1 and all(isinstance(value, int) for value in first)


def _place(
    entry: tuple[int, ...],
    row: tuple[object, ...],
    kind: int,
    axes: Sequence[str],
    *,
    layered: bool,
) -> Place:
    """Where an entry stands. Without a turn it comes before all layers, or after them."""
    name = ".".join(map(labels.text, row))
    if not layered:
        return Place(float(kind), kind, entry, name, " ".join(axes))
    if isinstance(row[0], int):
        return Place(float(row[0]), kind, entry, name, f"{axes[0]} {row[0]}")
    turn = TURN.match(str(row[0]))
    if turn is None:
        return Place((-inf, inf)[kind], kind, entry, name, "")
    inside = str(row[0])[turn.end() :] or str(row[0])
    name = ".".join(map(labels.text, (inside, *row[1:])))
    return Place(float(turn[2]), kind, entry, name, f"{turn[1]} {turn[2]}")


def arranged(edges: Sequence[Edge]) -> dict[Place, tuple[float, float]]:
    """Where each place is drawn: layers upwards; in a layer each near those that it is tied to, so
    that few arrows cross."""
    places = sorted({place for edge in edges for place in (edge.source, edge.target)})
    layers = sorted({place.layer for place in places})
    rows = [[place for place in places if place.layer == layer] for layer in layers]
    tied: dict[Place, list[tuple[Place, float]]] = {place: [] for place in places}
    for edge in edges:
        tied[edge.source].append((edge.target, abs(edge.weight)))
        tied[edge.target].append((edge.source, abs(edge.weight)))
    across = {place: at for row in rows for place, at in zip(row, _spread(len(row)), strict=True)}
    for _ in range(4):
        for row in [*rows, *reversed(rows)]:
            row.sort(key=lambda place: (_centre(tied[place], across), place))
            across |= dict(zip(row, _spread(len(row)), strict=True))
    return {place: (across[place], float(layers.index(place.layer))) for place in places}


def _spread(count: int) -> list[float]:
    """Places beside each other, the middle at 0."""
    return [place - (count - 1) / 2 for place in range(count)]


def _centre(tied: Sequence[tuple[Place, float]], across: Mapping[Place, float]) -> float:
    total = sum(weight for _, weight in tied)
    return sum(across[place] * weight for place, weight in tied) / total


def _levels(axes: Axes, where: Mapping[Place, tuple[float, float]]) -> None:
    """A line for each layer, with what it is called."""
    names = {height: place.level for place, (_, height) in where.items()}
    axes.set_xticks([])
    axes.set_yticks(list(names), list(names.values()))
    axes.tick_params("y", length=0)
    for height in names:
        axes.axhline(height, color=RULE, linewidth=0.6, zorder=0)


def _arrow(
    axes: Axes,
    edge: Edge,
    where: Mapping[Place, tuple[float, float]],
    share: float,
    colours: mpl.colors.Colormap,
    scale: Normalize,
) -> None:
    """An arrow as thick as its edge is heavy; bent where it passes a layer or stays in one."""
    start, end = where[edge.source], where[edge.target]
    steps = end[1] - start[1]
    bend = 0.0 if steps == 1 else 0.12 if steps > 1 else 0.35
    if (start[0] - end[0]) * steps > 0:  # to and fro bend apart
        bend = -bend
    # a weak edge is drawn darker than it weighs, for it still has to be seen
    seen = edge.weight * (1 + 0.25 * (1 - share) / share)
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=11,
            shrinkB=11,
            mutation_scale=6 + 5 * share,
            linewidth=0.6 + 3.2 * share,
            color=colours(scale(seen)),
            zorder=1 + share,
        )
    )
