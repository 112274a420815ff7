from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.runtime.lessons import BODY, drawn, lesson, lowered, points

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.training import Functions, Trained, loop, read_parameters, train
from neuraxis.runtime.training.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuraxis.dsl.program import CheckedTraining
    from neuraxis.runtime.data import Dataset
    from neuraxis.runtime.parameters import Parameters
    from neuraxis.runtime.training import Lowered

ACTIONS = ("every 5 steps: evaluate", "every 6 steps: snapshot", "expect loss < 2.2")
OPTIMISERS = [
    "sgd(lr = 0.05, momentum = 0.9)",
    "sgd(lr = 0.05)",
    "adamw(lr = 0.02, amsgrad = true)",
    "adagrad(lr = 0.05)",
    "rprop(lr = 0.01)",
    "nadam(lr = 0.01)",
    "asgd(lr = 0.01, t0 = 3)",
    "lbfgs(lr = 0.1, max_iter = 3, history_size = 2)",
]


def taught(
    training: CheckedTraining,
    folder: Path,
    *,
    data: Dataset | None = None,
    seed: int = 0,
    resume: bool = False,
    stop_at: int | None = None,
) -> tuple[Parameters, Trained | None]:
    """Train; with `stop_at` as if Ctrl-C were pressed during that step."""
    own = drawn(training)
    functions = lowered(training, own)
    if stop_at is not None:
        functions = replace(functions, train=stopping(functions.train, stop_at))
    data = points() if data is None else data
    try:
        done = train(training, functions, own, data, folder=folder, seed=seed, resume=resume)
    except KeyboardInterrupt:
        return own, None
    return own, done


def stopping(function: Lowered, call: int) -> Lowered:
    """The function with Ctrl-C pressed in one of its calls."""
    calls = 0

    def stops(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGINT)
        return function(inputs)

    return stops


def everything(file: Path) -> dict[str, bytes]:
    """All tensors and the metadata of a checkpoint, bit by bit."""
    with safe_open(file, framework="numpy") as opened:
        found = {name: opened.get_tensor(name).tobytes() for name in opened.keys()}  # noqa: SIM118
        return found | {"about": opened.metadata()["neuraxis"].encode()}


def test_it_learns(tmp_path: Path) -> None:
    training = lesson("using sgd(lr = 0.1), batch 8, epochs 20")
    own, done = taught(training, tmp_path)
    assert done is not None
    loss = done.history["loss"]
    assert loss.sizes == {"step": 100}  # 20 epochs of 5 batches
    assert float(loss[:5].mean()) > 3 * float(loss[-5:].mean())
    assert float(done.history["held.loss"][-1]) < 1
    assert abs(own["bias"].item() - 1) < 0.5


def test_steps_are_those_of_the_optimiser_on_the_batches_of_the_data(tmp_path: Path) -> None:
    training = lesson("using sgd(lr = 0.1), batch 8, steps 3", "schedule linear")
    own, _ = taught(training, tmp_path, seed=2)
    mine = drawn(training)
    function = lowered(training, mine).train
    batches = points().stream(8, seed=2)
    for step in range(3):
        inputs = Inputs(training.train, mine, {}, seed=2).at(next(batches)[0], step)
        *results, seen = function(inputs)
        gradients = torch.autograd.grad(results[0], [mine["w"], mine["bias"]])
        with torch.no_grad():
            mine["seen"].copy_(seen)
            for site, gradient in zip(("w", "bias"), gradients, strict=True):
                mine[site].sub_(0.1 * (1 - step / 3) * gradient)
    for site, tensor in mine.items():
        torch.testing.assert_close(own[site], tensor, rtol=1e-5, atol=1e-6)


def test_the_seed_of_a_spec_counts(tmp_path: Path) -> None:
    first, _ = taught(lesson(f"{BODY}, seed 3"), tmp_path / "a", seed=1)
    second, _ = taught(lesson(BODY), tmp_path / "b", seed=4)
    third, _ = taught(lesson(BODY), tmp_path / "c", seed=1)
    assert torch.equal(first["w"], second["w"])
    assert not torch.equal(first["w"], third["w"])


def test_what_is_not_trained_stays_as_it_was(tmp_path: Path) -> None:
    training = lesson(BODY, "only w")
    own, _ = taught(training, tmp_path)
    before = drawn(training)
    assert torch.equal(own["bias"], before["bias"])
    assert torch.equal(own["scale"], before["scale"])
    assert not torch.equal(own["w"], before["w"])
    assert not torch.equal(own["seen"], before["seen"])
    assert own.trained == ("w", "bias")  # as before the training
    assert all(tensor.grad is None for tensor in own.values())


