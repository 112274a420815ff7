"""`during train`: writes and rules that hold in the steps of a training, and nowhere else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from tests.runtime.small import same

from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = """
data points = iris(standard = true)

model line[f = 4](x[b, f]) -> [b]:
    param w[f] ~ normal(0, 1)
    y = dot[f](w, x)
    repeat layer * 2:
        y = y + tanh(linear[f -> f](x)[f = 0])
    return y

intervention half(by = 0.5) on line:
    during train: layer[0].y *= by

intervention backwards on line:
    during train:
        gain layer[0].y = 0.5
        freeze w
        backward layer[1].y = clip(grad, -0.01, 0.01)

intervention borrowed(source: run) on line:
    during train: layer[0].y = it + source.layer[0].y

train base of line on points:
    loss = mean[b]((out - label) ^ 2)
    using sgd(lr = 0.05), batch 24, steps 1

"""


def session(text: str, root: Path) -> Session:
    """A spec, about to be run."""
    program = Program.from_text(SPEC + text, folder=root)
    return Session(program, root / "out", console=Console(file=io.StringIO()))


def one(given: str, *body: str) -> str:
    """A training of one step on all that it reads, measured before and after."""
    lines = ["loss = mean[b]((out - label) ^ 2)", "using sgd(lr = 0.05), batch 24, steps 1"]
    text = "".join(f"    {line}\n" for line in (*body, *lines, "every 1 steps: evaluate"))
    return f"train one of line {given} on points:\n{text}"


def taught(
    text: str, root: Path, loss: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
) -> None:
    """What is learnt in a step is what PyTorch learns from `loss`, which gives `out`; and what is
    measured is the plain model."""
    found = session(text, root)
    weights = found.weights("one").state_dict()
    model = found.program.model("line")
    rows = next(found.program.library.dataset("points").stream(24, seed=0))[0]
    x, label = (torch.tensor(rows[name].values).float() for name in ("x", "label"))
    ((loss(model, x) - label) ** 2).mean().backward()
    for name, param in model.named_parameters():
        gradient = torch.zeros(()) if param.grad is None else param.grad
        same(weights[name], param.detach() - 0.05 * gradient)
    plain = found.program.model("line")
    plain.load_state_dict(weights)
    held = found.program.library.dataset("points").held
    assert held is not None
    x, label = (torch.tensor(held[name].values).float() for name in ("x", "label"))
    measured = load(root / "out" / "one" / "history.nc")["held.loss"].values
    wanted = ((plain(x) - label) ** 2).mean().item()
    np.testing.assert_allclose(measured[np.isfinite(measured)][-1], wanted, rtol=1e-4)


def parts(model: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What is added up in the model."""
    read = dict(model.named_parameters())
    steps = [
        torch.tanh((x @ read[f"layer.{n}.linear.w"] + read[f"layer.{n}.linear.b"])[:, 0])
        for n in range(2)
    ]
    return [x @ read["w"], *steps]


def halved(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    first, second, third = parts(model, x)
    return 0.5 * (first + second) + third


def test_a_write_holds_in_training_and_not_where_it_is_measured(tmp_path: Path) -> None:
    taught(one("with half"), tmp_path, halved)


def test_it_may_stand_in_the_training_itself(tmp_path: Path) -> None:
    taught(one("", "during train: layer[0].y *= 0.5"), tmp_path, halved)


def test_rules_of_what_comes_back(tmp_path: Path) -> None:
    def loss(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        first, second, third = parts(model, x)
        inner = first.detach() + second
        inner = 0.5 * inner + 0.5 * inner.detach()
        out = inner + third
        if out.requires_grad:
            out.register_hook(lambda grad: grad.clip(-0.01, 0.01))
        return out

    taught(one("with backwards"), tmp_path, loss)


def test_live_values_carry_gradients_and_those_of_other_weights_none(tmp_path: Path) -> None:
    live = "run other = line(x = 2 * points.x)"
    taught(
        one("with borrowed(source = other)", live),
        tmp_path / "live",
        lambda model, x: sum(parts(model, x)) + sum(parts(model, 2 * x)[:2]),
    )
    found = session(one("with borrowed(source = other)", f"{live} with base"), tmp_path / "other")
    base = found.weights("base").state_dict()

    def beside(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        teacher = session("", tmp_path).program.model("line")
        teacher.load_state_dict(base)
        with torch.no_grad():
            constant = sum(parts(teacher, 2 * x)[:2])
        return sum(parts(model, x)) + constant

    taught(one("with borrowed(source = other)", f"{live} with base"), tmp_path / "third", beside)


def test_a_run_with_other_weights_is_in_no_training(tmp_path: Path) -> None:
    """As it has no dropout either."""
    text = one("", "run teacher = line with base, half", "apart = mean[b](teacher.y)")
    found = session(text, tmp_path)
    body = found.program.checked.trainings["one"].train.body
    by = [step.node.name for step in body.steps if step.node.site == "half.by"]
    assert by
    assert not any(set(by) & set(step.operands) for step in body.steps)


def test_for_a_time_and_in_a_phase(tmp_path: Path) -> None:
    found = session(
        "train one of line on points:\n"
        "    loss = mean[b]((out - label) ^ 2)\n"
        "    using sgd(lr = 0.05), batch 24, steps 2\n"
        "    phase first:\n"
        "        during train: layer[0].y *= 0.5\n"
        "        until step 1\n",
        tmp_path,
    )
    training = found.program.checked.trainings["one"]
    first = training.forms[training.form(0, 0)]
    assert len(first.train.body.steps) > len(first.evaluate.body.steps)
    assert training.form(1, 1) == ()


def test_an_experiment_is_no_training(tmp_path: Path) -> None:
    text = """
experiment e of line on points:
    run plain = line
    run same = line with half
    apart = max[b](abs(plain.out - same.out))
"""
    outcome = session(text, tmp_path).experiment("e")
    assert float(outcome.values["apart"]) == 0


def test_from_python_it_is_of_the_mode(tmp_path: Path) -> None:
    model = session("", tmp_path).program.model("line")
    x = torch.arange(8.0).reshape(2, 4)
    written = model.under("half", by=0.25)
    same(written(x), model(x))
    first, second, third = parts(model, x)
    same(written.train()(x), 0.25 * (first + second) + third)
    same(written(x, **{"half.by": torch.tensor(1.0)}), model(x))
    same(written.eval()(x), model(x))
    same(model.train().under("half")(x), 0.5 * (first + second) + third)
