"""What is read off a recurrence: its kind, and the affine map that its step is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from tests.compiler.programs import graph_of
from tests.compiler.recurrences.cells import CELLS

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences.classify import Kind, Recurrence, classify
from neuraxis.compiler.reference import NamedArray, evaluate_nodes
from neuraxis.dsl import sizes
from neuraxis.dsl.core import DType, names
from neuraxis.dsl.items import body_inputs
from neuraxis.dsl.ops import ScanAttrs
from neuraxis.testing import assert_close, recurrences

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph


def scans(graph: Graph) -> list[ScanAttrs]:
    found = [graph.node(name).attrs for name in graph.in_order()]
    return [attrs for attrs in found if isinstance(attrs, ScanAttrs) and attrs.carries]


def compiled(text: str) -> Graph:
    return compile_graph(graph_of(text), Context())


def check_step(found: Recurrence) -> None:
    """The decays, corrections and inputs, put together again, are the step."""
    make = found.algebra
    wanted, rebuilt = [], []
    for group in found.groups:
        for place, own in zip(group.carries, group.parts or (), strict=False):
            terms = []
            for carry, p in own.decays:
                terms.append(make.product([*p.factors, found.carries[carry]], negative=p.negative))
            for c in own.corrections:
                read = make.contract(c.over, *c.right, found.carries[c.carry])
                made = make.contract(c.links, *c.left, read)
                terms.append(make.map("neg", made) if c.negative else made)
            if own.other:
                continue
            terms += [make.product(p.factors, negative=p.negative) for p in own.inputs]
            new = found.scan.body.results[place]
            total = make.spread(make.total(terms), found.body.node(new).axes)
            wanted.append(new)
            rebuilt.append(total)
    graph = found.body.done()
    stream = np.random.default_rng(0)
    inputs = {}
    axes = [axis for step in found.scan.body.steps for axis in step.node.axes]
    known = dict.fromkeys((symbol for axis in axes for symbol in sizes.symbols(axis.size)), 2)
    for node in body_inputs(found.scan.body):
        shape = [sizes.evaluate(axis.size, known) for axis in node.axes]
        array = stream.normal(size=shape)
        if node.dtype is not DType.FLOAT:
            array = stream.integers(0, 2, shape).astype(bool if node.dtype is DType.BOOL else int)
        inputs[node.name] = NamedArray(names(node.axes), np.asarray(array))
    values = evaluate_nodes(graph, inputs, sizes=known)
    for name, other in zip(wanted, rebuilt, strict=True):
        one, two = values[name], values[other]
        assert_close(
            [NamedArray(two.axes, two.array.astype(one.array.dtype))], [one], tolerance=1e-12
        )


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_what_it_is(name: str) -> None:
    (scan,) = scans(compiled(CELLS[name].text))
    found = classify(scan)
    assert tuple(group.kind for group in found.groups) == CELLS[name].kinds
    check_step(found)


@given(recurrences())
def test_what_is_read_off_is_the_step(text: str) -> None:
    for scan in scans(compiled(text)):
        check_step(classify(scan))


def test_all_kinds_are_met() -> None:
    assert {kind for cell in CELLS.values() for kind in cell.kinds} == set(Kind)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("delta", "summed over `k`"),
        ("a matrix", "a matrix mixes the elements of the carry along `d`"),
        ("gru", "elements are mixed along `n`"),
        ("separate", "the carry goes through `tanh`"),
    ],
)
def test_what_stands_in_the_way_is_said_with_its_place(name: str, said: str) -> None:
    (scan,) = scans(compiled(CELLS[name].text))
    (group,) = classify(scan).groups
    assert group.obstacle is not None
    assert said in group.obstacle.text
    assert group.obstacle.span.text


def test_what_is_repeated_along_an_axis_is_still_one_correction() -> None:
    (scan,) = scans(compiled(CELLS["delta, repeated along an axis"].text))
    (group,) = classify(scan).groups
    assert len(group.corrections) == 1
