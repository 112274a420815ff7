from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from tests.runtime.lessons import drawn, lesson

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.elaborate.optimisation import OPTIMISERS
from neuraxis.runtime.training.optimisers import CLASSES, Optimiser, optimiser_for

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = {
    "lr": 0.02, "momentum": 0.5, "weight_decay": 0.01, "dampening": 0, "nesterov": 1, "beta1": 0.8,
    "beta2": 0.9, "eps": 1e-6, "amsgrad": 1, "momentum_decay": 0.01, "lr_decay": 0.1, "rho": 0.8,
    "alpha": 0.9, "centered": 1, "etas": 1.3, "lambd": 0.001, "t0": 2, "max_iter": 3,
    "history_size": 2,
}  # fmt: skip


def made(using: str, *more: str) -> Optimiser:
    training = lesson(f"using {using}, steps 1", *more)
    return optimiser_for(training.course, drawn(training), training.train.span)


def settings(optimiser: Optimiser, *names: str) -> list[Mapping[str, object]]:
    return [{name: group[name] for name in names} for group in optimiser.torch.param_groups]


def test_every_optimiser_that_is_checked_can_be_made() -> None:
    assert CLASSES.keys() == OPTIMISERS.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_every_option_is_taken(name: str) -> None:
    given = ", ".join(f"{option} = {OPTIONS[option]}" for option in OPTIMISERS[name])
    optimiser = made(f"{name}({given})")
    (group,) = optimiser.torch.param_groups
    for option in OPTIMISERS[name]:
        match option:
            case "beta1" | "beta2":
                assert group["betas"] == (0.8, 0.9)
            case "etas":
                assert group["etas"] == (0.5, 1.3)
            case _:
                assert group[option] == OPTIONS[option]


@pytest.mark.parametrize("name", CLASSES)
def test_without_options_it_is_as_pytorch_has_it(name: str) -> None:
    optimiser = made(f"{name}()")
    own = CLASSES[name]([torch.nn.Parameter(torch.zeros(1))])
    assert optimiser.torch.defaults == own.defaults
    assert optimiser.rates == (optimiser.rate,) == (own.defaults["lr"],)


def test_one_of_two_betas_leaves_the_other() -> None:
    assert settings(made("adam(beta2 = 0.95)"), "betas") == [{"betas": (0.9, 0.95)}]
    assert settings(made("adam(0.1, beta1 = 0)"), "lr", "betas") == [
        {"lr": 0.1, "betas": (0, 0.999)}
    ]


def test_groups_have_settings_of_their_own() -> None:
    optimiser = made("adamw(lr = 0.1, beta1 = 0.5)", "group w: lr = 0.01, weight_decay = 0")
    assert optimiser.sites == ("w", "bias")
    assert optimiser.rate == 0.1
    assert settings(optimiser, "lr", "weight_decay", "betas") == [
        {"lr": 0.01, "weight_decay": 0, "betas": (0.5, 0.999)},
        {"lr": 0.1, "weight_decay": 0.01, "betas": (0.5, 0.999)},
    ]
    optimiser.scale(0.5)
    assert settings(optimiser, "lr") == [{"lr": 0.005}, {"lr": 0.05}]


def test_only_what_is_trained_is_in_a_group_and_the_last_group_counts() -> None:
    optimiser = made(
        "sgd(lr = 1)",
        "freeze bias",
        "group w: lr = 2",
        "group w: momentum = 0.5",
        "group bias: lr = 3",
    )
    assert optimiser.sites == ("w",)
    assert settings(optimiser, "lr", "momentum") == [{"lr": 2, "momentum": 0.5}]


@pytest.mark.parametrize(
    ("using", "more", "message"),
    [
        ("sgd(lr = -1)", (), "`sgd` cannot be made so: Invalid learning rate: -1.0"),
        ("adam(beta1 = 2)", (), "`adam` cannot be made so: Invalid beta parameter at index 0: 2.0"),
        ("sgd()", ("group w: beta1 = 0.5",), "`sgd` has no option `beta1` for a group"),
        (
            "lbfgs()",
            ("group w: lr = 2",),
            "`lbfgs` has one group, all of whose settings are the same",
        ),
        ("lbfgs(max_iter = 0.5)", (), "`max_iter` of `lbfgs` is a whole number from 1 on, not 0.5"),
    ],
)
def test_what_cannot_be_an_optimiser_is_said(
    using: str, more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        made(using, *more)
    (found,) = caught.value.diagnostics
    assert found.message == message


def test_states_go_by_address() -> None:
    optimiser = made("adam()")
    assert optimiser.state() == {}
    for site, weight in zip(
        optimiser.sites, optimiser.torch.param_groups[0]["params"], strict=True
    ):
        weight.grad = torch.full_like(weight, float(len(site)))
    optimiser.torch.step()
    state = optimiser.state()
    assert {site: sorted(own) for site, own in state.items()} == {
        site: ["exp_avg", "exp_avg_sq", "step"] for site in ("w", "bias")
    }
    again = made("adam()")
    again.restore(state)
    assert json.dumps(again.state(), default=torch.Tensor.tolist) == json.dumps(
        state, default=torch.Tensor.tolist
    )
