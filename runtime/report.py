"""What the commands `sites`, `show`, `explain` and `emit` print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..compiler.build import build as graph_of
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.emit import emit
from ..compiler.passes import PASSES
from ..compiler.show import dot as as_dot
from ..compiler.show import show
from ..dsl.diagnostics import Diagnostic, Slug, SpecError, or_nearest
from ..dsl.ops import SCAN
from ..dsl.source import GENERATED
from .explain import explain_sweeps
from .model import matching_sites

if TYPE_CHECKING:
    from .program import Program

FUSED = {
    "F.scaled_dot_product_attention": "attention in one fused kernel, which stores no pattern",
    "torch.softmax": "softmax in the open",
    "F.layer_norm": "layer norms",
    "F.rms_norm": "rms norms",
    "F.batch_norm": "batch norms",
    "F.embedding": "embeddings",
    "F.conv1d": "convolutions over one axis",
    "F.conv2d": "convolutions over two axes",
    "F.linear": "linear maps",
    "SideBySide(": "projections of one value, their weights side by side in memory",
    "torch.einsum": "contractions as einsum",
    "F.gelu": "gelu",
    "F.silu": "silu",
}


def site_table(program: Program, model: str | None, pattern: str) -> str:
    """One line a site: address, axes with sizes, dtype."""
    found = matching_sites(program.elaborated(model), pattern)
    if not found:
        raise SpecError([Diagnostic(Slug.UNKNOWN_SITE, f"no site matches `{pattern}`", GENERATED)])
    return "".join(f"{site}\n" for site in found)


def shown(program: Program, model: str | None, *, after: str | None, dot: bool) -> str:
    """The graph of a model after all passes, or after one of them, as text or for graphviz."""
    names = ["build", *(row.name for row in PASSES)]
    if after is not None and after not in names:
        hint = or_nearest(after, names) or f"one of {', '.join(names)}"
        raise SpecError(
            [Diagnostic(Slug.UNKNOWN_OPTION, f"no pass is called `{after}`", GENERATED, hint=hint)]
        )
    graph = compile_graph(graph_of(program.elaborated(model)), Context(), after=after)
    return as_dot(graph) if dot else show(graph) + "\n"


def emitted(program: Program, model: str | None, target: str) -> str:
    """The code of a model."""
    checked = program.elaborated(model)
    graph = compile_graph(graph_of(checked), Context())
    if target == "graph":
        return show(graph) + "\n"
    return emit(graph, checked, passes=tuple(row.name for row in PASSES)).source


def explained(program: Program, model: str | None) -> str:
    """How a model is lowered, and how the sweeps of the file are run."""
    checked = program.elaborated(model)
    graph = compile_graph(graph_of(checked), Context())
    source = emit(graph, checked).source
    lines = [
        f"{checked.name}: {len(graph)} operations after {', '.join(row.name for row in PASSES)}"
    ]
    for call, what in FUSED.items():
        count = source.count(call)
        if count:
            lines.append(f"  {count:4} x {what} ({call.rstrip('(')})")
    scans = [graph.node(n) for n in graph.in_order() if graph.node(n).op is SCAN]
    lines += [f"  scan at {node.span}: step by step" for node in scans]
    turns = re.findall(r'"""`(.+)`\."""', source)
    lines += [f"  one class for {turn.replace('`', '')}" for turn in turns if "[" in turn]
    for name, study in program.checked.experiments.items():
        lines += explain_sweeps(name, study, program.library)
    return "\n".join(lines) + "\n"
