"""The sources of the kernels that a model has, to be read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..compiler.artifact import Provided
from ..compiler.costs import (
    contraction_for,
    gpu_contraction_for,
    gpu_kernel_for,
    kernel_for,
    region_for,
)
from ..compiler.emit.cpp.adjoint import adjoint
from ..compiler.emit.cpp.attention.kernel import backward
from ..compiler.emit.cpp.regions.backward import backward as region_back
from ..compiler.emit.flow import flow
from ..compiler.emit.forms import Contracted
from ..compiler.emit.recognise.selection import plan_body
from ..compiler.emit.triton.adjoint import adjoint as triton_adjoint
from ..compiler.emit.triton.attention.kernel import backward as triton_back
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
        if not isinstance(piece.form, Contracted):
            continue
        own, made = piece.form.kernel, piece.form.found.contraction
        if own is not None and own.symbol not in done:
            done.add(own.symbol)
            yield own.source
            with suppress(UnsupportedError):
                yield backward(made, _floats(made)).source
    for region in regions(checked, graph):
        kernel = region_for(region)
        if not isinstance(kernel, str) and kernel.symbol not in done:
            done.add(kernel.symbol)
            yield kernel.source
            with suppress(UnsupportedError):
                yield region_back(region.body, kernel.lanes, region.moved).kernel.source


def triton_sources(checked: CheckedModel, graph: Graph) -> Iterator[str]:
    """The Triton of each recurrence and each attention of a model, and of its way back, once."""
    yield from _recurrences(checked, graph, _in_triton, "#")
    for made in dict.fromkeys(_contractions(graph)):
        kernel = gpu_contraction_for(made)
        if isinstance(kernel, str):
            yield f"# {checked.name}: no kernel of an attention: {kernel}\n"
            continue
        yield kernel.source
        with suppress(UnsupportedError):
            yield from (own.source for own in triton_back(made, _floats(made)).kernels)


def _contractions(graph: Graph) -> Iterator[Contraction]:
    """Those that a model has, if all are to be kernels."""
    plan = plan_body(flow(graph), contractions=lambda _: Provided(None))
    for piece in plan.pieces.values():
        if isinstance(piece.form, Contracted):
            yield piece.form.found.contraction


def _floats(made: Contraction) -> list[str]:
    """What may have a gradient beside queries, keys and values."""
    return [node.name for node in made.more if node.dtype is DType.FLOAT]


def _contracted(made: Contraction) -> Provided[ContractionKernel] | None:
    found = contraction_for(made)
    return None if isinstance(found, str) else Provided(found)


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
