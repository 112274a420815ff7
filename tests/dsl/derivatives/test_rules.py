"""Each function's derivative at chosen points, kinks among them: what PyTorch says of what is
emitted, in both modes; and what is built, which is as little as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.compiler.emitted import checked, doubles, inputs_of, module
from tests.compiler.programs import Draft, graph_of, shown

from neuraxis.compiler.context import Context
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.passes import fold, prune, share
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, DType, names
from neuraxis.dsl.derivatives import pointwise, pullback, pushforward, reductions, sequences
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B = Axis("a", 3), Axis("b", 4)
SIGNED = [[-2.0, 0.0, 1.0, 1.0], [0.5, 0.0, 0.0, -0.5], [3.0, 2.0, -1.0, 3.0]]
OTHER = [[1.0, 0.0, 1.0, 2.0], [-0.5, 0.0, 2.0, -0.5], [3.0, -2.0, 0.5, 1.0]]
ABOVE = [[0.5, 1.0, 2.0, 3.0], [0.25, 1.0, 0.75, 4.0], [1.5, 0.1, 1.0, 2.0]]
ZEROS = [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 2.0, 3.0], [-1.0, 2.0, 0.0, 0.0]]
POSITIVE = {"log", "log1p", "sqrt", "rsqrt", "reciprocal"}


def check(draft: Draft, result: str, inputs: Sequence[Any], cotangent: Any = None) -> None:
    """Both modes by the oracle against the automatic derivative of the emitted module."""
    graph = draft.give(result)
    body = graph.to_body()
    arrays = {
        name: NamedArray(names(graph.node(name).axes), np.asarray(given))
        for name, given in zip(inputs_named(graph), inputs, strict=True)
    }
    wanted = [name for name in arrays if graph.node(name).dtype is DType.FLOAT]
    axes = graph.node(result).axes
    if cotangent is None:
        shape = evaluate(graph, arrays)[0].arranged(names(axes)).shape
        cotangent = np.random.default_rng(0).normal(size=shape)
    with doubles():
        made = module(graph, {}, 0, checked(graph))
        tensors = [
            x.requires_grad_() if x.is_floating_point() else x for x in inputs_of(graph, arrays)
        ]
        leaves = [x for x in tensors if x.is_floating_point()]
        theirs = torch.autograd.grad(made(*tensors), leaves, torch.from_numpy(cotangent))
    derived = pullback(body, wanted)
    (own,) = (name for name in inputs_named(Graph.from_body(derived)) if name not in arrays)
    found = evaluate(derived, {**arrays, own: NamedArray(names(axes), cotangent)})
    for name, value, slope in zip(wanted, found, theirs, strict=True):
        assert_close([value], [NamedArray(names(graph.node(name).axes), slope.numpy())])
    _check_forwards(body, arrays, wanted, found, NamedArray(names(axes), cotangent))


def _check_forwards(body: Any, arrays: Any, wanted: Any, found: Any, cotangent: NamedArray) -> None:
    tangents = [NamedArray(v.axes, np.cos(np.arange(v.array.size)).reshape(v.array.shape))
                for v in found]  # fmt: skip
    derived = pushforward(body, wanted)
    fresh = [name for name in inputs_named(Graph.from_body(derived)) if name not in arrays]
    (along,) = evaluate(derived, {**arrays, **dict(zip(fresh, tangents, strict=True))})
    one = sum(float((t.array * v.array).sum()) for t, v in zip(tangents, found, strict=True))
    other = float((along.array * cotangent.arranged(along.axes)).sum())
    assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


def inputs_named(graph: Graph) -> list[str]:
    return [name for name in graph.in_order() if graph.node(name).op is ops.INPUT]


@pytest.mark.parametrize(
    "fn", sorted(fn for fn, row in pointwise.PARTIALS.items() if len(row) == 1)
)
def test_functions_of_one_value(fn: str) -> None:
    draft = Draft()
    draft_input = draft.input("x", A, B)
    check(draft, draft.map(fn, draft_input), [ABOVE if fn in POSITIVE else SIGNED])


@pytest.mark.parametrize("fn", ["add", "sub", "mul", "max", "min"])
def test_functions_of_two_values(fn: str) -> None:
    draft = Draft()
    check(draft, draft.map(fn, draft.input("x", A, B), draft.input("y", A, B)), [SIGNED, OTHER])
    draft = Draft()
    check(draft, draft.map(fn, draft.input("x", A, B), draft.input("y", B)), [SIGNED, OTHER[0]])


@pytest.mark.parametrize("fn", ["div", "mod", "atan2", "pow"])
def test_functions_with_a_second_value_above_zero(fn: str) -> None:
    draft = Draft()
    first = ABOVE if fn == "pow" else SIGNED
    check(draft, draft.map(fn, draft.input("x", A, B), draft.input("y", B)), [first, ABOVE[0]])


@pytest.mark.parametrize("power", [0, 1, 2, 3, 2.0, 0.5, -1])
def test_a_power_by_a_number(power: float) -> None:
    draft = Draft()
    check(draft, draft.map("pow", draft.input("x", A, B), power), [ABOVE])


def test_a_power_of_zero() -> None:
    draft = Draft()
    check(
        draft,
        draft.map("pow", draft.input("x", A, B), draft.input("y", B)),
        [ZEROS[:1] * 3, [1.5, 1.0, 2.0, 3.0]],
    )


@pytest.mark.parametrize(("fn", "bound"), [("max", 0), ("max", 1.0), ("min", 0), ("min", 1.0)])
def test_a_bound_that_is_a_number(fn: str, bound: float) -> None:
    draft = Draft()
    check(draft, draft.map(fn, draft.input("x", A, B), bound), [SIGNED])
    draft = Draft()
    check(draft, draft.map(fn, bound, draft.input("x", A, B)), [SIGNED])


def test_a_choice() -> None:
    draft = Draft()
    chosen = draft.input("c", A, dtype=DType.BOOL)
    made = draft.map("where", chosen, draft.input("x", A, B), draft.input("y", B))
    check(draft, made, [[True, False, True], SIGNED, OTHER[0]])


REDUCED = [(fn, None) for fn in sorted(reductions.WEIGHTS) if fn not in ("norm", "quantile")]
REDUCED += [("norm", p) for p in (None, 1.0, 1.5, 2.0, 3.0, np.inf)]
REDUCED += [("quantile", q) for q in (0.0, 0.3, 0.5, 1.0)]


@pytest.mark.parametrize(("fn", "argument"), REDUCED)
@pytest.mark.parametrize("values", [SIGNED, ZEROS], ids=["signed", "zeros"])
@pytest.mark.parametrize("axes", [("b",), ("a", "b")], ids=["one", "two"])
def test_reductions(fn: str, argument: float | None, values: Any, axes: tuple[str, ...]) -> None:
    if fn == "quantile":  # which of equal elements counts is nobody's convention
        values = np.asarray(values) + np.arange(12).reshape(3, 4) / 100
    draft = Draft()
    made = draft.add(ops.REDUCE, ops.ReduceAttrs(fn, axes, argument), draft.input("x", A, B))
    check(draft, made, [values])


@pytest.mark.parametrize("fn", sorted(sequences.SEQUENCES))
@pytest.mark.parametrize("values", [SIGNED, ZEROS], ids=["signed", "zeros"])
@pytest.mark.parametrize("axes", [("b",), ("b", "a"), ()], ids=["one", "two", "none"])
def test_functions_along_axes(fn: str, values: Any, axes: tuple[str, ...]) -> None:
    if fn.startswith("fft") and not axes:
        return
    if fn == "sort":
        values = np.asarray(values) + np.arange(12).reshape(3, 4) / 100
    draft = Draft()
    made = draft.add(ops.ALONG_OP, ops.AlongAttrs(fn, axes), draft.input("x", A, B))
    check(draft, made, [values])
    if fn == "softmax":
        return  # whose sum is 1
    draft = Draft()  # a cotangent that says nothing of the axis
    inner = draft.add(ops.ALONG_OP, ops.AlongAttrs(fn, axes), draft.input("x", A, B))
    check(draft, draft.add(ops.REDUCE, ops.ReduceAttrs("sum", ("b",)), inner), [values])


# ---- positions

N = Axis("n", 2)
HOWS = [
    ops.Select("b", 1),
    ops.Select("b", -1),
    ops.Slice("b", 1, 3),
    ops.Window("b", ((B, 1),), -1, 5.0),
    ops.Window("b", ((Axis("n", 3), -1),), 2, 0.0),
    ops.Window("b", ((N, 2), (Axis("r", 3), 1)), -1, 0.0),
    ops.Window("b", ((Axis("b", 2), 2), (Axis("r", 2), 1)), 0, 0.0),
]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_reading_at_positions(how: Any) -> None:
    draft = Draft()
    check(draft, draft.index(how, draft.input("x", A, B)), [SIGNED])
    draft = Draft()
    read = draft.index(how, draft.input("x", A, B))
    every = names(draft.edit.node(read).axes)
    check(draft, draft.add(ops.REDUCE, ops.ReduceAttrs("sum", every), read), [SIGNED])


@pytest.mark.parametrize("fill", [None, 7.0])
@pytest.mark.parametrize("at", [(N,), (A, N), (B,), (A, B)], ids=str)
def test_gathering(fill: float | None, at: tuple[Axis, ...]) -> None:
    draft = Draft()
    x, places = draft.input("x", A, B), draft.input("at", *at, dtype=DType.INT)
    shape = [axis.size for axis in at]
    numbers = np.arange(int(np.prod(shape))).reshape(shape) % 3
    check(draft, draft.index(ops.Gather("b", fill), x, places), [SIGNED, numbers])


@pytest.mark.parametrize("add", [True, False])
def test_scattering(add: bool) -> None:
    draft = Draft()
    base, at = draft.input("base", A, B), draft.input("at", N, dtype=DType.INT)
    update = draft.input("update", N, Axis("e", 2))
    made = draft.add(ops.SCATTER, ops.ScatterAttrs("b", ("n",), add), base, at, update)
    check(draft, made, [SIGNED, [3, 1], [[1.0, 2.0], [3.0, 4.0]]])


def test_concatenating() -> None:
    draft = Draft()
    parts = draft.input("x", A, B), draft.input("y", Axis("b", 2))
    check(draft, draft.add(ops.CONCAT, ops.ConcatAttrs("b"), *parts), [SIGNED, [1.0, 2.0]])
    draft = Draft()
    parts = draft.input("x", A, B), draft.input("y", B)
    check(draft, draft.add(ops.CONCAT, ops.ConcatAttrs("n", True), *parts), [SIGNED, OTHER[0]])


def test_splitting_and_merging() -> None:
    for pairs in ((("a b", (Axis("m", 12),)),), (("b", (N, Axis("r", 2))),)):
        draft = Draft()
        made = draft.rename(draft.input("x", A, B), *pairs)
        check(draft, made, [SIGNED])
        draft = Draft()
        made = draft.rename(draft.input("x", A, B), *pairs)
        last = names(draft.edit.node(made).axes)[-1:]
        check(draft, draft.add(ops.REDUCE, ops.ReduceAttrs("sum", last), made), [SIGNED])


def test_stop_lets_nothing_back() -> None:
    draft = Draft()
    x = draft.input("x", A, B)
    check(draft, draft.map("mul", x, draft.add(ops.STOP, ops.StopAttrs(), x)), [SIGNED])


# ---- what is built


def lean(text: str, *wanted: str) -> list[str]:
    """The derivative of a model's one result, after the passes that drop what is idle."""
    graph = graph_of(text)
    nodes = {graph.node(n).site: n for n in graph.in_order()}
    derived = Graph.from_body(pullback(graph.to_body(), [nodes[site] for site in wanted]))
    for change in (fold, prune, share, fold, prune):
        derived = change(derived, Context())
    return shown(derived).splitlines()


