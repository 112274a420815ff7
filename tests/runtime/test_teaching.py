"""What a training may say besides its loss: other runs, writes for a time, phases, local rules."""

from __future__ import annotations

import contextlib
import io
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.runtime.small import same

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.ops import RANDOM
from neuraxis.runtime import session as sessions
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session
from neuraxis.runtime.training import progress

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
data points = iris(standard = true, held = 0.25)

model line[f = 4](x[b, f], L = 1, p = 0.0) -> [b]:
    param w[f] ~ normal(0, 1)
    param bias ~ normal(0, 1)
    fixed before[f] = 0
    kept = dropout(x, p = p)
    y = dot[f](w, kept)
    repeat layer * L:
        y = y + tanh(linear[f -> f](kept)[f = 0])
    return y + bias + 0 * mean[f](before)

intervention shift(by = 1.0) on line:
    y += by

"""


def session(text: str, root: Path, *, folder: str = "out", resume: bool = False) -> Session:
    """A spec, about to be run."""
    program = Program.from_text(HEAD + text, folder=root)
    console = Console(file=io.StringIO())
    return Session(program, root / folder, resume=resume, console=console)


def weights(found: Session, name: str) -> dict[str, torch.Tensor]:
    return {key: value.detach().clone() for key, value in found.weights(name).state_dict().items()}


def batches(found: Session, size: int, steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The batches that a training reads, in their order."""
    stream = found.program.library.dataset("points").stream(size, seed=0)
    rows = [next(stream)[0] for _ in range(steps)]
    return [(torch.tensor(r["x"].values), torch.tensor(r["label"].values).float()) for r in rows]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


BASE = """
train base of line(L = 2, p = 0.5) on points:
    loss = mean[b]((out - label) ^ 2)
    using sgd(lr = 0.05), batch 4, steps 3

"""
DISTILLED = (
    BASE
    + """
train twin of line on points:
    run teacher = line with base
    run noisy = line(x = points.x + 1) with shift
    loss = mean[b]((out - teacher.out) ^ 2) + 0.1 * mean[b]((noisy.out - teacher.out) ^ 2)
    apart = mean[b]((teacher.y - teacher.layer[1].y) ^ 2)
    using sgd(lr = 0.1), batch 4, steps 5
    every 2 steps: evaluate
"""
)


def test_a_run_with_other_weights_is_a_constant_and_one_with_its_own_learns(
    tmp_path: Path,
) -> None:
    """Against the same in plain PyTorch: the teacher without dropout, the gradient through both
    runs that have the trained weights."""
    found = session(DISTILLED, tmp_path)
    taught = weights(found, "twin")
    before = weights(found, "base")
    teacher = found.program.model("line", L=2)  # its dropout is 0
    teacher.load_state_dict(before)
    student = found.program.model("line")
    shifted = student.under("shift")
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1)
    losses = []
    for x, _ in batches(found, 4, 5):
        optimiser.zero_grad()
        with torch.no_grad():
            wanted = teacher(x)
        loss = ((student(x) - wanted) ** 2).mean()
        loss = loss + 0.1 * ((shifted(x + 1) - wanted) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    for name, value in student.state_dict().items():
        same(taught[name], value)
    history = load(tmp_path / "out" / "twin" / "history.nc")
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-4)
    assert equal(weights(found, "base"), before)


def test_a_run_again_with_other_weights_has_no_dropout(tmp_path: Path) -> None:
    text = (
        BASE.replace("L = 2, ", "")
        + """
train twin of line(p = 0.5) on points:
    run own = line(p = 0.5)
    run constant = own with base
    loss = mean[b]((out - constant.out) ^ 2)
    using sgd(lr = 0.1), batch 4, steps 1
"""
    )
    body = session(text, tmp_path).program.checked.trainings["twin"].train.body
    drawn = [step.node.name for step in body.steps if step.node.op is RANDOM]
    assert drawn  # that of what is trained
    below = set(drawn)
    for step in body.steps:
        if below & set(step.operands):
            below.add(step.node.name)
    wrong = [s.node.name for s in body.steps if (s.node.site or "").startswith("constant:")]
    assert not below & set(wrong)


