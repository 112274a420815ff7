"""The law of parallel forms: they give what the steps give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from tests.compiler.programs import graph_of
from tests.compiler.recurrences.cells import CELLS

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences import Kind, classify
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.show import show
from neuraxis.dsl import sizes
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT, PARAM, ScanAttrs
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close, check_parallel, recurrences

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

STEPS = {
    name: cell for name, cell in CELLS.items() if {*cell.kinds} & {Kind.ELEMENTWISE, Kind.LOW_RANK}
}


def data(graph: Graph, length: int, seed: int) -> dict[str, Any]:
    stream = np.random.default_rng(seed)
    known = {"t": length, "b": 2}
    inputs, params = {}, {}
    for name in graph.in_order():
        node = graph.node(name)
        shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
        array: Any = stream.normal(size=shape)
        if node.dtype is not DType.FLOAT:
            array = stream.integers(0, 2, shape)
        if node.op is INPUT:
            inputs[name] = NamedArray(names(node.axes), np.asarray(array))
        elif node.op is PARAM:
            params[node.site] = array
    return {"inputs": inputs, "params": params, "sizes": known}


def check(graph: Graph, length: int, chunk: int, seed: int = 0) -> Graph:
    ctx = Context(recurrences="parallel", chunk=chunk)
    after = compile_graph(graph, ctx)
    note(show(after))
    given_ = data(graph, length, seed)
    # of no steps, `S[t = -1]` is the first carry: `fold` says so
    steps = graph if length else compile_graph(graph, Context())
    found, wanted = evaluate(after, **given_), evaluate(steps, **given_)
    assert_close(found, wanted, tolerance=1e-9)
    return after


@pytest.mark.parametrize("name", STEPS)
@given(length=st.integers(0, 9), chunk=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=8)
def test_a_cell_in_parallel_is_the_cell(name: str, length: int, chunk: int, seed: int) -> None:
    check(graph_of(STEPS[name].text), length, chunk, seed)


@given(recurrences(), st.integers(1, 4), st.integers(0, 99))
def test_a_recurrence_in_parallel_is_the_recurrence(text: str, chunk: int, seed: int) -> None:
    check_parallel(Program.from_text(text), chunk=chunk, seed=seed)


def scans(graph: Graph) -> list[ScanAttrs]:
    found = [graph.node(name).attrs for name in graph.in_order()]
    return [attrs for attrs in found if isinstance(attrs, ScanAttrs)]


WRITTEN = """
model m[d = 6](x[b, t, d]) -> [b, t, d]:
    mix = gated_delta[h = 2, k = 3, v = 2](x)
    return mix

intervention part(new = 2.0) on m:
    mix.S[t >= 3, h = 1] = 0.5 * it + new

intervention row on m:
    mix.S[h = 0, k = 1] = 0

intervention whole on m:
    mix.S[t = 2] = base.mix.S

intervention before on m:
    mix.kept[t < 2] *= 2
"""


@pytest.mark.parametrize("name", ["part", "row", "whole", "before"])
def test_writes_to_a_carry_leave_its_kind(name: str) -> None:
    model = Program.from_text(WRITTEN).model("m").under(name)
    graph = build(model.checked)
    for scan in scans(compile_graph(graph, Context())):
        assert [group.kind for group in classify(scan).groups] == [Kind.LOW_RANK]
    given_ = data(graph, 7, 0)
    given_["params"] = {
        site: np.abs(array) if site == "mix.A" else array
        for site, array in given_["params"].items()
    }
    for step in model.checked.body.steps:
        if step.node.op is INPUT and not step.node.axes:
            given_["inputs"][step.node.name] = NamedArray((), np.asarray(2.0))
    ctx = Context(recurrences="parallel", chunk=3)
    assert_close(
        evaluate(compile_graph(graph, ctx), **given_), evaluate(graph, **given_), tolerance=1e-9
    )


def test_what_rides_along_is_in_the_carry() -> None:
    graph = graph_of("""
        model m[d = 4, e = 2](x[b, e, t, d]) -> [b, e, t, d]:
            return gated_delta[h = 2, k = 3, v = 2](x)
    """)
    given_ = data(graph, 7, 0)
    after = compile_graph(graph, Context(recurrences="parallel", chunk=3))
    assert [scan.axis.name for scan in scans(after)] == ["chunk"]
    assert_close(evaluate(after, **given_), evaluate(graph, **given_), tolerance=1e-9)


def test_what_is_nonlinear_stays_and_what_it_drives_does_not() -> None:
    after = compile_graph(
        graph_of(CELLS["nonlinear of another"].text), Context(recurrences="parallel")
    )
    assert [(scan.axis.name, scan.carries) for scan in scans(after)] == [("t", 1), ("chunk", 1)]


@pytest.mark.parametrize("name", ["gru", "separate", "piecewise", "a matrix"])
def test_what_has_no_form_stays_as_it_is(name: str) -> None:
    graph = graph_of(CELLS[name].text)
    parallel = compile_graph(graph, Context(recurrences="parallel"))
    assert show(parallel) == show(compile_graph(graph, Context()))
