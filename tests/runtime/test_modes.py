"""`train()` and `eval()`: one model in two modes, with one set of parameters and states."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.runtime.small import program

from neuraxis.dsl.diagnostics import SpecError

NOISY = """
    model m[d = 3](x[b, d]) -> [b, d]:
        param w[d] = 1
        y = dropout(w * x, p = 0.5)
        return batchnorm[b -> d](y)

    intervention doubled(by = 2.0) on m:
        y *= by
"""
X = torch.arange(24.0).reshape(8, 3)


def test_a_model_starts_in_the_mode_that_measures() -> None:
    model = program(NOISY).model()
    assert not model.training
    assert torch.equal(model(X), model(X))
    torch.testing.assert_close(model(X), X / (1 + 1e-5) ** 0.5)


def test_training_switches_noise_on_and_off() -> None:
    model = program(NOISY).model().train()
    first, second = model(X), model(X)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    model.eval()
    assert torch.equal(model(X), model(X))
    again = program(NOISY).model().train()
    assert torch.equal(again(X), first)
    assert torch.equal(again(X), second)


def test_both_modes_have_one_set_of_states() -> None:
    model = program(NOISY).model()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()(X)
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, start[n])}
    assert changed == {"out.center", "out.spread"}
    center = model.state_dict()["out.center"]
    want = (X - center) / (model.state_dict()["out.spread"] + 1e-5).sqrt()
    torch.testing.assert_close(model.eval()(X), want)
    model.load_state_dict(start)
    torch.testing.assert_close(model(X), X / (1 + 1e-5) ** 0.5)


def test_both_modes_have_one_set_of_parameters() -> None:
    model = program(NOISY).model().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(X).pow(3).sum().backward()
    assert model.w.grad is not None
    before = model.eval()(X)
    optimiser.step()
    assert not torch.equal(model(X), before)
    moved = model.double()
    assert moved.train()(X.double()).dtype == torch.float64


def test_interventions_and_traces_are_of_the_mode() -> None:
    model = program(NOISY).model().train()
    under = model.under("doubled")
    assert under.training
    trace = under.trace(X, sites=["y", "y.keep"])
    assert [site.address for site in model.eval().sites("y.keep")] == []
    kept = trace["y.keep"].tensor
    torch.testing.assert_close(trace["y"].tensor, 2 * 2 * X * kept)
    under.eval()
    torch.testing.assert_close(under.trace(X, sites=["y"])["y"].tensor, 2 * X)
    torch.testing.assert_close(under.trace(X, sites=["y"], **{"doubled.by": 3})["y"].tensor, 3 * X)


def test_ragged_batches_are_of_the_mode() -> None:
    model = program("""
        model m(x[b, t of b]) -> [b]:
            return sum[t](dropout(x, p = 0.5))
    """).model()
    x = torch.ones(2, 4)
    assert model(x, lengths=[2, 4]).tolist() == [2, 4]
    found = torch.stack([model.train()(x, lengths=[1, 4]) for _ in range(8)])
    assert set(found[:, 0].tolist()) == {0, 2}


def test_a_model_without_modes_is_one_program() -> None:
    model = program("model m[d = 2](x[b, d]) -> [b, d]:\n    return linear[d -> d](x)\n").model()
    x = torch.ones(2, 2)
    assert torch.equal(model.train()(x), model.eval()(x))
    assert not model._modes


def test_a_copy_has_both_modes() -> None:
    model = program(NOISY).model().train()
    model(X)
    other = copy.deepcopy(model)
    assert torch.equal(other(X), model(X))
    assert torch.equal(other.eval()(X), model.eval()(X))
    assert other.w is not model.w


def test_a_parameter_belongs_to_both_modes() -> None:
    model = program("""
        model m[d = 2](x[b, d]) -> [b, d]:
            if training:
                param w[d] = 2
                return w * x
            return x
    """).model()
    assert torch.equal(model(torch.ones(1, 2)), torch.ones(1, 2))
    with pytest.raises(SpecError, match="`w` is there only where the model is trained"):
        model.train()(torch.ones(1, 2))