def test_what_is_trained_may_be_read_by_its_own_writes(tmp_path: Path) -> None:
    """An intervention that patches in what another run of the same model holds."""
    text = """
train one of line on points:
    doubled = 2 * points.x
    run other = line(x = doubled)
    layer[0].y = it + other.layer[0].y
    loss = mean[b]((out - label) ^ 2)
    using sgd(lr = 0.05), batch 24, steps 1
"""
    found = session(text, tmp_path)
    taught = weights(found, "one")
    model = found.program.model("line")
    ((x, label),) = batches(found, 24, 1)
    out = model(x) + model(2 * x) - model.bias
    ((out - label) ** 2).mean().backward()
    for name, param in model.named_parameters():
        assert param.grad is not None
        same(taught[name], param.detach() - 0.05 * param.grad)


def test_an_intervention_is_fitted_to_another_run(tmp_path: Path) -> None:
    """Its parameter is a run, and the inputs of the model are said with it."""
    text = """
intervention mixed(source: run, by = 0.5) on line:
    y = it + by * source.y

train one of line(x = 2 * points.x) with mixed(source = other, by = 0.25) on points:
    run other = line(x = points.x)
    loss = mean[b]((out - label) ^ 2)
    using sgd(lr = 0.05), batch 24, steps 1

experiment e of line(x = 2 * points.x) on points:
    run clean = line(x = points.x)
    run both = line with mixed(source = clean)
    apart = max[b](abs(both.y - 2.5 * clean.y))
"""
    found = session(text, tmp_path)
    taught = weights(found, "one")
    model = found.program.model("line")
    ((x, label),) = batches(found, 24, 1)
    out = model(2 * x) + 0.25 * x @ model.w
    ((out - label) ** 2).mean().backward()
    for name, param in model.named_parameters():
        assert param.grad is not None
        same(taught[name], param.detach() - 0.05 * param.grad)
    assert float(found.experiment("e").values["apart"]) < 1e-5


UNTIL = """
train one of line on points:
    loss = mean[b]((out - label) ^ 2)
    using adam(lr = 0.1), batch 8, steps 5
    until step 2: y = 0
    until step 4: layer[0].y += 1
    every 1 steps: evaluate
"""


def test_a_write_for_some_steps(tmp_path: Path) -> None:
    found = session(UNTIL, tmp_path)
    taught = weights(found, "one")
    model = found.program.model("line")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    held = found.program.library.dataset("points").held
    assert held is not None

    def out(x: torch.Tensor, step: int) -> torch.Tensor:
        y = x @ model.w if step >= 2 else 0
        y = y + torch.tanh(x @ model.layer[0].linear.w + model.layer[0].linear.b)[:, 0]
        return y + model.bias + (step < 4)

    wanted = []
    for step, (x, label) in enumerate(batches(found, 8, 5)):
        optimiser.zero_grad()
        ((out(x, step) - label) ** 2).mean().backward()
        optimiser.step()
        with torch.no_grad():
            apart = (
                out(torch.tensor(held["x"].values), step + 1)
                - torch.tensor(held["label"].values).float()
            )
            wanted.append(float((apart**2).mean()))
    for name, value in model.state_dict().items():
        same(taught[name], value, 1e-4)
    history = load(tmp_path / "out" / "one" / "history.nc")
    np.testing.assert_allclose(history["held.loss"], wanted, rtol=1e-4)


PHASES = """
train one of line on points:
    loss = mean[b]((out - label) ^ 2)
    using adam(lr = 0.1), batch 8, steps 9, clip 100
    schedule linear
    phase first:
        only w
        schedule constant(2) then linear
        until step 4
    phase never:
        until step 3
    phase second:
        freeze w
        y = 0
        using sgd(lr = 0.01, momentum = 0.5), clip 0.5
        until step 5: layer[0].y = 0
        until step 6
"""


