"""Emits a graph for a target: decided in Python, laid out by templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import INPUT, Gather, IndexAttrs, InputAttrs
from ..artifact import Argument, Artifact, Look, Stored
from ..garbage import uncollected
from .environment import environment
from .functions import path_of
from .pytorch.classes import laid_out
from .pytorch.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...dsl.program import CheckedModel
    from ..fusion.grouping import Worth
    from ..graph import Graph
    from .pytorch.writer import Choice
    from .recognise.selection import Contractions


@uncollected()
def emit(
    graph: Graph,
    model: CheckedModel,
    target: str = "torch",
    passes: Sequence[str] = (),
    kernels: Choice | None = None,
    contractions: Contractions | None = None,
    fusing: Worth | None = None,
    *,
    lean: bool = False,
) -> Artifact:
    """Source for a graph, and all that a runtime must know of it. The header names the passes.

    Recurrences for which `kernels` has a kernel are calls that the runtime provides, and so are
    contractions shaped like attention, and regions that `fusing` takes; without all of them the
    source needs PyTorch alone. If `lean`, each value is let go of as soon as it is read last; else
    where the next part of the spec begins, which reads better.
    """
    if target != "torch":
        raise ValueError(f"no target is called {target}")
    program = Program.of(graph, model, kernels, contractions, fusing, lean=lean)
    text = laid_out(program, passes)
    source = environment().get_template("torch/module.py.j2").render(module=text)
    nodes = program.flow.nodes
    steps = {step.node.name: step.node for step in model.body.steps}
    inputs = {
        graph.node(n).site: graph.node(n) for n in graph.in_order() if graph.node(n).op is INPUT
    }
    declared = [node for node in steps.values() if node.op is INPUT]
    arguments = []
    for decl, node in zip(model.inputs, declared, strict=True):
        now = inputs.get(node.site, node)
        assert isinstance(now.attrs, InputAttrs)
        axes = {axis.name: axis for axis in now.axes}
        arguments.append(Argument(decl, tuple(axes[name] for name in now.attrs.order)))
    return Artifact(
        model.name,
        target,
        source,
        text.entry,
        tuple(
            Stored(node.site or "", ".".join(path_of(node.site or "")), node)
            for node in program.stored
        ),
        tuple(arguments),
        tuple(node for node in nodes.values() if node.op.name == "random"),
        model.results,
        model.limits,
        tuple(_looks(program, [node.site for node in declared])),
        model.span,
        tuple(program.calls.values()),
    )


def _looks(program: Program, sites: Sequence[str | None]) -> Iterator[Look]:
    """Inputs that are positions in a table, and may not be outside."""
    flow = program.flow
    for name, node in flow.nodes.items():
        if not isinstance(node.attrs, IndexAttrs):
            continue
        how = node.attrs.how
        if not isinstance(how, Gather) or how.fill is not None:
            continue
        base, index = flow.reads[name]
        source = flow.nodes[index]
        if source.op is INPUT and source.site in sites:
            table = flow.nodes[base]
            place = names(table.axes).index(how.axis)
            yield Look(sites.index(source.site), table.axes[place])