def test_gradients_are_clipped(tmp_path: Path) -> None:
    training = lesson("using sgd(lr = 1), batch 8, steps 1, clip 0.01")
    own, _ = taught(training, tmp_path)
    before = drawn(training)
    moved = [(own[site] - before[site]).norm() for site in ("w", "bias")]
    assert torch.stack(moved).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_the_history_has_every_step_and_every_evaluation(tmp_path: Path) -> None:
    training = lesson(BODY, "schedule warmup(2)", "group w: lr = 1", *ACTIONS)
    _, done = taught(training, tmp_path)
    assert done is not None
    history = done.history
    assert set(history.data_vars) == {"loss", "error", "optimiser.lr", "held.loss", "held.error"}
    assert history["step"].values.tolist() == list(range(1, 13))
    assert history["evaluated"].values.tolist() == [5, 10, 12]
    assert history["optimiser.lr"].values[:3].tolist() == [0.025, 0.05, 0.05]
    assert np.allclose(history["error"] ** 2, history["loss"])
    assert history.attrs == {"training": "base", "seed": 0, "evaluated_on": "held"}


def test_means_over_the_held_out_part_count_each_example_once(tmp_path: Path) -> None:
    training = lesson("using sgd(lr = 0.05), batch 4, steps 2", "expect loss < 2.2")  # 10: 4, 4, 2
    own, done = taught(training, tmp_path)
    held = points().held
    assert done is not None
    assert held is not None
    inputs = {"patients.x": held["x"].values, "patients.target": held["target"].values}
    function = lowered(training, own).evaluate
    whole = function({name: torch.from_numpy(values) for name, values in inputs.items()})
    (found,) = done.expectations
    assert found.left == pytest.approx(whole[0].item(), rel=1e-5)
    assert found.right == pytest.approx(2.2)
    assert (found.label, found.op, found.holds) == ("loss < 2.2", "<", found.left < 2.2)


def test_without_a_held_out_part_all_data_are_evaluated(tmp_path: Path) -> None:
    _, done = taught(lesson(), tmp_path, data=points(held=0))
    assert done is not None
    assert done.history.attrs["evaluated_on"] == "data"