def test_phases(tmp_path: Path) -> None:
    found = session(PHASES, tmp_path)
    taught = weights(found, "one")
    model = found.program.model("line")
    named = dict(model.named_parameters())
    rest = [value for name, value in named.items() if name != "w"]
    first = torch.optim.Adam([named["w"]], lr=0.1)
    second = torch.optim.SGD(rest, lr=0.01, momentum=0.5)
    last = torch.optim.Adam(model.parameters(), lr=0.1)
    for step, (x, label) in enumerate(batches(found, 8, 9)):
        optimiser = first if step < 4 else second if step < 6 else last
        out = model(x)
        if 4 <= step < 6:
            out = out - x @ model.w
        if step == 4:
            out = model.bias.expand(len(x))
        for group in optimiser.param_groups:
            if optimiser is first:
                group["lr"] = 0.1 * (1 if step < 2 else 1 - (step - 2) / 2)
            elif optimiser is second:
                group["lr"] = 0.01 * (1 - step / 9)  # the schedule of the whole training
            else:
                group["lr"] = 0.1 * (1 - step / 9)
        model.zero_grad()
        ((out - label) ** 2).mean().backward()
        if optimiser is second:
            torch.nn.utils.clip_grad_norm_(rest, 0.5)
        optimiser.step()
    for name, value in model.state_dict().items():
        same(taught[name], value, 1e-4)


def test_an_optimiser_remembers_over_phases(tmp_path: Path) -> None:
    """What is trained on by the same optimiser is trained as if there were no phases."""
    text = """
train one of line on points:
    loss = mean[b]((out - label) ^ 2)
    using adam(lr = 0.1), batch 8, steps 6
    {}
"""
    phases = "phase a:\n        until step 2\n    phase b:\n        only w\n        until step 4"
    found = session(text.format(phases), tmp_path)
    whole = session(text.format("freeze bias"), tmp_path, folder="whole")
    taught = weights(found, "one")
    model = found.program.model("line")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for step, (x, label) in enumerate(batches(found, 8, 6)):
        optimiser.zero_grad()
        ((model(x) - label) ** 2).mean().backward()
        for name, param in model.named_parameters():
            if 2 <= step < 4 and name != "w":
                param.grad = None  # passed by: nothing is forgotten
        optimiser.step()
    for name, value in model.state_dict().items():
        same(taught[name], value, 1e-4)
    assert not equal(taught, weights(whole, "one"))


def test_a_phase_ends_when_what_is_measured_is_so(tmp_path: Path) -> None:
    text = """
train one of line on points:
    loss = mean[b]((out - label) ^ 2)
    using sgd(lr = 0.1), batch 8, steps 60
    every 3 steps: evaluate
    until loss < 0.3
    phase first:
        only bias
        until loss < {first}
    phase second:
        only w
        until loss < 2
"""
    found = session(text.replace("{first}", "1000"), tmp_path)
    taught = weights(found, "one")
    history = load(tmp_path / "out" / "one" / "history.nc")
    at = history["evaluated"].values
    held = history["held.loss"].values
    assert at[-1] == len(history["loss"]) < 60
    assert held[-1] < 0.3 <= held[-2]
    assert taught["bias"] != found.program.model("line").bias
    never = session(text.replace("{first}", "0"), tmp_path, folder="never")
    only = weights(never, "one")
    assert torch.equal(only["w"], never.program.model("line").w)
    assert len(load(tmp_path / "never" / "one" / "history.nc")["loss"]) == 60


HEBB = """
model lateral[f = 4, n = 2](x[b, f]) -> [b, n]:
    param w[n, f] ~ normal(0, 1)
    fixed old[n, f] = 0
    y = dot[f](w, x)
    return y

train hebb of lateral on points:
    eta = 0.1
    update w += eta * mean[b](y * (x - dot[n](w, y)))
    update w[n = 1] *= 0.5
    update old = w
    using none, batch 4, steps 3
"""


