"""A small training, lowered by hand: a line through points, with dropout and a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from neuraxis.dsl.check import check_text
from neuraxis.runtime.data import Dataset
from neuraxis.runtime.data.dataset import full
from neuraxis.runtime.parameters import Parameters
from neuraxis.runtime.training import Functions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis.dsl.program import CheckedTraining

SPEC = """
data patients = diabetes(held = 0.2)

model line[f = 10](x[b, f]) -> [b]:
    param w[f] ~ normal(0, 0.5)
    param bias ~ normal(0, 0.5)
    fixed scale[f] ~ normal(1, 0.1)
    state seen[f] = 0
    kept = dropout(x, p = 0.2)
    seen = 0.5 * seen + mean[b](x)
    return dot[f](w * scale, kept) + bias

train base of line on patients:
    loss = mean[b]((out - target) ^ 2)
    error = sqrt(loss)
"""
BODY = "using sgd(lr = 0.05), batch 8, steps 12"


def lesson(*body: str) -> CheckedTraining:
    """The training with these further lines in its body."""
    text = SPEC + "".join(f"    {line}\n" for line in body or (BODY,))
    checked = check_text("line.nax", text)
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    return checked.trainings["base"]


def points(count: int = 40, held: int = 10) -> Dataset:
    """Points near a line, some of them held back."""
    stream = np.random.default_rng(5)
    x = stream.standard_normal((count + held, 10)).astype(np.float32)
    target = (x @ np.arange(10) / 10 + 1).astype(np.float32)
    whole = Dataset({"x": full(x, "f"), "target": full(target)})
    kept = whole.pick(slice(count)).columns
    return Dataset(kept, whole.pick(slice(count, None)) if held else None)


def drawn(training: CheckedTraining, seed: int = 0) -> Parameters:
    """The parameters that it starts from."""
    return Parameters.of(training.train.body, seed=seed)


def lowered(training: CheckedTraining, own: Parameters) -> Functions:
    """The losses in both modes, in plain PyTorch."""
    tail = len([out for out in training.train.outputs if out.kind == "expect"])

    def losses(inputs: Mapping[str, torch.Tensor], kept: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = kept @ (own["w"] * own["scale"]) + own["bias"]
        loss = ((out - inputs["patients.target"]) ** 2).mean()
        return (loss, loss.sqrt(), *(loss, torch.tensor(2.2)) * tail)

    def train(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        x = inputs["patients.x"]
        return *losses(inputs, x * inputs["kept.keep"] / 0.8), 0.5 * own["seen"] + x.mean(0)

    def evaluate(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return losses(inputs, inputs["patients.x"])

    return Functions(train, evaluate)
