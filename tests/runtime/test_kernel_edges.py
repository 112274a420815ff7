"""Kernels at the ends of what they may be given: no steps, any sizes, halves, decays of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.runtime.module import build
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close, check_lowering

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.cxx

CELLS = """
model elementwise[d = 19](x[b, t, d], a[b, t, d]) -> [b, t, d]:
    scan t:
        carry s[d] = 0
        s = a * s + x
    return s

model gated[k = 5, v = 19](q[b, t, k], key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, t, v]:
    scan t:
        carry S[k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model free(q[b, t, k], key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, t, v]:
    scan t:
        carry S[k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model corrected[k = 5, v = 19](
    q[b, t, k], key[b, t, k], val[b, t, v], a[b, t]
) -> [b, t, v]:
    scan t:
        carry S[k, v] = 0
        kept = a * S
        S = kept + 0.2 * key * (val - dot[k](key, kept))
        o = dot[k](q, S)
    return o

model weighted[d = 5](x[b, t, d]) -> [b, t, n]:
    y = gru[n = 21](x)
    return y

model backwards[d = 19](x[b, t, d], a[b, t, d]) -> [b, t, d]:
    scan t reversed:
        carry s[d] = 0
        carry r[d] = 1
        s = a * s + x + 0.1 * r
        r = tanh(0.5 * r + a)
    return s * r
"""
SIZES = {"b": 2, "k": 3, "v": 6}


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(CELLS)


def inputs(model: Any, length: int, seed: int = 0, **sizes: int) -> list[torch.Tensor]:
    known = {**SIZES, **sizes, "t": length}
    stream = torch.Generator().manual_seed(seed)
    return [
        torch.rand(
            [known.get(a.name, a.size) if not isinstance(a.size, int) else a.size for a in x.axes],
            generator=stream,
            dtype=torch.float64,
        )
        for x in model._artifact.arguments
    ]


def oracle(model: Any, given_: Sequence[torch.Tensor], length: int, **sizes: int) -> list[Any]:
    named = {
        a.decl.name: NamedArray(tuple(x.name for x in a.axes), value.detach().double().numpy())
        for a, value in zip(model._artifact.arguments, given_, strict=True)
    }
    params = {
        site: p.detach().double().numpy() for site, p in model.parameters_by_site()[0].items()
    }
    found = evaluate(model.checked.body, named, params, sizes={**SIZES, **sizes, "t": length})
    return [
        one.arranged(decl.order) for one, decl in zip(found, model.checked.results, strict=True)
    ]


def plain(model: Any) -> Any:
    """The same model as a loop in PyTorch."""
    made = build(model._graph, model.checked, shared=model, kernels=False)
    assert not made._artifact.kernels
    return made


@pytest.mark.parametrize("name", ["elementwise", "gated", "corrected", "weighted", "backwards"])
def test_no_steps(program: Program, name: str) -> None:
    """Nothing comes out, and nothing comes back, from a kernel and from the loop."""
    kernel = program.model(name).double()
    assert kernel._artifact.kernels
    for model in (kernel, plain(kernel)):
        given_ = [x.requires_grad_() for x in inputs(model, 0)]
        found = model(*given_)
        assert_close([found], oracle(kernel, given_, 0), "float64")
    leaves = [*given_, *kernel.parameters()]
    slopes = torch.autograd.grad(kernel(*given_).sum(), leaves, allow_unused=True)
    assert all(not slope.any() for slope in slopes if slope is not None)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(k=st.integers(1, 256), v=st.integers(1, 256), length=st.integers(0, 5))
def test_any_sizes(program: Program, k: int, v: int, length: int) -> None:
    """Sizes that are known when it runs, whether vectors divide them or not."""
    model = program.model("free").float()
    given_ = [x.float().requires_grad_() for x in inputs(model, length, k=k, v=v)]
    found = model(*given_)
    assert_close([found], oracle(model, given_, length, k=k, v=v), "float32", tolerance=1e-5)
    _same_slopes(model, given_)


@pytest.mark.parametrize(("k", "v"), [(1, 1), (16, 33), (7, 256)])
def test_sizes_that_are_known(program: Program, k: int, v: int) -> None:
    model = program.model("gated", k=k, v=v).float()
    given_ = [x.float().requires_grad_() for x in inputs(model, 4)]
    assert_close([model(*given_)], oracle(model, given_, 4), "float32", tolerance=1e-5)
    _same_slopes(model, given_)


def _same_slopes(model: Any, given_: Sequence[torch.Tensor]) -> None:
    """Gradients of the kernel are those of the loop that it stands for."""

    def loss(*leaves: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(*leaves)
        weight = torch.arange(found.numel(), dtype=torch.float64).cos().reshape(found.shape)
        return (found * weight).sum()

    wide = [x.detach().double().requires_grad_() for x in given_]
    found = torch.autograd.grad(loss(*given_), given_)
    # by what differentiates twice, which is the loop
    wanted = torch.autograd.grad(loss(*wide), wide, create_graph=True)
    assert_close(found, [x.detach().numpy() for x in wanted], "float32", tolerance=2e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gated", "weighted", "backwards"])
def test_halves_come_in_and_go_out(program: Program, name: str, dtype: str) -> None:
    check_lowering(program, name, dtype=dtype)


def test_what_is_carried_is_not_rounded_to_halves(program: Program) -> None:
    """Of 300 small numbers the sum in bfloat16 would stop growing at a power of two."""
    model = program.model("elementwise").bfloat16()
    x = torch.full((2, 300, 19), 0.0078125, dtype=torch.bfloat16)
    found = model(x, torch.ones_like(x))
    assert_close(found[:, -1], np.full((2, 19), 300 * 0.0078125), "bfloat16", tolerance=2**-8)


EXTREME = st.sampled_from([1 - 2**-23, 1e-30, 1e-38, 0.0, 1.0, 0.5])


@pytest.mark.parametrize("name", ["elementwise", "gated", "corrected"])
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), length=st.integers(0, 300), seed=st.integers(0, 99))
def test_decays_of_any_size(program: Program, name: str, data: Any, length: int, seed: int) -> None:
    """Values are exact to the last digits, and gradients are finite and those of the loop."""
    model = program.model(name).float()
    given_ = [x.float() for x in inputs(model, length, seed)]
    choices = torch.tensor(data.draw(st.lists(EXTREME, min_size=1, max_size=6)))
    places = torch.randint(
        len(choices), given_[-1].shape, generator=torch.Generator().manual_seed(seed)
    )
    given_[-1] = choices[places]
    for one in given_:
        one.requires_grad_()
    found = model(*given_)
    assert torch.isfinite(found).all()
    assert_close([found], oracle(model, given_, length), "float32", tolerance=1e-5)
    slopes = torch.autograd.grad(found.sum(), given_)
    assert all(torch.isfinite(slope).all() for slope in slopes)


def test_ways_back_to_different_operands_are_different_operators() -> None:
    """Operands 1 and 2 are not operand 12."""
    names = [f"x{at}" for at in range(14)]
    inputs = ", ".join(f"{name}[t]" for name in names)
    terms = " + ".join(f"{name} * tanh(s + {at / 8})" for at, name in enumerate(names))
    text = (
        f"model m({inputs}) -> [t]:\n    scan t:\n        carry s = 0\n"
        f"        s = 0.1 * ({terms})\n    return s\n"
    )
    model = Program.from_text(text).model()

    def slopes(wanted: set[int]) -> dict[int, Any]:
        given = [torch.ones(3, requires_grad=at in wanted) for at in range(14)]
        model(*given).sum().backward()
        return {at: given[at].grad for at in wanted}

    every = slopes(set(range(14)))
    for wanted in [{0, 1}, *({at} for at in range(14)), *({1, at} for at in range(2, 14))]:
        for at, slope in slopes(wanted).items():
            assert_close(slope, every[at])


@pytest.mark.parametrize("count", [1, 4, 6])
@pytest.mark.parametrize("size", [35, 36])
def test_rows_and_places_that_are_multiplied_together(size: int, count: int) -> None:
    """Four rows at once and what is left of them; of places four at once, or each alone."""
    text = f"model m[d = 5](x[b, t, d]) -> [b, t, n]:\n    y = gru[n = {size}](x)\n    return y\n"
    model = Program.from_text(text).model().double()
    loop = build(model._graph, model.checked, shared=model, kernels=False)
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(count, 7, 5, generator=stream, dtype=torch.float64, requires_grad=True)
    leaves = [x, *model.parameters()]
    slopes = [torch.autograd.grad(one(x).square().sum(), leaves) for one in (model, loop)]
    for ours, theirs in zip(*slopes, strict=True):
        assert_close(ours, theirs, "float64")
