"""`with W as PATH`: parts of a model with weights of their own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from tests.runtime.small import write

from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Severity
from neuraxis.dsl.format import format_spec
from neuraxis.dsl.source import Source
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session, run_file

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
block half[d](x[d]) -> [d]:
    param w[d] = 0.5
    param other[d] = 1
    return w * other * x

model part[d = 2](x[b, d]) -> [b, d]:
    param w[d] = 0
    param other[d] = 1
    return w * other * x

model whole[d = 2](x[b, d]) -> [b, d]:
    y = x
    repeat layer * 2:
        y = y + half(y)
    return y

data points = npz("points.npz"): x[d]: float

weights given of part from "part.safetensors":
    w = file["w"]
    other = file["other"]

"""


def placed(path: Path, rest: str) -> Program:
    np.savez(path / "points.npz", x=np.ones((4, 2)))
    arrays = {"w": torch.tensor([3.0, 5.0]), "other": torch.ones(2)}
    save_file(arrays, path / "part.safetensors")
    return Program.load(write(path, "spec.nax", SPEC + rest))


def mistakes(rest: str) -> list[str]:
    found = check_text("x.nax", SPEC + rest).diagnostics
    return [f.message for f in found if f.severity is Severity.ERROR]


def test_a_part_of_a_run_has_weights_of_its_own(tmp_path: Path) -> None:
    program = placed(
        tmp_path,
        """
experiment look of whole on points:
    run plain = whole
    run one = whole with given as layer[1].half
    run both = one with given as layer[0].half, layer[0].y += 1
    a = mean[b](plain.out)
    c = mean[b](one.out)
    e = mean[b](both.out)
""",
    )
    assert run_file(program, [], tmp_path / "results", console=Console(file=io.StringIO())) == 0
    found = load(tmp_path / "results/look/look.nc")
    assert found.a.values == pytest.approx([1.5 * 1.5] * 2)
    assert found.c.values == pytest.approx([1.5 * 4, 1.5 * 6])
    assert found.e.values == pytest.approx([(4 + 1) * 4, (6 + 1) * 6])


def test_a_path_may_stand_for_many_parts(tmp_path: Path) -> None:
    rest = "\nexperiment look of whole with given as layer[*].half on points:\n"
    program = placed(tmp_path, rest + "    run a = whole\n    expect mean[b, d](a.out) > 25\n")
    assert run_file(program, [], tmp_path / "results", console=Console(file=io.StringIO())) == 0


def test_a_training_starts_with_what_is_put_there_and_trains_it(tmp_path: Path) -> None:
    rest = """
train tuned of whole with given as layer[1].half on points:
    loss = mean[b, d](out ^ 2)
    using sgd(lr = 0.001), batch 4, steps 1
    only layer[1].half.w
"""
    program = placed(tmp_path, rest)
    model = Session(program, tmp_path / "results").weights("tuned")
    state = dict(model.named_parameters())
    assert state["layer.0.half.w"].tolist() == [0.5, 0.5]
    trained = state["layer.1.half.w"]
    assert ((trained < torch.tensor([3.0, 5.0])) & (trained > torch.tensor([2.9, 4.9]))).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nothing as layer[1].half", "`nothing` are no weights"),
        ("given as layer[7].half", "no site matches `layer[7].half`"),
        (
            "given as layer[1].half, given as layer[*].half",
            "`layer[1].half` has the weights `given` already",
        ),
        (
            "given as layer[1]",
            "`given` have no `half.w`, which this run of `whole.layer[1]` reads",
        ),
    ],
)
def test_what_cannot_be_put_there_is_said(given: str, message: str) -> None:
    rest = f"\nexperiment look of whole on points:\n    run a = whole with {given}\n"
    assert mistakes(rest) == [message]


def test_an_intervention_puts_no_weights() -> None:
    rest = """
intervention swap on whole with given as layer[0].half:
    layer[1].y = 0

experiment look of whole with swap on points:
    run a = whole
"""
    assert any("weights are put where something runs" in message for message in mistakes(rest))


def test_it_is_written_as_it_was() -> None:
    text = "experiment x of m on d:\n    run a = m with w as layer[1].sae, layer[0].z = 0\n"
    assert format_spec(Source("x.nax", text)) == text


def test_an_experiment_without_a_run_is_run(tmp_path: Path) -> None:
    rest = "\nexperiment look on points:\n    a = mean[b, d](points.x)\n    expect a > 0.5\n"
    program = placed(tmp_path, rest)
    assert run_file(program, [], tmp_path / "results", console=Console(file=io.StringIO())) == 0
    assert load(tmp_path / "results/look/look.nc").a.values == 1
