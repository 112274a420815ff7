"""What a step keeps, and how far back; which masks are left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.decoding import NotCausalError, derive
from neuraxis.compiler.decoding.bands import Band, bands
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit import emit
from neuraxis.compiler.verify import verify
from neuraxis.runtime.decoding.forms import one_step
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from tests.conftest import Golden

    from neuraxis.compiler.decoding import Decoding
    from neuraxis.dsl.program import CheckedModel

ATTENTION = "causal_attention[h = 2, k = 2](x)"


def model(line: str) -> CheckedModel:
    text = f"model m[d = 4](x[b, t, d]) -> [b, t, d]:\n    y = {line}\n    return y\n"
    return Program.from_text(text).elaborated()


def derived(line: str, count: int | None = 1) -> Decoding:
    checked = model(line)
    axis = next(own for step in checked.body.steps for own in step.node.axes if own.name == "t")
    found = derive(build(checked), 1, axis, count)
    verify(found.prefill, "decode")
    verify(found.step, "decode")
    return found


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (ATTENTION, [("cache", "y.key", None), ("cache", "y.v", None)]),
        ("window_attention[h = 2, k = 2](x, window = 5)",
         [("cache", "y.key", 4), ("cache", "y.v", 4)]),
        ("max[s](where(s <= t and t - s < 3, x[t -> s], -inf))", [("cache", "x", 2)]),
        ("max[s](where(abs(t - s) < 3 and s < t, x[t -> s], -inf))", [("cache", "x", 2)]),
        ("max[s](where(not (s > t), x[t -> s], -inf))", [("cache", "x", None)]),
        ("dot[s](where(s <= t, 1, 0), x[t -> s])", [("cache", "x", None)]),
        ("causal_conv[d -> o = 4](x, dilation = 3)[o -> d]", [("window", "y.x", 6)]),
        ("shift[t](x, 2)", [("window", "x", 2)]),
        ("cumsum[t](x) / (t + 1)", [("total", "x", None)]),
        ("x - x[t = 0]", [("first", "x", None)]),
        ("mlp[m = 4](x)", []),
    ],
)  # fmt: skip
def test_what_is_kept(line: str, kept: list[tuple[str, str, int | None]]) -> None:
    found = [(state.kind, state.of, state.reach) for state in derived(line).states]
    wanted = [(kind, of, reach) for kind, of, reach in kept]
    assert [(kind, reach) for kind, _, reach in found] == [(k, r) for k, _, r in wanted]
    named = [of for kind, of, _ in found if kind not in ("total", "window")]
    assert named == [of for kind, of, _ in wanted if kind not in ("total", "window")]


@pytest.mark.parametrize(
    ("mask", "band"),
    [
        ("s <= t", Band(None, 0, False, exact=True)),
        ("s < t", Band(None, -1, False, exact=True)),
        ("t > s + 2", Band(None, -3, False, exact=True)),
        ("s <= t and t - s < 4", Band(-3, 0, False, exact=True)),
        ("abs(t - s) <= 2", Band(-2, 2, False, exact=True)),
        ("not (s > t)", Band(None, 0, False, exact=True)),
        ("s == t", Band(0, 0, False, exact=True)),
        ("s <= t and sum[d](x[t -> s]) > 0", Band(None, 0, False)),
        ("s <= t or s <= t - 3", Band(None, 0, False)),
    ],
)
def test_bands_of_masks(mask: str, band: Band) -> None:
    checked = model(f"max[s](where({mask}, x[t -> s], -inf))")
    graph = build(checked)
    size = graph.node(graph.results[0]).size("t")
    found = bands(graph, size)
    masks = [
        graph.operands(name)[0]
        for name in graph.in_order()
        if getattr(graph.node(name).attrs, "fn", "") == "where"
    ]
    assert found[masks[-1]]["s", "t"] == band


def test_one_position_needs_no_mask_and_several_do() -> None:
    one = compile_graph(derived(ATTENTION).step, Context())
    many = compile_graph(derived(ATTENTION, None).step, Context())
    fns = [
        {getattr(graph.node(name).attrs, "fn", "") for name in graph.in_order()}
        for graph in (one, many)
    ]
    assert "le" not in fns[0]
    assert "le" in fns[1]


def test_what_is_in_the_way_is_named() -> None:
    with pytest.raises(NotCausalError) as caught:
        derived("attention[h = 2, k = 2](x)")
    assert "`y.z` looks ahead" in caught.value.message
    assert caught.value.hint == "where(s <= t, .., ..)"


def test_a_step_as_pytorch(golden: Golden) -> None:
    text = """
model lm[d = 8, vocab = 11](tokens[b, t of b]: int) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * 2:
        mixed = window_attention[h = 2, k = 4](rmsnorm[d](x), window = 8)
        y = linear_attention[h = 2, k = 4, v = 4](x + mixed)
        x = x + y
    return linear[d -> vocab](x)
"""
    checked, graph = one_step(Program.from_text(text).elaborated())
    source = emit(graph, checked).source
    golden("golden/emit/step.py", source[source.index("class Layer") :])