def test_snapshots_are_kept_and_the_last_is_the_end(tmp_path: Path) -> None:
    own, _ = taught(lesson(BODY, *ACTIONS), tmp_path)
    names = ["last.safetensors", "step-000006.safetensors", "step-000012.safetensors"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    kept = read_parameters(tmp_path / "last.safetensors")
    assert kept.keys() == set(own)
    assert all(torch.equal(kept[site], tensor) for site, tensor in own.items())
    middle = read_parameters(tmp_path / "step-000006.safetensors")
    assert not torch.equal(middle["w"], own["w"])


# ---- stopping and going on


@pytest.mark.parametrize("using", OPTIMISERS)
def test_a_training_taken_up_again_ends_bit_by_bit_the_same(using: str, tmp_path: Path) -> None:
    body = (
        f"using {using}, batch 8, steps 12, clip 1.0",
        "schedule warmup(3) then cosine(to = 0.1)",
        *(["group w: lr = 0.01"] if "lbfgs" not in using else []),
    )
    training = lesson(*body, *ACTIONS)
    own, whole = taught(training, tmp_path / "whole")
    calls = 1 if "lbfgs" not in using else 3
    for stop_at in (1, 3, 4):  # three times in all, in the midst of an epoch and at its end
        folder = tmp_path / "parts"
        _, none = taught(training, folder, resume=stop_at > 1, stop_at=stop_at * calls)
        assert none is None
    again, done = taught(training, tmp_path / "parts", resume=True)
    assert whole is not None
    assert done is not None
    for name in ("last.safetensors", "step-000006.safetensors", "step-000012.safetensors"):
        assert everything(tmp_path / "whole" / name) == everything(tmp_path / "parts" / name)
    assert all(torch.equal(own[site], again[site]) for site in own)
    assert whole.history.identical(done.history)
    assert whole.expectations == done.expectations


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_it_goes_on_in_any_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    training = lesson("using adam(lr = 0.02), batch 8, steps 6")
    whole, parts = (drawn(training).to(dtype=dtype) for _ in range(2))
    train(training, lowered(training, whole), whole, points(), folder=tmp_path / "whole")
    functions = lowered(training, parts)
    stops = replace(functions, train=stopping(functions.train, 2))
    with pytest.raises(KeyboardInterrupt):
        train(training, stops, parts, points(), folder=tmp_path / "parts")
    again = drawn(training).to(dtype=dtype)
    functions = lowered(training, again)
    train(training, functions, again, points(), folder=tmp_path / "parts", resume=True)
    assert again.dtype is dtype
    assert all(torch.equal(whole[site], again[site]) for site in whole)


@pytest.mark.gpu
def test_it_trains_and_goes_on_on_a_gpu(tmp_path: Path) -> None:
    training = lesson("using adam(lr = 0.02), batch 8, steps 6", "every 3 steps: snapshot")
    own = drawn(training).to("cuda")
    train(training, lowered(training, own), own, points(), folder=tmp_path)
    (tmp_path / "last.safetensors").unlink()
    (tmp_path / "step-000006.safetensors").unlink()
    again = drawn(training).to("cuda")
    train(training, lowered(training, again), again, points(), folder=tmp_path, resume=True)
    for site, tensor in own.items():
        torch.testing.assert_close(again[site], tensor, rtol=1e-4, atol=1e-5)


def test_it_goes_on_from_a_snapshot_if_that_is_the_latest(tmp_path: Path) -> None:
    training = lesson("using adamw(lr = 0.02), batch 8, steps 12", *ACTIONS)
    own, whole = taught(training, tmp_path)
    for name in ("last.safetensors", "step-000012.safetensors"):
        (tmp_path / name).unlink()
    again, done = taught(training, tmp_path, resume=True)
    assert all(torch.equal(own[site], again[site]) for site in own)
    assert whole is not None
    assert done is not None
    assert whole.history.identical(done.history)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    training = lesson(BODY, *ACTIONS)
    own, whole = taught(training, tmp_path)

    def never(_: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        raise AssertionError

    again = drawn(training)
    done = train(training, Functions(never, never), again, points(), folder=tmp_path, resume=True)
    assert whole is not None
    assert done.expectations == whole.expectations
    assert all(torch.equal(own[site], again[site]) for site in own)


def test_an_evaluation_that_was_stopped_is_done_again(tmp_path: Path) -> None:
    training = lesson(BODY, *ACTIONS)
    _, whole = taught(training, tmp_path / "whole")
    own = drawn(training)
    functions = lowered(training, own)
    functions = replace(functions, evaluate=stopping(functions.evaluate, 1))
    with pytest.raises(KeyboardInterrupt):
        train(training, functions, own, points(), folder=tmp_path / "parts")
    _, done = taught(training, tmp_path / "parts", resume=True)
    assert whole is not None
    assert done is not None
    assert whole.history.identical(done.history)


def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    training = lesson()
    own = drawn(training)

    def impatient(_: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        os.kill(os.getpid(), signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(training, Functions(impatient, impatient), own, points(), folder=tmp_path)
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_training_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(taught(lesson(), tmp_path)[1]))
    thread.start()
    thread.join()
    assert isinstance(done[0], Trained)


def test_a_checkpoint_is_written_now_and_then_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "AUTOSAVE", -1.0)
    training = lesson()
    own = drawn(training)
    functions = lowered(training, own)
    seen: list[bool] = []

    def looks(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        seen.append((tmp_path / "last.safetensors").exists())
        return functions.train(inputs)

    train(training, replace(functions, train=looks), own, points(), folder=tmp_path)
    assert seen[1:] == [True] * 11


def test_an_earlier_training_is_set_aside(tmp_path: Path) -> None:
    taught(lesson(BODY, *ACTIONS), tmp_path)
    first = everything(tmp_path / "last.safetensors")
    taught(lesson("using sgd(lr = 0.2), batch 8, steps 3"), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["before", "last.safetensors"]
    assert everything(tmp_path / "before" / "last.safetensors") == first
    taught(lesson(), tmp_path)
    assert [file.name for file in (tmp_path / "before").iterdir()] == ["last.safetensors"]


# ---- what goes wrong


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_it(value: float, tmp_path: Path) -> None:
    training = lesson()
    own = drawn(training)
    functions = lowered(training, own)
    at = [0]

    def breaks(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        at[0] += 1
        loss, *others = functions.train(inputs)
        return (loss * value if at[0] == 3 else loss, *others)

    with pytest.raises(SpecError) as caught:
        train(training, replace(functions, train=breaks), own, points(), folder=tmp_path)
    (found,) = caught.value.diagnostics
    assert found.message == f"the loss of `base` is {value} at step 3"
    assert found.span.text == "loss"
    assert all(torch.isfinite(tensor).all() for tensor in own.values())


def test_a_gradient_that_is_no_number_stops_it(tmp_path: Path) -> None:
    training = lesson(f"{BODY}, clip 1.0")
    own = drawn(training)
    functions = lowered(training, own)

    def breaks(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        _, error, seen = functions.train(inputs)
        return (own["w"] - own["w"].detach()).abs().sum().sqrt(), error, seen

    with pytest.raises(SpecError, match="the gradient of `base` is nan at step 1"):
        train(training, replace(functions, train=breaks), own, points(), folder=tmp_path)


def test_a_loss_of_nothing_that_is_trained_is_said(tmp_path: Path) -> None:
    training = lesson()
    own = drawn(training)
    functions = lowered(training, own)

    def detached(inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return tuple(result.detach() for result in functions.train(inputs))

    with pytest.raises(SpecError, match="the loss of `base` depends on nothing that is trained"):
        train(training, replace(functions, train=detached), own, points(), folder=tmp_path)


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="`base` trains no parameter"):
        taught(lesson(BODY, "freeze w", "freeze bias"), tmp_path)
    with pytest.raises(SpecError, match="there is no example to train on"):
        taught(lesson(), tmp_path, data=points(held=0).take(0))
