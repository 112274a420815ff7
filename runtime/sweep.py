"""Runs a sweep: all members in one graph, in rows where that is possible, in parts that fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.reference import NamedArray
from ..compiler.sweeps import pack
from ..dsl import sizes
from ..dsl.core import names
from .lowering import lower, part_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from ..compiler.graph import Graph
    from ..dsl.program import CheckedStudy, SweepPlan


BUDGET = 1 << 27
"""How many numbers one value of a sweep may hold before it is run in parts (512 MiB in float32)."""


@dataclass(frozen=True)
class Members:
    """The result of a sweep: its axes, the swept ones first, and how it was run."""

    axes: tuple[str, ...]
    values: torch.Tensor
    how: tuple[str, ...]


def run_sweep(
    study: CheckedStudy,
    sweep: SweepPlan,
    inputs: Mapping[str, torch.Tensor],
    lengths: Mapping[str, int],
    shared: nn.Module,
    *,
    seed: int = 0,
    budget: int = BUDGET,
) -> Members:
    """Run all members. `inputs` are tensors by the address of their node, swept values included."""
    graph = compile_graph(part_of(study.body, (sweep.result,)), Context())
    variables = {
        graph.node(n).axes[0].name: n
        for n in graph.in_order()
        if n in study.sources and _is_swept(graph, n, sweep)
    }
    return _run(study, sweep, graph, variables, dict(inputs), dict(lengths), shared, seed, budget)


def _is_swept(graph: Graph, name: str, sweep: SweepPlan) -> bool:
    node = graph.node(name)
    return node.op.name == "input" and len(node.axes) == 1 and node.axes[0].name in sweep.variables


def _run(
    study: CheckedStudy,
    sweep: SweepPlan,
    graph: Graph,
    variables: dict[str, str],
    inputs: dict[str, torch.Tensor],
    lengths: dict[str, int],
    shared: nn.Module,
    seed: int,
    budget: int,
) -> Members:
    given: dict[str, NamedArray] = {}
    for axis, name in variables.items():
        node = graph.node(name)
        values = inputs[node.site or name].numpy()
        given[name] = NamedArray((axis,), values)
        lengths[str(node.axes[0].size)] = len(values)
    packed = pack(graph, given, lengths)
    if isinstance(packed, str):
        how: tuple[str, ...] = (f"every member whole, because {packed}",)
        ready, known = graph, lengths
    else:
        rows = list(packed.rows.values())
        members = int(np.prod([len(g.array) for g in given.values()]))
        how = (
            f"lifted from the first changed site down: {members} members in one batch",
            f"each enters at its own depth: {', '.join(map(str, rows))} rows",
            "the run without writes is computed once",
        )
        ready, known = packed.graph, {**lengths, **packed.rows}
        inputs = {**inputs, **_indices(ready, packed.numbers)}
    largest = max(_count(ready, name, known) for name in ready.in_order())
    longest = max(variables, key=lambda axis: len(given[variables[axis]].array))
    if largest > budget and len(given[variables[longest]].array) > 1:
        return _halves(
            study, sweep, graph, variables, longest, inputs, lengths, shared, seed, budget
        )
    lowered = lower(ready, sweep.name, study.model, shared, seed=seed)
    with torch.no_grad():
        (values,) = lowered({**inputs})
    axes = names(lowered.results[0].axes)
    order = [*sweep.variables, *(a for a in axes if a not in sweep.variables)]
    return Members(tuple(order), values.permute([axes.index(a) for a in order]), how)


def _indices(graph: Graph, numbers: Mapping[str, NDArray[np.int64]]) -> dict[str, torch.Tensor]:
    return {
        graph.node(name).site or name: torch.as_tensor(values) for name, values in numbers.items()
    }


def _count(graph: Graph, name: str, lengths: Mapping[str, int]) -> int:
    try:
        return sizes.evaluate(sizes.product(axis.size for axis in graph.node(name).axes), lengths)
    except KeyError:
        return 0


def _halves(
    study: CheckedStudy,
    sweep: SweepPlan,
    graph: Graph,
    variables: dict[str, str],
    axis: str,
    inputs: dict[str, torch.Tensor],
    lengths: dict[str, int],
    shared: nn.Module,
    seed: int,
    budget: int,
) -> Members:
    """Too much at once: the members of the longest axis in two parts."""
    site = graph.node(variables[axis]).site or variables[axis]
    parts = [
        _run(
            study,
            sweep,
            graph,
            variables,
            {**inputs, site: half},
            dict(lengths),
            shared,
            seed,
            budget,
        )
        for half in inputs[site].chunk(2)
    ]
    at = parts[0].axes.index(axis)
    return replace(
        parts[0],
        values=torch.cat([p.values for p in parts], at),
        how=(*parts[0].how, "in parts that fit"),
    )
