from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from tests.runtime.lessons import BODY, SPEC, lesson, points

from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.source import GENERATED
from neuraxis.runtime.data import Cursor
from neuraxis.runtime.training import read_parameters
from neuraxis.runtime.training.checkpoints import Checkpoint, Folder
from neuraxis.runtime.training.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

MARK = {"spec": "a", "data": "b", "seed": "0"}


def checkpoint(step: int = 3, value: float = 1.0) -> Checkpoint:
    weights = {"layer[0].n'.w": torch.full((2, 3), value), "seen": torch.tensor(value)}
    nested = {
        "layer[0].n'.w": {
            "step": torch.tensor(3.0),
            "old": [torch.arange(3.0), None, [torch.zeros(0)]],
            "count": 4,
            "last": float("inf"),
        }
    }
    return Checkpoint(
        step, (1, 2), Cursor(1, 2), MARK, weights, nested, {"steps": torch.tensor([[0.1, 0.2]])}
    )


def same(one: object, other: object) -> bool:
    match one, other:
        case torch.Tensor(), torch.Tensor():
            return torch.equal(one, other) and one.dtype == other.dtype
        case dict(), dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    folder, saved = Folder(tmp_path / "new", GENERATED), checkpoint()
    assert folder.latest(MARK) is None
    folder.save(saved)
    found = folder.latest(MARK)
    assert found is not None
    assert (found.step, found.cursor, found.fingerprint) == (3, Cursor(1, 2), MARK)
    assert same(found.parameters, saved.parameters)
    assert same(found.optimiser, saved.optimiser)
    assert same(found.history, saved.history)
    assert same(read_parameters(tmp_path / "new/last.safetensors"), saved.parameters)


def test_the_latest_is_the_one_with_most_steps(tmp_path: Path) -> None:
    folder = Folder(tmp_path, GENERATED)
    folder.save(checkpoint(20, 20))
    folder.save(checkpoint(100, 100), keep=True)
    folder.save(checkpoint(3, 3), keep=True)
    found = folder.latest(MARK)
    assert found is not None
    assert found.step == found.parameters["seen"].item() == 100


@pytest.mark.parametrize(
    ("part", "said"), [("spec", "another spec"), ("data", "other data"), ("seed", "another seed")]
)
def test_a_checkpoint_of_another_training_is_refused(part: str, said: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path, lesson().train.span)
    folder.save(checkpoint())
    with pytest.raises(SpecError) as caught:
        folder.latest({**MARK, part: "z"})
    (found,) = caught.value.diagnostics
    assert found.message == f'the checkpoint "last.safetensors" was written with {said}'
    assert found.hint == "without `--resume` the training starts anew"
    assert str(found.span) == "line.nax:13:1"


def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    folder = Folder(tmp_path, GENERATED)
    (tmp_path / "last.safetensors").write_bytes(b"nothing")
    with pytest.raises(SpecError, match=r'the checkpoint "last.safetensors" cannot be read'):
        folder.latest(MARK)
    save_file({"w": torch.zeros(1)}, tmp_path / "last.safetensors")
    with pytest.raises(SpecError, match="none of this version's checkpoints"):
        folder.latest(MARK)
    with pytest.raises(ValueError, match="none of this version's checkpoints"):
        read_parameters(tmp_path / "last.safetensors")


def test_what_a_checkpoint_cannot_hold_is_our_mistake(tmp_path: Path) -> None:
    odd = Checkpoint(0, (0, 0), Cursor(), MARK, {}, {"w": {"odd": object()}}, {})
    with pytest.raises(TypeError, match="optimiser/w/odd is a object"):
        Folder(tmp_path, GENERATED).save(odd)
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_is_of_what_counts() -> None:
    training, data = lesson(BODY), points()
    mark = fingerprint(training, data, 0)
    text = SPEC.replace("    loss =", "    # the loss\n    loss  = ") + f"    {BODY}\n"
    assert fingerprint(check_text("b.nax", text).trainings["base"], data, 0) == mark
    assert fingerprint(training, data, 1)["seed"] != mark["seed"]
    assert fingerprint(training, data.take(30), 0)["data"] != mark["data"]
    others = [
        lesson(BODY, "only w"),
        lesson(BODY, "group w: lr = 1"),
        lesson(BODY, "schedule warmup(3)"),
        lesson(BODY, "every 3 steps: evaluate"),
        lesson(BODY.replace("12", "13")),
        lesson(BODY.replace("sgd", "adam")),
    ]
    assert len({fingerprint(other, data, 0)["spec"] for other in others} | {mark["spec"]}) == 7
