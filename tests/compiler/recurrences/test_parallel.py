"""The law of parallel forms: they give what the steps give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from tests.compiler.comparing import assert_same
from tests.compiler.programs import graph_of
from tests.compiler.recurrences.cells import CELLS

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences.classify import Kind
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.show import show
from neuraxis.dsl import sizes
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.ops import INPUT, PARAM
from neuraxis.testing import recurrences

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


def check(text: str, length: int, chunk: int, seed: int = 0) -> Graph:
    graph = graph_of(text)
    ctx = Context(recurrences="parallel", chunk=chunk)
    after = compile_graph(graph, ctx)
    note(show(after))
    given_ = data(graph, length, seed)
    # of no steps, `S[t = -1]` is the first carry: `fold` says so
    steps = graph if length else compile_graph(graph, Context())
    found, wanted = evaluate(after, **given_), evaluate(steps, **given_)
    assert_same(found, wanted, 1e-9)
    return after


@pytest.mark.parametrize("name", STEPS)
@given(length=st.integers(0, 9), chunk=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=8)
def test_a_cell_in_parallel_is_the_cell(name: str, length: int, chunk: int, seed: int) -> None:
    check(STEPS[name].text, length, chunk, seed)


@given(recurrences(), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_a_recurrence_in_parallel_is_the_recurrence(
    text: str, length: int, chunk: int, seed: int
) -> None:
    check(text, length, chunk, seed)
