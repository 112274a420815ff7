"""Newton's method over all steps gives what the steps give."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from tests.compiler.programs import graph_of
from tests.compiler.recurrences.cells import CELLS
from tests.compiler.recurrences.test_parallel import data

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences import Kind, newton
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.ops import SCAN
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph
    from neuraxis.compiler.recurrences import Turn

CTX = Context(chunk=4)
TURNS = 30
SHORT = ["turning", "turning, with a sum"]  # elements are mixed along an axis of 2
CELLS_ = {n: cell for n, cell in CELLS.items() if Kind.SEPARATE in cell.kinds or n in SHORT}


def turned(text: str) -> tuple[Graph, Turn]:
    graph = compile_graph(graph_of(text), Context())
    name = next(n for n in graph.in_order() if graph.node(n).op is SCAN)
    return graph, newton(graph, name, CTX)


def solved(turn: Turn, given: dict[str, Any]) -> tuple[list[NamedArray], list[float]]:
    """The results, and the residual before each turn."""

    def run(results: tuple[str, ...], guesses: dict[str, NamedArray]) -> list[NamedArray]:
        with turn.graph.edit() as edit:
            edit.set_results(results)
        inputs = {**given["inputs"], **guesses}
        return list(evaluate(compile_graph(edit.graph, Context()), **{**given, "inputs": inputs}))

    guesses = dict(zip(turn.guesses, run(turn.starts, {}), strict=True))
    residuals: list[float] = []
    while len(residuals) < TURNS and not (residuals and residuals[-1] < 1e-12):
        *after, residual = run((*turn.after, turn.residual), guesses)
        residuals.append(float(residual.array))
        guesses = dict(zip(turn.guesses, after, strict=True))
    return run(turn.results, guesses), residuals


@pytest.mark.parametrize("name", CELLS_)
@pytest.mark.parametrize("length", [1, 4, 23])
def test_the_guess_becomes_what_the_steps_give(name: str, length: int) -> None:
    graph, turn = turned(CELLS_[name].text)
    given = data(graph, length, 0)
    found, residuals = solved(turn, given)
    assert residuals[-1] < 1e-9, residuals
    assert_close(found, evaluate(graph, **given), tolerance=1e-7)


def test_each_turn_squares_the_error() -> None:
    graph, turn = turned(CELLS_[next(iter(CELLS_))].text)
    _, residuals = solved(turn, data(graph, 23, 0))
    late = [r for r in residuals if 1e-14 < r < 1e-2]
    assert all(b < 10 * a**1.5 for a, b in pairwise(late)), residuals


def test_only_recurrences_whose_elements_do_not_see_each_other_have_it() -> None:
    linear = CELLS["average"].text
    compiled = compile_graph(graph_of(linear), Context())
    name = next(n for n in compiled.in_order() if compiled.node(n).op is SCAN)
    with pytest.raises(ValueError, match="no carries for Newton"):
        newton(compiled, name, CTX)
