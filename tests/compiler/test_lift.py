from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, note
from hypothesis import strategies as st
from tests.compiler.drawn import lengths, seeds

from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, names
from neuraxis.testing import assert_close, graphs
from neuraxis.testing.data import data_for

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

P = Axis("p", 2)


def with_axis(graph: Graph, name: str) -> Graph:
    """The graph with one more axis on an input."""
    with graph.edit() as edit:
        node = edit.node(name)
        axes = (P, *node.axes)
        attrs = ops.InputAttrs(names(axes), axes, node.dtype)
        edit.put(replace(node, attrs=attrs, axes=axes))
        edit.retype([name])
    return edit.graph


@given(graphs(), st.data(), seeds, lengths)
def test_a_lifted_graph_does_what_its_members_do(
    graph: Graph, data: st.DataObject, seed: int, length: int
) -> None:
    note(show(graph))
    inputs = [name for name in graph.in_order() if graph.node(name).op is ops.INPUT]
    name = data.draw(st.sampled_from(inputs))
    lifted = with_axis(graph, name)
    note(show(lifted))
    verify(lifted, "lift")
    given_ = data_for(lifted, seed, length)
    together = evaluate(lifted, **given_.keywords())
    value = given_.inputs[name]
    members = []
    for index in range(2):
        own = NamedArray(value.axes[1:], value.array[index])
        keywords = {**given_.keywords(), "inputs": {**given_.inputs, name: own}}
        members.append(evaluate(graph, **keywords))
    stacked = []
    for whole, *parts in zip(together, *members, strict=True):
        both = [NamedArray(part.axes, part.array) for part in parts]
        if "p" in whole.axes:
            stacked.append(NamedArray(("p", *both[0].axes), np.stack([b.array for b in both])))
        else:
            assert_close([both[1]], [both[0]])
            stacked.append(both[0])
    assert_close(together, stacked)
    assert_close(
        evaluate(graph, **given_.keywords()), together
    )  # what inputs have more rides along
