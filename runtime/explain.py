"""How the sweeps of an experiment are run, said without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.reference import NamedArray
from ..compiler.sweeps import pack
from ..dsl import sizes
from ..dsl.diagnostics import SpecError
from ..dsl.program import SweepInput
from .lowering import part_of
from .ragged import sizes_of

if TYPE_CHECKING:
    from ..dsl.program import CheckedStudy
    from .sources import Library

ASSUMED = 8  # the size of an axis whose data cannot be read


def explain_sweeps(name: str, study: CheckedStudy, library: Library) -> list[str]:
    """One line a sweep: its members, its rows, or why every member is run whole."""
    try:
        known = sizes_of(library.part(study.data)) if study.data is not None else {}
    except SpecError:
        known = {}
    lines = []
    for sweep in study.sweeps:
        graph = compile_graph(part_of(study.body, (sweep.result,)), Context())
        given: dict[str, NamedArray] = {}
        sized = dict(known)
        for node_name, source in study.sources.items():
            if isinstance(source, SweepInput) and source.sweep == sweep.name and node_name in graph:
                for symbol in sizes.symbols(source.count):
                    sized.setdefault(symbol, ASSUMED)
                values = (
                    source.values
                    if source.values is not None
                    else range(sizes.evaluate(source.count, sized))
                )
                given[node_name] = NamedArray((source.variable,), np.asarray(values))
                sized[str(graph.node(node_name).axes[0].size)] = len(values)
        for step in study.body.steps:
            for axis in step.node.axes:
                for symbol in sizes.symbols(axis.size):
                    sized.setdefault(symbol, ASSUMED)
        packed = pack(graph, given, sized)
        members = int(np.prod([len(g.array) for g in given.values()]))
        head = f"{name}.{sweep.name}: {members} members"
        if isinstance(packed, str):
            lines.append(f"{head}, every one whole, because {packed}")
        else:
            rows = ", ".join(str(count) for count in packed.rows.values())
            lines.append(
                f"{head} in one batch from the first changed site down, entering at "
                f"their own depth ({rows} rows); "
                "the run without writes once; of the measure only what is read"
            )
    return lines
