"""Values of all turns of loops in loops, along an axis for each loop."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from tests.compiler.studies import Sweep, study

from neuraxis.compiler.build import graph_of
from neuraxis.compiler.reference import NamedArray, evaluate

HEAD = """
model m[d = 2](x[b, t, d]) -> [b, t, d]:
    repeat stage * 2:
        repeat layer * 3:
            x = x * (1 + stage) + layer
    return x

data seq = npy("x.npy"): x[t, d]: float

experiment e of m on seq:
    run clean = m
    run other = m(x = 0.5 * seq.x)
"""
X = np.random.default_rng(0).normal(size=(2, 4, 2))
SIZES = {"b": 2, "t": 4, "d": 2}


def values(lines: str) -> list[NamedArray]:
    found = study(textwrap.dedent(HEAD) + textwrap.indent(textwrap.dedent(lines), "    "))
    graph = graph_of(found.body)
    given = {
        node.name: NamedArray(("b", "t", "d"), X)
        for node in map(graph.node, graph.in_order())
        if node.op.name == "input"
    }
    return evaluate(graph, given, sizes={"b": 2, "t": 4, "d": 2})


def by_hand() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    x, found = X, np.zeros((2, 3, *X.shape))
    for stage in range(2):
        for layer in range(3):
            found[stage, layer] = x = x * (1 + stage) + layer
    return found


def test_all_turns_of_two_loops_are_read() -> None:
    whole, part, mean = values("""
        a = clean.stage[*].layer[*].x
        c = clean.stage[1].layer[*].x
        e = mean[stage, b, t, d](clean.stage[*].layer[*].x * (stage + 1))
    """)
    want = by_hand()
    order = ("stage", "layer", "b", "t", "d")
    np.testing.assert_allclose(whole.arranged(order), want)
    np.testing.assert_allclose(part.arranged(order[1:]), want[1])
    weight = np.array([1, 2]).reshape(2, 1, 1, 1, 1)
    np.testing.assert_allclose(mean.arranged(("layer",)), (want * weight).mean((0, 2, 3, 4)))


def test_a_write_to_all_turns_takes_each_its_own() -> None:
    same, moved = values("""
        run again = other with stage[*].layer[*].x = clean.stage[*].layer[*].x
        run late = other with stage[1].layer[*].x = 2 * clean.stage[*].layer[2].x[stage = 1]
        a = again.out
        c = late.out
    """)
    np.testing.assert_allclose(same.arranged(("b", "t", "d")), by_hand()[1, 2])
    np.testing.assert_allclose(moved.arranged(("b", "t", "d")), 2 * by_hand()[1, 2])


@pytest.mark.parametrize(
    "run",
    [
        "run patched = other with stage[{s}].layer[{l}].x from clean",
        "run patched = other with stage[{s}].layer[{l}].x[t = 1] = "
        "clean.stage[{s}].layer[{l}].x[t = 2]",
        "run patched = other with stage[1].layer[2].x += clean.stage[{s}].layer[{l}].x",
    ],
)
def test_sweeps_over_two_loops(run: str) -> None:
    over = {"s": ("stage", range(2)), "l": ("layer", range(3))}
    body = f"{run}\nmean[b, t, d](patched.out)"
    Sweep(textwrap.dedent(HEAD), over, body, sizes=SIZES).check()
