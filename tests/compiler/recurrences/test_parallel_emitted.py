"""Parallel forms as PyTorch runs them: values, gradients, and what rounding does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.compiler.emitted import model_of
from tests.compiler.recurrences.cells import CELLS, KEYED, MATRIX, Cell

from neuraxis.compiler.build import build as graph_of
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.recurrences.classify import Kind
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl import sizes
from neuraxis.dsl.core import DType
from neuraxis.runtime.module import build
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from neuraxis.dsl.program import CheckedModel

PARALLEL = [
    name for name, cell in CELLS.items() if {*cell.kinds} & {Kind.ELEMENTWISE, Kind.LOW_RANK}
]
E, L = Kind.ELEMENTWISE, Kind.LOW_RANK


def made(model: CheckedModel, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    graph = compile_graph(graph_of(model), Context(**options))
    return build(graph, model).to(dtype)


def arrays(model: CheckedModel, length: int, seed: int = 0) -> dict[str, Any]:
    """Random inputs by name, with the axes that the model declares."""
    stream = np.random.default_rng(seed)
    nodes = {s.node.site: s.node for s in model.body.steps if s.node.op.name == "input"}
    found = {}
    for decl in model.inputs:
        known = {axis.name: axis for axis in nodes[decl.name].axes}
        shape = [sizes.evaluate(known[a].size, {"b": 2, "t": length}) for a in decl.order]
        floats = decl.dtype is DType.FLOAT
        found[decl.name] = stream.normal(size=shape) if floats else stream.integers(0, 2, shape) > 0
    return found


def tensors(given: dict[str, Any], dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [
        torch.tensor(array, dtype=dtype, requires_grad=True)
        if array.dtype == np.float64
        else torch.tensor(array)
        for array in given.values()
    ]


def oracle(model: CheckedModel, given: dict[str, Any]) -> list[Any]:
    inputs = {d.name: NamedArray(d.order, given[d.name]) for d in model.inputs}
    found = evaluate(model.body, inputs)
    return [v.arranged(r.order) for v, r in zip(found, model.results, strict=True)]


def gradients(module: Any, given: list[torch.Tensor], seed: int = 0) -> list[torch.Tensor]:
    results = module(*given)
    torch.manual_seed(seed)
    loss = sum((r * torch.randn(r.shape, dtype=torch.float64)).sum() for r in results)
    leaves = [tensor for tensor in given if tensor.requires_grad]
    return [
        torch.zeros(()) if g is None else g
        for g in torch.autograd.grad(loss, leaves, allow_unused=True)
    ]


@pytest.mark.parametrize("name", PARALLEL)
def test_the_emitted_form_has_the_values_and_gradients_of_the_steps(name: str) -> None:
    model = model_of(CELLS[name].text)
    parallel, steps = made(model, recurrences="parallel", chunk=4), made(model)
    assert parallel._artifact.source != steps._artifact.source
    for length in (1, 4, 11):
        given = arrays(model, length)
        assert_close(list(parallel(*tensors(given))), oracle(model, given))
        both = [gradients(one, tensors(given)) for one in (parallel, steps)]
        for one, other in zip(*both, strict=True):
            assert_close(one, other)


DECAYED = {
    "vector": Cell(
        "x[b, t, d], a[b, t, d]", "carry S[d] = 1; S = a * S + x", "S, S[t = -1]",
        "[b, t, d], [b, d]", (E,),
    ),
    "matrix, a decay for each row": Cell(
        KEYED + ", a[b, t, k]", "carry S[k, v] = 1; S = a * S + key * val; z = dot[k](q, S)",
        "z, S[t = -1]", MATRIX, (E,),
    ),
    "matrix, one decay": Cell(
        KEYED + ", a[b, t]", "carry S[k, v] = 1; S = a * S + key * val; z = dot[k](q, S)",
        "z, S[t = -1]", MATRIX, (E,),
    ),
    "corrected": Cell(
        KEYED + ", a[b, t]",
        "carry S[k, v] = 1; kept = a * S; unit = key / norm[k](key);"
        "S = kept + unit * (val - dot[k](unit, kept)); z = dot[k](q, S)",
        "z, S[t = -1]", MATRIX, (L,),
    ),
}  # fmt: skip
EXTREME = {
    "almost 1": [1 - 2**-23],
    "tiny": [1e-30],
    "0": [0.0],
    "1": [1.0],
    "all of them": [1 - 2**-23, 1e-30, 0.0, 1.0, 0.5, -1.0, -0.5],
    "mostly 1, seldom 0": [1.0] * 40 + [0.0],
}


@pytest.mark.parametrize("decays", EXTREME)
@pytest.mark.parametrize("name", DECAYED)
def test_decays_of_any_size_are_exact(name: str, decays: str) -> None:
    model = model_of(DECAYED[name].text)
    given = {n: a.astype(np.float32).astype(float) for n, a in arrays(model, 150).items()}
    shape = given["a"].shape
    given["a"] = np.random.default_rng(1).choice(EXTREME[decays], shape).astype(np.float32)
    given["a"] = given["a"].astype(float)
    parallel = made(model, torch.float32, recurrences="parallel", chunk=32)
    singles = tensors(given, torch.float32)
    assert_close(list(parallel(*singles)), oracle(model, given), "float32")
    slopes = gradients(parallel, singles)
    assert all(bool(g.isfinite().all()) for g in slopes)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_equal_keys_cancel_nothing(strength: float) -> None:
    """The powers of what the rows read of each other would be binomial coefficients here."""
    cell = Cell(
        KEYED,
        f"carry S[k, v] = 0; S = S + {strength} * key * (val - dot[k](key, S)); z = dot[k](q, S)",
        "z, S[t = -1]",
        MATRIX,
        (L,),
    )
    model = model_of(cell.text)
    given = {n: a.astype(np.float32).astype(float) for n, a in arrays(model, 200).items()}
    given["key"] = np.zeros_like(given["key"])
    given["key"][..., 0] = 1.0
    parallel = made(model, torch.float32, recurrences="parallel", chunk=64)
    assert_close(list(parallel(*tensors(given, torch.float32))), oracle(model, given), "float32")