def test_a_local_rule(tmp_path: Path) -> None:
    found = session(HEBB, tmp_path)
    taught = weights(found, "hebb")
    model = found.program.model("lateral")
    w, old = model.w.detach(), None
    for x, _ in batches(found, 4, 3):
        y = x @ w.T
        old = w
        w = w + 0.1 * (y[:, :, None] * (x - y @ w)[:, None, :]).mean(0)
        w[1] *= 0.5
    same(taught["w"], w)
    assert old is not None
    same(taught["old"], old)
    assert "loss" not in load(tmp_path / "out" / "hebb" / "history.nc")


MIXED = """
train one of line(L = 2) on points:
    loss = mean[b]((out - label) ^ 2)
    size = mean[f](abs(w))
    using adam(lr = 0.1), batch 8, steps 6
    update bias -= 0.1 * mean[b](out - label)
    update layer[*].linear.b = 0.9 * it
    update before = w
    every 3 steps: evaluate
"""


def test_a_local_rule_beside_an_optimiser(tmp_path: Path) -> None:
    found = session(MIXED, tmp_path)
    taught = weights(found, "one")
    model = found.program.model("line", L=2)
    named = dict(model.named_parameters())
    ruled = ["bias", "layer.0.linear.b", "layer.1.linear.b"]
    optimiser = torch.optim.Adam([v for n, v in named.items() if n not in ruled], lr=0.1)
    for x, label in batches(found, 8, 6):
        optimiser.zero_grad()
        out = model(x)
        ((out - label) ** 2).mean().backward()
        model.before.copy_(model.w.detach())
        optimiser.step()
        with torch.no_grad():
            model.bias -= 0.1 * (out - label).mean()
            for name in ruled[1:]:
                named[name] *= 0.9
    for name, value in model.state_dict().items():
        same(taught[name], value, 1e-4)


def test_a_rule_that_diverges_stops_the_training(tmp_path: Path) -> None:
    text = """
train one of line on points:
    update w *= 1e30
    using none, batch 8, steps 6
"""
    with pytest.raises(SpecError, match="the update of `w` of `one` is nan at step 2"):
        session(text, tmp_path).weights("one")


class Impatient(progress.Silence):
    """Presses Ctrl-C during a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, moment: progress.Moment) -> None:
        if moment.step == self.at:
            signal.raise_signal(signal.SIGINT)


WHEN = """
train one of line on points:
    loss = mean[b]((out - label) ^ 2)
    using adam(lr = 0.1), batch 8, steps 12
    schedule warmup(2) then cosine
    every 3 steps: evaluate
    update layer[0].linear.b *= 0.9
    phase first:
        only w
        schedule linear
        until loss < 1000
    phase second:
        y *= 0.5
        using rmsprop(lr = 0.01, momentum = 0.9)
        until step 9
"""


@pytest.mark.parametrize("stop", [1, 3, 4, 6])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        (DISTILLED, "twin"),
        (UNTIL, "one"),
        (PHASES, "one"),
        (HEBB, "hebb"),
        (MIXED, "one"),
        (WHEN, "one"),
    ],
    ids=["distilled", "until", "phases", "hebb", "mixed", "when"],
)
def test_all_of_it_goes_on_bit_by_bit(
    text: str, name: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = weights(session(text, tmp_path), name)
    broken = session(text, tmp_path, folder="broken")
    if name == "twin":
        broken.weights("base")
    monkeypatch.setattr(sessions, "progress_on", lambda _: Impatient(stop))
    with contextlib.suppress(KeyboardInterrupt):
        broken.weights(name)
    monkeypatch.setattr(sessions, "progress_on", lambda _: Impatient(-1))
    again = session(text, tmp_path, folder="broken", resume=True)
    assert equal(weights(again, name), wanted)
    one, other = (load(tmp_path / f / name / "history.nc") for f in ("out", "broken"))
    assert one.equals(other)


def test_a_teacher_that_changed_is_noticed(tmp_path: Path) -> None:
    weights(session(DISTILLED, tmp_path), "twin")
    again = session(DISTILLED, tmp_path, resume=True)
    base = again.weights("base")
    with torch.no_grad():
        next(base.parameters()).add_(1)
    with pytest.raises(SpecError, match="was written with other weights of its runs"):
        again.weights("twin")
