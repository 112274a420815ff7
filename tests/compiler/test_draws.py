from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from neuraxis.compiler.draws import DISTRIBUTIONS, draw, drawn, generator, initial
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, Body, DType, Node, Step
from neuraxis.dsl.ops import Distribution
from neuraxis.testing.drawing import SPAN

MANY = (200, 100)


def many(name: str, *args: float) -> Any:
    return draw(Distribution(name, args), MANY, generator(name))


def param(site: str, init: Distribution | Body, *axes: Axis) -> Node:
    return Node(site, ops.PARAM, ops.ParamAttrs(axes, init), axes, DType.FLOAT, SPAN, site)


D, E = Axis("d", 3), Axis("e", 2)


@pytest.mark.parametrize(
    ("name", "args", "mean", "std"),
    [
        ("normal", (3.0, 2.0), 3, 2),
        ("uniform", (-1.0, 3.0), 1, 4 / math.sqrt(12)),
        ("truncated_normal", (3.0, 2.0), 3, 2 * 0.8796),
        ("bernoulli", (0.25,), 0.25, math.sqrt(3) / 4),
        ("integers", (0, 4), 1.5, math.sqrt(15 / 12)),
        ("constant", (1.0,), 1, 0),
    ],
)
def test_moments(name: str, args: tuple[float, ...], mean: float, std: float) -> None:
    found = many(name, *args)
    assert found.shape == MANY
    assert float(np.mean(found)) == pytest.approx(mean, abs=0.05)
    assert float(np.std(found)) == pytest.approx(std, abs=0.05)
    dtypes = {"bernoulli": np.bool_, "integers": np.int64}
    assert found.dtype == dtypes.get(name, np.float32)


def test_bounds() -> None:
    assert np.abs(many("truncated_normal")).max() <= 2
    assert sorted({*many("integers", -1, 2).ravel().tolist()}) == [-1, 0, 1]
    spread = many("log_uniform", 0.01, 100.0)
    assert 0.0099 < spread.min() < 0.011
    assert 90 < spread.max() < 100.1
    assert np.log(spread).mean() == pytest.approx(0, abs=0.1)
    assert many("constant", 2.5).tolist() == np.full(MANY, 2.5).tolist()


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (3, 4), (3, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    found = draw(Distribution("orthogonal", (2.0,)), shape, generator("o"))
    assert found.shape == shape
    flat = found.reshape(shape[0] if shape else 1, -1)
    if flat.shape[0] > flat.shape[1]:
        flat = flat.T
    np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(len(flat)), atol=1e-5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_without_axes(name: str) -> None:
    args = {"log_uniform": (1.0, 2.0), "integers": (0, 2), "bernoulli": (0.5,), "constant": (1.0,)}
    assert draw(Distribution(name, args.get(name, ())), (), generator("s")).shape == ()


def test_initial_values_go_by_seed_and_address() -> None:
    normal = Distribution("normal", (0.0, 1.0))
    one = initial(param("a.w", normal, D, E), 0)
    assert one.dtype == np.float32
    assert np.array_equal(one, initial(param("a.w", normal, D, E), 0))
    assert not np.array_equal(one, initial(param("a.v", normal, D, E), 0))
    assert not np.array_equal(one, initial(param("a.w", normal, D, E), 1))


def test_another_process_draws_the_same() -> None:
    code = (
        "from neuraxis.compiler.draws import generator\n"
        "print(generator('initial', 3, 'a.w').integers(0, 1000, 5).tolist())"
    )
    here = generator("initial", 3, "a.w").integers(0, 1000, 5).tolist()
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": "src", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == str(here)


def test_initial_values_by_expression_have_the_written_order() -> None:
    iotas = [Node(a.name, ops.IOTA, ops.IotaAttrs(a), (a,), DType.INT, SPAN) for a in (E, D)]
    axes, dtype = ops.MAP.infer(ops.MapAttrs("sub"), [((E,), DType.INT), ((D,), DType.INT)])
    made = Node("y", ops.MAP, ops.MapAttrs("sub"), axes, dtype, SPAN)
    body = Body((*(Step(node, ()) for node in iotas), Step(made, ("e", "d"))), ("y",))
    assert initial(param("w", body, D, E), 0).tolist() == [[0, 1], [-1, 0], [-2, -1]]
    partly = Body((Step(iotas[0], ()),), ("e",))
    assert initial(param("w", partly, D, E), 0).tolist() == [[0, 1]] * 3


def test_draws_go_by_seed_key_and_call() -> None:
    attrs = ops.RandomAttrs((D,), Distribution("bernoulli", (0.5,)), "key")
    node = Node("r", ops.RANDOM, attrs, (D,), DType.FLOAT, SPAN)
    first = drawn(0, 0)(node, (50,))
    assert first.dtype == np.float32
    assert np.array_equal(first, drawn(0, 0)(node, (50,)))
    assert not np.array_equal(first, drawn(0, 1)(node, (50,)))
    assert not np.array_equal(first, drawn(1, 0)(node, (50,)))
    other = Node("w", ops.STOP, ops.StopAttrs(), (D,), DType.FLOAT, SPAN)
    with pytest.raises(TypeError, match="%w is not random"):
        drawn(0)(other, (3,))
    with pytest.raises(TypeError, match="%w is no parameter"):
        initial(other, 0)
