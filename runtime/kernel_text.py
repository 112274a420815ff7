"""The sources of the kernels that a model has, to be read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..compiler.costs import contraction_for, gpu_kernel_for, kernel_for, region_for
from ..compiler.emit.cpp.adjoint import adjoint
from ..compiler.emit.cpp.attention.kernel import backward
from ..compiler.emit.cpp.regions.backward import backward as region_back
from ..compiler.emit.flow import flow
from ..compiler.emit.forms import Contracted
from ..compiler.emit.recognise.selection import plan_body
from ..compiler.emit.triton.adjoint import adjoint as triton_adjoint
from ..compiler.emit.unsupported import UnsupportedError
from ..dsl.core import DType
from ..dsl.ops import ScanAttrs
from .explain import regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..compiler.attention import Contraction
    from ..compiler.emit.cpp.attention.kernel import ContractionKernel
    from ..compiler.graph import Graph
    from ..dsl.program import CheckedModel

    Sources = Callable[[ScanAttrs], tuple[str, ...] | str]


def cpp_sources(checked: CheckedModel, graph: Graph) -> Iterator[str]:
    """The C++ of each kernel that a model has, and of its way back, once."""
    yield from _recurrences(checked, graph, _in_cpp, "//")
    done = set()
    plan = plan_body(flow(graph), contractions=_contracted)
    for piece in plan.pieces.values():
        if isinstance(piece.form, Contracted) and piece.form.kernel.symbol not in done:
            done.add(piece.form.kernel.symbol)
            yield piece.form.kernel.source
            with suppress(UnsupportedError):
                made = piece.form.found.contraction
                floats = [node.name for node in made.more if node.dtype is DType.FLOAT]
                yield backward(made, floats).source
    for region in regions(checked, graph):
        kernel = region_for(region)
        if not isinstance(kernel, str) and kernel.symbol not in done:
            done.add(kernel.symbol)
            yield kernel.source
            with suppress(UnsupportedError):
                yield region_back(region.body, kernel.lanes, region.moved).kernel.source


def triton_sources(checked: CheckedModel, graph: Graph) -> Iterator[str]:
    """The Triton of each recurrence of a model, and of its way back, once."""
    return _recurrences(checked, graph, _in_triton, "#")


def _contracted(made: Contraction) -> ContractionKernel | None:
    found = contraction_for(made)
    return None if isinstance(found, str) else found


def _recurrences(
    checked: CheckedModel, graph: Graph, sources: Sources, comment: str
) -> Iterator[str]:
    done = set()
    for name in graph.in_order():
        attrs = graph.node(name).attrs
        if not isinstance(attrs, ScanAttrs):
            continue
        found = sources(attrs)
        if isinstance(found, str):
            line = graph.node(name).span.line
            yield f"{comment} {checked.name}, line {line}: no kernel: {found}\n"
        elif found not in done:
            done.add(found)
            yield from found


def _in_cpp(scan: ScanAttrs) -> tuple[str, ...] | str:
    found = kernel_for(scan)
    if isinstance(found, str):
        return found
    sources = [found.source]
    with suppress(UnsupportedError):
        sources.append(adjoint(scan, found).kernel.source)
    return tuple(sources)


def _in_triton(scan: ScanAttrs) -> tuple[str, ...] | str:
    found = gpu_kernel_for(scan)
    if isinstance(found, str):
        return found
    sources = [found.source]
    with suppress(UnsupportedError):
        sources.append(triton_adjoint(found.plan).kernel.source)
    return tuple(sources)
