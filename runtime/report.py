"""What the commands `sites`, `show`, `explain` and `emit` print."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ..compiler.build import build as graph_of
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.emit import emit
from ..compiler.passes import PASSES
from ..compiler.show import dot as as_dot
from ..compiler.show import show
from ..dsl.diagnostics import Slug, nearest, or_nearest
from .decoding.forms import one_step
from .explain import explain_model, explain_sweeps
from .kernel_text import cpp_sources, triton_sources
from .mistakes import mistake
from .sites import matching_sites

if TYPE_CHECKING:
    from ..compiler.graph import Graph
    from .program import Program

NAMES = tuple(row.name for row in PASSES)


def site_table(program: Program, model: str | None, pattern: str) -> str:
    """One line a site: address, axes with sizes, dtype."""
    checked = program.elaborated(model)
    found = matching_sites(checked, pattern)
    if not found:
        near = nearest(pattern, [site.address for site in matching_sites(checked, "*")])
        hint = f"did you mean {', '.join(near)}?" if near else None
        raise mistake(Slug.UNKNOWN_SITE, f"no site matches `{pattern}`", hint=hint)
    return "".join(f"{site}\n" for site in found)


def shown(
    program: Program, model: str | None, ctx: Context, *, after: str | None, dot: bool
) -> str:
    """The graph of a model after all passes, or after one of them, as text or for Graphviz."""
    known = ["build", *NAMES]
    if after is not None and after not in known:
        hint = or_nearest(after, known) or f"one of {', '.join(known)}"
        raise mistake(Slug.UNKNOWN_OPTION, f"no pass is called `{after}`", hint=hint)
    graph = compile_graph(graph_of(program.elaborated(model)), ctx, after=after)
    return as_dot(graph) if dot else show(graph)


def emitted(
    program: Program, model: str | None, target: str, ctx: Context, *, step: bool = False
) -> str:
    """The code of a model, that of its kernels (`cpp`), or what it is written from (`graph`); with
    `step`, of its step along the axis that is decoded."""
    checked = program.elaborated(model)
    graph = compile_graph(graph_of(checked), ctx)
    if step:
        checked, graph = one_step(checked)
    if target == "graph":
        return show(graph)
    if target == "cpp":
        return "\n".join(cpp_sources(checked, graph))
    if target == "triton":
        return "\n".join(triton_sources(checked, graph))
    return emit(graph, checked, target, NAMES).source


def _compiled(built: Graph) -> tuple[Graph, list[str]]:
    """A graph after all passes, and the names of those that changed it."""
    steps = [("build", built)]
    graph = compile_graph(built, Context(), observer=lambda name, made: steps.append((name, made)))
    changed = [name for (_, one), (name, new) in pairwise(steps) if one.to_body() != new.to_body()]
    return graph, changed


def explained(program: Program, model: str | None) -> str:
    """How a model is lowered, and how the sweeps of its experiments are run. Without a name, all
    models of the file."""
    parts = []
    for name in [model] if model is not None else program.models:
        checked = program.elaborated(name)
        graph, changed = _compiled(graph_of(checked))
        head = f"{checked.name}: {len(graph)} operations after {', '.join(changed) or 'no change'}"
        parts.append([head, *explain_model(checked, graph)])
    for name, study in program.checked.experiments.items():
        if study.sweeps and model in (None, study.model and study.model.name):
            parts.append([f"experiment {name}", *explain_sweeps(study, program.library)])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"
