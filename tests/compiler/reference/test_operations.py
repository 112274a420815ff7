"""Each operation against NumPy written by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.reference.reductions import ALONG as ALONG_RULES
from neuraxis.compiler.reference.reductions import REDUCTIONS as REDUCTION_RULES
from neuraxis.compiler.reference.scalars import SCALARS
from neuraxis.dsl import ops, sizes
from neuraxis.dsl.core import Axis, Body, DType, Node, Step, names
from neuraxis.dsl.functions import ALONG, MAPS, REDUCTIONS
from neuraxis.testing.drawing import SPAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4))
TYPES = {"f": DType.FLOAT, "i": DType.INT, "b": DType.BOOL}


def named(axes: str, values: Any) -> NamedArray:
    return NamedArray(tuple(axes.split()), np.asarray(values))


def run(op: ops.OpDef, attrs: ops.Attrs, *values: NamedArray) -> NamedArray:
    """One operation on inputs."""
    steps = []
    for index, value in enumerate(values):
        axes = tuple(Axis(name, size) for name, size in value.sizes.items())
        dtype = TYPES[value.array.dtype.kind]
        given_ = ops.InputAttrs(value.axes, axes, dtype)
        steps.append(Step(Node(f"x{index}", ops.INPUT, given_, axes, dtype, SPAN), ()))
    inputs = [step.node for step in steps]
    axes, dtype = op.infer(attrs, [(node.axes, node.dtype) for node in inputs])
    made = Node("y", op, attrs, axes, dtype, SPAN)
    steps.append(Step(made, tuple(node.name for node in inputs)))
    arguments = {f"x{index}": value for index, value in enumerate(values)}
    return evaluate(Body(tuple(steps), ("y",)), arguments)[0]


def mapped(fn: str, *values: Any) -> Any:
    """A pointwise function of values without axes, or all along one."""
    arrays = [np.asarray(value) for value in values]
    operands = [named("n" if array.ndim else "", array) for array in arrays]
    return run(ops.MAP, ops.MapAttrs(fn), *operands).array


def test_every_function_is_there() -> None:
    assert SCALARS.keys() == MAPS.keys()
    assert {*REDUCTION_RULES, "norm", "quantile"} == REDUCTIONS.keys()
    assert {*ALONG_RULES, "fft_re", "fft_im"} == ALONG.keys()


# ---- pointwise

ONE: dict[str, Callable[[float], float]] = {
    "neg": lambda x: -x,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: x**-0.5,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "log_sigmoid": lambda x: -math.log(1 + math.exp(-x)),
    "erf": math.erf,
    "reciprocal": lambda x: 1 / x,
    "float": float,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "int": int,
    "not": lambda x: not x,
    "isnan": math.isnan,
    "isfinite": math.isfinite,
}
TWO: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "max": lambda a, b: +max(a, b),
    "min": lambda a, b: +min(a, b),
    "pow": lambda a, b: a**b,
    "atan2": math.atan2,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
}


@pytest.mark.parametrize("fn", ONE)
@given(x=st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.5, 3.0, -0.5, -1.5, -2.5, -7.25]))
def test_functions_of_one(fn: str, x: float) -> None:
    if fn in ("log", "log1p", "sqrt", "rsqrt"):
        x = abs(x)
    found = mapped(fn, x)
    assert found.item() == pytest.approx(ONE[fn](x), rel=1e-12)
    assert TYPES[found.dtype.kind] is MAPS[fn].dtype([DType.FLOAT])


@pytest.mark.parametrize("fn", TWO)
@given(
    a=st.sampled_from([-3, -1, 0, 2, 7, 0.5, -2.5, 6.0, True, False]),
    b=st.sampled_from([-2, 1, 3, 0.25, 4.0, True]),
)
def test_functions_of_two(fn: str, a: float, b: float) -> None:
    if fn == "pow":
        a, b = abs(a) + 1, abs(b)
    found = mapped(fn, a, b)
    assert found.item() == pytest.approx(TWO[fn](a, b), rel=1e-12)
    types = [TYPES[np.asarray(value).dtype.kind] for value in (a, b)]
    assert TYPES[found.dtype.kind] is MAPS[fn].dtype(types)


def test_where_takes_the_second_where_it_holds() -> None:
    found = mapped("where", [True, False, True], [1.0, 2.0, 3.0], [-1, -2, -3])
    assert found.tolist() == [1.0, -2.0, 3.0]
    assert mapped("where", [1, 0], [1, 2], [3, 4]).dtype == np.int64


def test_the_edges_of_pointwise_functions() -> None:
    assert mapped("div", [1.0, -1.0], 0).tolist() == [math.inf, -math.inf]
    assert mapped("floordiv", 1.0, 0.0).item() == math.inf
    assert mapped("round", [0.5, 1.5, 2.5, -0.5]).tolist() == [0, 2, 2, 0]
    assert math.isnan(mapped("max", math.nan, 1.0).item())
    assert mapped("softplus", [1000.0, -1000.0]).tolist() == [1000.0, 0.0]
    assert mapped("log_sigmoid", [1000.0, -1000.0]).tolist() == [0.0, -1000.0]
    assert mapped("sigmoid", [1000.0, -1000.0]).tolist() == [1.0, 0.0]
    assert mapped("add", True, True).item() == 2
    assert mapped("isnan", [math.nan, 0.0, math.inf]).tolist() == [True, False, False]
    assert mapped("isfinite", [math.nan, 0.0, math.inf]).tolist() == [False, True, False]
    for fn in ("floordiv", "mod"):
        with pytest.raises(ZeroDivisionError):
            mapped(fn, 1, [1, 0])
    with pytest.raises(ValueError, match="negative"):
        mapped("pow", 2, -1)


def test_broadcasting_is_by_name() -> None:
    found = run(ops.MAP, ops.MapAttrs("mul"), named("a b c", X), named("d b", np.ones((5, 3)) * 2))
    assert found.sizes == {"a": 2, "b": 3, "c": 4, "d": 5}
    assert np.array_equal(found.arranged("abcd"), np.repeat(2 * X[..., None], 5, 3))
    with pytest.raises(ops.OpError, match="axis b has sizes 3 and 1"):
        run(ops.MAP, ops.MapAttrs("mul"), named("a b c", X), named("b", [1.0]))


# ---- reductions


@pytest.mark.parametrize("axes", ["b", "c", "a c", "a b c"])
@pytest.mark.parametrize("fn", sorted(REDUCTIONS))
def test_reductions(fn: str, axes: str) -> None:
    positions = tuple("abc".index(name) for name in axes.split())
    rules: dict[str, Callable[[], Any]] = {
        "sum": lambda: X.sum(positions),
        "prod": lambda: X.prod(positions),
        "max": lambda: X.max(positions),
        "min": lambda: X.min(positions),
        "mean": lambda: X.mean(positions),
        "var": lambda: ((X - X.mean(positions, keepdims=True)) ** 2).mean(positions),
        "norm": lambda: np.sqrt((X**2).sum(positions)),
        "logsumexp": lambda: np.log(np.exp(X).sum(positions)),
        "quantile": lambda: np.quantile(X, 0.3, positions),
        "argmax": lambda: _first(X, positions, np.max),
        "argmin": lambda: _first(X, positions, np.min),
        "any": lambda: (X > 1).any(positions),
        "all": lambda: (X > -1).all(positions),
    }
    wanted = rules[fn]()
    value = {"any": X > 1, "all": X > -1}.get(fn, X)
    argument = 0.3 if fn == "quantile" else None
    attrs = ops.ReduceAttrs(fn, tuple(axes.split()), argument)
    found = run(ops.REDUCE, attrs, named("a b c", value))
    np.testing.assert_allclose(found.array, wanted, 1e-12)


def _first(x: np.ndarray[Any, Any], positions: tuple[int, ...], best: Any) -> Any:
    """Positions of the best, counted along all of the axes, the first as major."""
    rest = [axis for axis in range(x.ndim) if axis not in positions]
    shape = [x.shape[axis] for axis in rest]
    flat = x.transpose([*rest, *positions]).reshape(*shape, -1)
    found = [list(row).index(best(row)) for row in flat.reshape(-1, flat.shape[-1])]
    return np.reshape(found, shape)


def reduced(fn: str, values: Any, argument: float | None = None) -> Any:
    attrs = ops.ReduceAttrs(fn, ("n",), argument)
    return run(ops.REDUCE, attrs, named("n", values)).array.item()


def test_the_edges_of_reductions() -> None:
    nothing = np.zeros(0)
    assert reduced("sum", nothing) == 0
    assert reduced("prod", nothing) == 1
    assert reduced("max", nothing) == -math.inf
    assert reduced("min", nothing) == math.inf
    assert reduced("logsumexp", nothing) == -math.inf
    assert reduced("any", nothing) is False
    assert reduced("all", nothing) is True
    assert reduced("logsumexp", [-math.inf, -math.inf]) == -math.inf
    assert reduced("logsumexp", [1000.0, 1000.0]) == pytest.approx(1000 + math.log(2))
    assert reduced("argmax", [1, 3, 3]) == 1
    assert reduced("argmin", [2, 1, 1]) == 1
    assert reduced("sum", [True, True, False]) == 2
    assert reduced("max", [True, False]) is True
    assert reduced("norm", [3.0, -4.0]) == 5
    assert reduced("norm", [3.0, -4.0], 1.0) == 7
    assert reduced("norm", [3.0, -4.0], math.inf) == 4
    assert reduced("quantile", [0.0, 1.0, 4.0], 0.75) == 2.5
    assert math.isnan(reduced("mean", nothing))


def test_contractions() -> None:
    y = RNG.normal(size=(4, 5))
    z = RNG.normal(size=(3,))
    attrs = ops.ContractAttrs(("b", "c"))
    found = run(ops.CONTRACT, attrs, named("a b c", X), named("c e", y), named("b", z))
    np.testing.assert_allclose(found.arranged("ae"), np.einsum("abc,ce,b->ae", X, y, z))
    alone = run(ops.CONTRACT, ops.ContractAttrs(("n",)), named("n", [True, True]))
    assert alone.array.item() == 2


# ---- along axes


def along(fn: str, values: Any, axes: str = "n", of: str = "n") -> Any:
    return run(ops.ALONG_OP, ops.AlongAttrs(fn, tuple(of.split())), named(axes, values)).array


def test_functions_along_an_axis() -> None:
    assert along("cumsum", [1, 2, 3]).tolist() == [1, 3, 6]
    assert along("cumprod", [1.0, 2.0, 3.0]).tolist() == [1, 2, 6]
    assert along("cummax", [1, 3, 2]).tolist() == [1, 3, 3]
    assert along("sort", [3.0, 1.0, 2.0]).tolist() == [1, 2, 3]
    assert along("flip", [3, 1, 2]).tolist() == [2, 1, 3]
    assert along("argsort", [3, 1, 3, 1]).tolist() == [1, 3, 0, 2]
    assert along("rank", [3.0, 1.0, 3.0, 5.0]).tolist() == [1, 3, 2, 0]
    assert along("rank", [True, False, True]).tolist() == [0, 2, 1]
    wave = RNG.normal(size=5)
    np.testing.assert_allclose(along("fft_re", wave), np.fft.fft(wave).real)
    np.testing.assert_allclose(along("fft_im", wave), np.fft.fft(wave).imag)


def test_several_axes_are_taken_as_one() -> None:
    attrs = ops.AlongAttrs("softmax", ("c", "a"))
    found = run(ops.ALONG_OP, attrs, named("a b c", X)).arranged("abc")
    np.testing.assert_allclose(found.sum((0, 2)), np.ones(3))
    np.testing.assert_allclose(found, np.exp(X) / np.exp(X).sum((0, 2), keepdims=True))
    attrs = ops.AlongAttrs("cumsum", ("c", "a"))
    found = run(ops.ALONG_OP, attrs, named("a b c", X)).arranged("bca")
    wanted = X.transpose(1, 2, 0).reshape(3, 8).cumsum(1).reshape(3, 4, 2)
    np.testing.assert_allclose(found, wanted)


def test_softmax_of_nothing_is_nothing() -> None:
    nowhere = -math.inf
    assert along("softmax", [nowhere, nowhere]).tolist() == [0, 0]
    assert along("log_softmax", [nowhere, nowhere]).tolist() == [nowhere, nowhere]
    assert along("softmax", [nowhere, 3.0]).tolist() == [0, 1]
    assert along("softmax", [1000.0, 1000.0]).tolist() == [0.5, 0.5]
    np.testing.assert_allclose(
        along("log_softmax", [0.0, math.log(3)]), [math.log(0.25), math.log(0.75)]
    )


# ---- axes and positions


def renamed(value: NamedArray, *pairs: tuple[str, Sequence[Axis]]) -> NamedArray:
    attrs = ops.RenameAttrs(tuple((tuple(old.split()), tuple(new)) for old, new in pairs))
    return run(ops.RENAME, attrs, value)


def test_renaming() -> None:
    x = named("a b c", X)
    assert np.array_equal(renamed(x).array, X)
    swapped = renamed(x, ("a", [Axis("b", 2)]), ("b", [Axis("a", 3)]))
    assert np.array_equal(swapped.arranged("bac"), X)
    split = renamed(x, ("c", [Axis("u", 2), Axis("v", 2)]))
    assert np.array_equal(split.arranged("abuv"), X.reshape(2, 3, 2, 2))
    merged = renamed(x, ("c a", [Axis("m", 8)]))
    assert np.array_equal(merged.arranged("bm"), X.transpose(1, 2, 0).reshape(3, 8))
    both = renamed(x, ("c", [Axis("u", 2), Axis("v", 2)]), ("a b", [Axis("c", 6)]))
    assert np.array_equal(both.arranged("cuv"), X.reshape(6, 2, 2))


def indexed(how: Any, *values: NamedArray) -> NamedArray:
    return run(ops.INDEX, ops.IndexAttrs(how), *values)


def test_reading_positions() -> None:
    x = named("a b c", X)
    assert np.array_equal(indexed(ops.Select("b", -1), x).array, X[:, -1])
    assert np.array_equal(indexed(ops.Slice("c", 1, 3), x).arranged("abc"), X[:, :, 1:3])
    at = named("a e", [[0, 1, 3], [2, 2, 0]])
    found = indexed(ops.Gather("c"), x, at).arranged("aeb")
    for a in range(2):
        for e in range(3):
            assert np.array_equal(found[a, e], X[a, :, at.array[a, e]])
    again = indexed(ops.Gather("c"), x, named("c", [3, 0])).arranged("abc")
    assert np.array_equal(again, X[:, :, [3, 0]])
    filled = indexed(ops.Gather("c", 9.0), x, named("e", [0, -1, 4])).arranged("abe")
    assert np.array_equal(filled[..., 0], X[..., 0])
    assert (filled[..., 1:] == 9).all()
    empty = indexed(ops.Gather("n", 7.0), named("n", np.zeros(0)), named("e", [0, 1]))
    assert empty.array.tolist() == [7, 7]


def test_reading_outside_is_an_error() -> None:
    x = named("n", [1.0, 2.0])
    for position in (-1, 2):
        with pytest.raises(IndexError, match="a position outside of axis n, which has 2"):
            indexed(ops.Gather("n"), x, named("e", [0, position]))
    with pytest.raises(IndexError, match="position 2 of axis n"):
        indexed(ops.Select("n", 2), x)
    with pytest.raises(IndexError, match=r"1\.\.3 of axis n"):
        indexed(ops.Slice("n", 1, 3), x)


def test_a_window() -> None:
    x = named("n", [1.0, 2.0, 3.0, 4.0, 5.0])
    how = ops.Window("n", ((Axis("i", 3), 2), (Axis("r", 3), 1)), -1, -math.inf)
    out = -math.inf
    found = indexed(how, x).arranged(["i", "r"]).tolist()
    assert found == [[out, 1, 2], [2, 3, 4], [4, 5, out]]
    causal = ops.Window("n", ((Axis("n", 5), 1), (Axis("r", 2), -1)), 0, 0.0)
    assert indexed(causal, x).arranged(["r", "n"]).tolist() == [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4]]


def test_writing_positions() -> None:
    base, at = named("n", np.zeros(3)), named("e", [1, 1, 5, -1])
    update = named("e", [1.0, 2.0, 3.0, 4.0])
    found = run(ops.SCATTER, ops.ScatterAttrs("n", ("e",)), base, at, update)
    assert found.array.tolist() == [0, 3, 0]
    rows = named("b e", [[0, 1, 2, 0], [2, 2, 2, 9]])
    found = run(ops.SCATTER, ops.ScatterAttrs("n", ("e",)), base, rows, update)
    assert found.arranged("bn").tolist() == [[5, 2, 3], [0, 0, 6]]
    attrs = ops.ScatterAttrs("n", ("e",), add=False)
    found = run(ops.SCATTER, attrs, named("n", [5, 6, 7]), named("e", [2, 0]), named("", 1.5))
    assert found.array.tolist() == [1.5, 6, 1.5]


def test_concatenation() -> None:
    a, b = named("n k", [[1, 2]]), named("k", [7.0, 8.0, 9.0])
    found = run(ops.CONCAT, ops.ConcatAttrs("k"), a, b)
    assert found.arranged("nk").tolist() == [[1, 2, 7, 8, 9]]
    found = run(ops.CONCAT, ops.ConcatAttrs("g", True), named("n", [1, 2]), named("", True))
    assert found.arranged("gn").tolist() == [[1, 2], [1, 1]]


# ---- sizes and what is given


def test_run_time_sizes_come_from_the_inputs() -> None:
    t = sizes.symbol("t")
    axes = (Axis("t", t),)
    half = Axis("h", sizes.ceil_divide(t, 2))
    x = Node("x", ops.INPUT, ops.InputAttrs(("t",), axes, DType.INT), axes, DType.INT, SPAN, "in")
    y = Node("y", ops.IOTA, ops.IotaAttrs(half), (half,), DType.INT, SPAN)
    body = Body((Step(x, ()), Step(y, ())), ("y",))
    assert evaluate(body, {"in": named("t", [1, 2, 3])})[0].array.tolist() == [0, 1]
    assert evaluate(body, {"x": named("t b", np.zeros((5, 2)))})[0].array.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"should have \{'t': 3\}"):
        evaluate(body, {"x": named("t", [1])}, sizes={"t": 3})


def test_what_is_stored_goes_by_address() -> None:
    axes = (Axis("a", 2), Axis("b", 3))
    steps = []
    for op, attrs in (
        (ops.PARAM, ops.ParamAttrs(axes, ops.Distribution("constant", (0.0,)))),
        (ops.STATE, ops.StateAttrs(axes, ops.Distribution("constant", (0.0,)))),
        (ops.RANDOM, ops.RandomAttrs(axes, ops.Distribution("constant", (0.0,)), "r")),
    ):
        name = op.name
        steps.append(Step(Node(name, op, attrs, axes, DType.FLOAT, SPAN, f"at.{name}"), ()))
    body = Body(tuple(steps), ("param", "state", "random"))
    found = evaluate(
        body,
        params={"at.param": X[:, :, 0]},
        states={"at.state": X[:, :, 1]},
        random=lambda node, shape: np.full(shape, len(names(node.axes))),
    )
    assert np.array_equal(found[0].arranged("ab"), X[:, :, 0])
    assert np.array_equal(found[1].arranged("ab"), X[:, :, 1])
    assert (found[2].array == 2).all()
    with pytest.raises(ValueError, match="%random needs random numbers"):
        evaluate(Body(body.steps[2:], ("random",)))


def test_arrays_know_their_axes() -> None:
    with pytest.raises(ValueError, match="for an array of shape"):
        named("a b", [1, 2])
    with pytest.raises(ValueError, match="cannot be arranged"):
        named("a", [1, 2]).arranged("b")
