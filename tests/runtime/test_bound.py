"""A small model that is run often without gradients: one function, which stays the model."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch.autograd import forward_ad

from neuraxis.runtime.module import OFTEN
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.runtime.model import SpecModel

TEXT = """
model m[d = 6](x[b, t, d], L = 2) -> [b, t, d]:
    param scale[d] = 1
    repeat layer * L:
        attn = causal_attention[h = 2, k = 3](rmsnorm[d](x))
        x = x + attn * exp(scale)
    return x
"""
X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))


def often(model: SpecModel, x: torch.Tensor = X) -> torch.Tensor:
    """Run until it is one function, and once more."""
    with torch.no_grad():
        for _ in range(OFTEN + 1):
            found = model(x)
    assert model._bound is not None
    assert model._bound.current() == model._emitted  # gradients are wanted here
    with torch.no_grad():
        assert model._bound.current() != model._emitted
    return found


@pytest.fixture
def model() -> SpecModel:
    model = Program.from_text(TEXT).model()
    often(model)
    return model


def same(model: SpecModel, x: torch.Tensor = X) -> None:
    """The function gives what the source gives."""
    wanted = model._emitted(x)
    with torch.no_grad():
        torch.testing.assert_close(model(x), wanted.detach())


def in_place(model: SpecModel) -> None:
    with torch.no_grad():
        model.layer[0].attn.q.w.mul_(3)


def computed(model: SpecModel) -> None:
    with torch.no_grad():
        model.scale.add_(1)  # its exp is computed when it is bound


def replaced(model: SpecModel) -> None:
    model.layer[1].attn.out.w = torch.nn.Parameter(torch.randn(2, 3, 6))


def pointed(model: SpecModel) -> None:
    model.scale.data = torch.full((6,), 0.3)


def loaded(model: SpecModel) -> None:
    other = Program.from_text(TEXT, seed=4).model()
    model.load_state_dict(other.state_dict())


def assigned(model: SpecModel) -> None:
    other = Program.from_text(TEXT, seed=4).model()
    model.load_state_dict(other.state_dict(), assign=True)


def stepped(model: SpecModel) -> None:
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    model(X).sum().backward()
    optimiser.step()


CHANGES = (in_place, computed, replaced, pointed, loaded, assigned, stepped)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_parameters_is_seen(
    model: SpecModel, change: Callable[[SpecModel], None]
) -> None:
    with torch.no_grad():
        before = model(X)
    change(model)
    same(model)
    with torch.no_grad():
        assert not torch.equal(model(X), before)


def test_another_dtype(model: SpecModel) -> None:
    model.double()
    same(model, X.double())
    assert often(model, X.double()).dtype is torch.float64


def test_gradients_come_where_they_are_wanted(model: SpecModel) -> None:
    x = X.clone().requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert model.scale.grad is not None


def test_hooks_of_its_parts_are_called(model: SpecModel) -> None:
    seen = []
    hook = model.layer[0].register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        model(X)
        hook.remove()
        model(X)
    assert len(seen) == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_transforms_and_autocast_run_the_source(model: SpecModel) -> None:
    bound = model._bound
    assert bound is not None
    seen = []

    def looked(x: torch.Tensor) -> torch.Tensor:
        seen.append(bound.current() == model._emitted)
        return x

    with torch.no_grad():
        torch.vmap(looked)(X)
        with forward_ad.dual_level():
            looked(forward_ad.make_dual(X, X))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            looked(X)
    assert seen == [True, True, True]


def test_a_copy_begins_anew(model: SpecModel) -> None:
    other = copy.deepcopy(model)
    assert other._bound is None
    computed(other)
    same(model)
    often(other)
    same(other)


def test_a_replica_runs_its_own_source(model: SpecModel) -> None:
    replica = model._replicate_for_data_parallel()
    with torch.no_grad():
        assert replica._function() == replica._emitted


def test_other_shapes(model: SpecModel) -> None:
    for shape in ((1, 1, 6), (3, 9, 6), (4, 2, 5, 6)):
        x = torch.randn(shape)
        with torch.no_grad():
            found = model(x)
        torch.testing.assert_close(found, model(x).detach())


def test_one_with_states_that_it_changes_stays_as_it_is() -> None:
    text = """
model m[d = 4](x[b, d]) -> [b, d]:
    return batchnorm[b -> d](x)
"""
    model = Program.from_text(text).model().train()
    x = torch.randn(8, 4)
    with torch.no_grad():
        for _ in range(OFTEN + 2):
            model(x)
    assert model._bound is None
    assert all(other._bound is None for other in model._modes.values())
