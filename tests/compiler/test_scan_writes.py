"""A write at chosen steps of a scan: to what is carried, and to what is computed on the way."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.compiler.studies import Sweep

from neuraxis.compiler.build import graph_of
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.check import check_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[[str, Any, int, int], Any]

MODEL = """
model m[d = 2](x[b, t, d]) -> [b, t, d], [b, t, d]:
    w = x[t -> s]
    scan t{way}:
        carry S[d] = 0
        scan s{way}:
            carry Z[d] = 0
            u = w + S
            Z = 0.5 * Z + u
        S = 0.5 * S + Z[s = -1] + x
        o = 2 * S
    return S, o

data seq = npy("x.npy"): x[t, d]: float, at: position

experiment e of m on seq:
    run clean = m
"""
RUN = (
    MODEL
    + """
    run other = clean with {write}
    a = other.S
    c = other.o
"""
)
X = np.random.default_rng(0).normal(size=(2, 4, 2))
AT = np.array([3, 1])
SIZES = {"b": 2, "t": 4, "d": 2}


def simulated(example: Any, written: Write, *, backwards: bool) -> tuple[Any, Any]:
    """One example by hand. `written` says what a named value becomes, at steps of t and s."""
    order = range(4)[::-1] if backwards else range(4)
    state, states, outs = np.zeros(2), np.zeros((4, 2)), np.zeros((4, 2))
    for t in order:
        inner, every = np.zeros(2), np.zeros((4, 2))
        for s in order:
            u = written("u", example[s] + state, t, s)
            every[s] = inner = written("Z", 0.5 * inner + u, t, s)
        state = written("S", 0.5 * state + every[-1] + example[t], t, -1)
        states[t], outs[t] = state, written("o", 2 * state, t, -1)
    return states, outs


PARTS: dict[str, Callable[[int, int], bool]] = {  # of a step, and of where the example's `at` is
    "t = 1": lambda t, at: t == 1,
    "t = -1": lambda t, at: t == 3,
    "t = -2": lambda t, at: t == 2,
    "t = 1..3": lambda t, at: t in (1, 2),
    "t = ..2": lambda t, at: t < 2,
    "t = 1..-1": lambda t, at: t in (1, 2),
    "t != 1": lambda t, at: t != 1,
    "t >= 2": lambda t, at: t >= 2,
    "t in {0, 3}": lambda t, at: t in (0, 3),
    "t = @last": lambda t, at: t == 3,
    "t = @at": lambda t, at: t == at,
}
WAYS = {"= 3": lambda it: 0 * it + 3, "*= 0.5": lambda it: 0.5 * it, "= it ^ 2": lambda it: it**2}


@pytest.mark.parametrize("way", ["", " reversed"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("site", ["S", "o", "u", "Z"])
def test_a_write_at_steps_of_a_scan(site: str, part: str, way: str) -> None:
    axis = "s" if site == "Z" else "t"
    for op, change in WAYS.items():
        check(site, f"{site}[{part.replace('t ', f'{axis} ')}] {op}", part, way, change)


@pytest.mark.parametrize("way", ["", " reversed"])
@pytest.mark.parametrize("site", ["u", "Z"])
def test_a_write_at_steps_of_two_scans(site: str, way: str) -> None:
    write = f"{site}[t >= 2, s = 1, d = 0] += 4"

    def written(name: str, it: Any, t: int, s: int) -> Any:
        return it + np.array([4, 0]) if name == site and t >= 2 and s == 1 else it

    compare(write, way, lambda _: written)


def check(site: str, write: str, part: str, way: str, change: Callable[[Any], Any]) -> None:
    def of(example: int) -> Write:
        def written(name: str, it: Any, t: int, s: int) -> Any:
            step = s if name == "Z" else t
            return change(it) if name == site and PARTS[part](step, AT[example]) else it

        return written

    compare(write, way, of)


def compare(write: str, way: str, of: Callable[[int], Write]) -> None:
    found = check_text("scan.nax", textwrap.dedent(RUN).format(way=way, write=write))
    assert found.ok, "\n".join(map(str, found.diagnostics))
    graph = graph_of(found.experiments["e"].body)
    inputs = {}
    for node in map(graph.node, graph.in_order()):
        if node.op.name == "input":
            array: Any = X if node.site == "seq.x" else AT
            inputs[node.name] = NamedArray(tuple(axis.name for axis in node.axes), array)
    wanted = [simulated(x, of(b), backwards=bool(way)) for b, x in enumerate(X)]
    for program in (graph, compile_graph(graph, Context())):
        given = {name: value for name, value in inputs.items() if name in program}
        for place, value in enumerate(evaluate(program, given, sizes={"b": 2, "t": 4})):
            want = np.array([several[place] for several in wanted])
            np.testing.assert_allclose(value.arranged(("b", "t", "d")), want, atol=1e-12)


def test_a_step_can_speak_of_what_it_was_and_of_another_run() -> None:
    def written(name: str, it: Any, t: int, s: int) -> Any:
        return 3 * it if name == "S" and t == 1 else it

    compare("S[t = 1] = it + before.S + S", "", lambda _: written)
    compare("S[t = 1] *= 3, o = it + 0 * clean.S", "", lambda _: written)


@pytest.mark.parametrize("way", ["", " reversed"])
@pytest.mark.parametrize("body", ["S[t = {p}] = 3", "u[t = {p}] += {p}", "Z[s = {p}] *= 2"])
def test_swept_steps_of_a_scan(body: str, way: str) -> None:
    head = textwrap.dedent(MODEL).format(way=way) + "    run other = m(x = seq.x + 1)\n"
    run = f"run patched = other with {body}\nmean[b, t, d](patched.o)"
    Sweep(head, {"p": ("t", range(4))}, run, sizes=SIZES).check()


def test_steps_from_another_run() -> None:
    head = textwrap.dedent(MODEL).format(way="") + "    run other = m(x = seq.x + 1)\n"
    run = "run patched = other with S[t = {p}] from clean\nmean[b, d](patched.o[t = -1])"
    Sweep(head, {"p": ("t", range(4))}, run, sizes=SIZES).check()
