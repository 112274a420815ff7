"""Products with weights by oneDNN: those of `F.linear`, and their gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import func

from neuraxis.runtime import products
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.skipif(
        None in (products.onednn, products.ordered), reason="PyTorch has no oneDNN here"
    ),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]
SHAPES = [(64, 128, 192), (5, 600, 500), (4, 3, 16, 96, 96)]


def given(*shape: int, turned: bool = False, biased: bool = True) -> list[torch.Tensor]:
    """A value, a weight that lies in memory as it is or turned, and a bias."""
    stream = torch.Generator().manual_seed(len(shape))
    *rows, summed, made = shape
    weight = torch.randn(made, summed, generator=stream) / summed**0.5
    weight = weight.t().contiguous().t() if turned else weight
    found = [torch.randn(*rows, summed, generator=stream), weight]
    return [*found, torch.randn(made, generator=stream)] if biased else found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each product by oneDNN."""
    seen: list[int] = []
    own = products.onednn

    def counted(*args: object) -> object:
        seen.append(1)
        return own(*args)

    monkeypatch.setattr(products, "onednn", counted)
    return seen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients(
    calls: list[int], shape: tuple[int, ...], turned: bool, biased: bool
) -> None:
    own = [x.requires_grad_() for x in given(*shape, turned=turned, biased=biased)]
    found, wanted = products.linear(*own), F.linear(*(x.double() for x in own))
    assert_close(found.detach(), wanted.detach().numpy())
    came = torch.randn(found.shape)
    slopes = torch.autograd.grad(found, own, came)
    for slope, other in zip(slopes, torch.autograd.grad(wanted, own, came.double()), strict=True):
        assert_close(slope, other.numpy())
    assert len(calls) == 3


def test_a_gradient_lies_in_memory_as_the_weight_does() -> None:
    for turned in (False, True):
        x, weight, bias = given(64, 192, 160, turned=turned)
        weight.requires_grad_()
        (slope,) = torch.autograd.grad(products.linear(x, weight, bias).sum(), weight)
        assert slope.stride() == weight.stride()


def test_a_value_without_a_gradient_costs_no_product(calls: list[int]) -> None:
    x, weight, bias = given(*SHAPES[0])
    torch.autograd.grad(products.linear(x, weight.requires_grad_(), bias).sum(), weight)
    assert len(calls) == 2


WAYS: dict[str, Callable[..., torch.Tensor]] = {
    "second derivative": lambda f, x: torch.autograd.grad(
        (torch.autograd.grad((f(x) ** 3).sum(), x, create_graph=True)[0] ** 2).sum(), x
    )[0],
    "grad": lambda f, x: func.grad(lambda z: (f(z) ** 2).sum())(x.detach()),
    "jvp": lambda f, x: func.jvp(f, (x.detach(),), (x.detach().cos(),))[1],
    "vmap": lambda f, x: func.vmap(f)(x.detach()[None]),
    "several gradients": lambda f, x: torch.autograd.grad(
        (y := f(x)), x, torch.stack([y.detach(), y.detach().sin()]), is_grads_batched=True
    )[0],
    "float64": lambda f, x: f(x),
    "inference": lambda f, x: torch.inference_mode()(f)(x.detach()).clone(),
}


@pytest.mark.parametrize("way", WAYS)
def test_where_something_looks_on(way: str) -> None:
    x, weight, bias = given(*SHAPES[0])
    if way == "float64":
        x, weight, bias = x.double(), weight.double(), bias.double()
    x.requires_grad_()
    found = WAYS[way](lambda z: products.linear(z, weight, bias), x)
    wanted = WAYS[way](lambda z: F.linear(z, weight, bias), x)
    assert_close(found.detach(), wanted.detach().numpy())


def test_what_is_small_is_left_to_mkl(calls: list[int]) -> None:
    for shape in [(2, 1024, 1024), (16, 32, 32), (4096, 1024, 4), (0, 512, 512)]:
        x, weight, bias = given(*shape)
        assert torch.equal(products.linear(x, weight, bias), F.linear(x, weight, bias))
        assert torch.equal(products.packed(weight, bias)(x), F.linear(x, weight, bias))
    assert not calls


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("turned", [False, True])
def test_packed(calls: list[int], shape: tuple[int, ...], turned: bool) -> None:
    x, weight, bias = given(*shape, turned=turned)
    with torch.no_grad():
        assert_close(products.packed(weight, bias)(x), F.linear(x, weight, bias).numpy())
        assert_close(products.packed(weight)(x), F.linear(x, weight).numpy())
    assert len(calls) == 2
    twice = products.packed(weight.double(), bias.double())(x.double())
    assert_close(twice, F.linear(x, weight, bias).numpy(), torch.float32)