def test_no_zeros_and_no_ones_are_built() -> None:
    text = """
    model m(x[t, d], w[d]) -> [t, d]:
        return 2 * (x + w) + 1
    """
    assert lean(text, "x", "w") == [
        "%1[]: int = const() {value=2}",
        "%2[t, d] = map(%1, %0) {fn=mul}",
        "%3[d] = reduce(%2) {fn=sum, axes=(t)}",
        "return %2, %3",
    ]


def test_a_product_comes_back_as_a_product() -> None:
    text = """
    model m(x[t, d], w[d, e]) -> [t, e]:
        return dot[d](x, w)
    """
    assert lean(text, "x", "w") == [
        "%3[t, d] = contract(%2, %1) {axes=(e)}",
        "%4[d, e] = contract(%0, %2) {axes=(t)}",
        "return %3, %4",
    ]


def test_a_recurrence_comes_back_as_one() -> None:
    text = """
    model m(x[t, d], a[d]) -> [t, d]:
        scan t:
            carry y[d] = 0
            y = a * y + x
        return y
    """
    assert lean(text, "x", "a") == [
        "%3[]: int = const() {value=0}",
        "%4[] = scan(%3, %0, %1) {axis=t, carries=1, steps=1}",
        "    %8[d] = map(%7, %5) {fn=mul}",
        "    %9[d] = map(%8, %6) {fn=add}  # y",
        "    return %9, %5",
        "%10[] = const() {value=0.0}",
        "%11[t, d] = item(%4) {index=1, axes=(t, d), dtype=float}",
        "%12[] = scan(%10, %10, %2, %11, %1) {axis=t, carries=2, steps=2, reverse=True}",
        "    %16[d] = map(%13, %15) {fn=add}",
        "    %17[d] = map(%16, %5) {fn=mul}",
        "    %18[d] = map(%7, %16) {fn=mul}",
        "    %19[d] = map(%14, %17) {fn=add}",
        "    return %18, %19, %16",
        "%20[t, d] = item(%12) {index=2, axes=(t, d), dtype=float}",
        "%21[d] = item(%12) {index=1, axes=(d), dtype=float}",
        "return %20, %21",
    ]


def test_what_holds_no_floats_has_no_derivative() -> None:
    draft = Draft()
    at = draft.input("at", A, dtype=DType.INT)
    body = draft.give(draft.map("float", at)).to_body()
    with pytest.raises(ValueError, match="holds no floats"):
        pullback(body, [at])
    with pytest.raises(KeyError):
        pushforward(body, ["nothing"])
