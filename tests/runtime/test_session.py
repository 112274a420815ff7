from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from tests.runtime.small import same, write

from neuraxis.cli import main
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program
from neuraxis.runtime.record import Drawn, Record
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session, run_file

if TYPE_CHECKING:
    from pathlib import Path

MODEL = """
model line[d = 2, vocab = 5](token[b]: int, L = 1, p = 0.0) -> [b]:
    seen = embed[vocab -> d](token)
    y = dropout(seen, p = p)
    repeat layer * L:
        y = y + tanh(linear[d -> d](y))
    return sum[d](y)

"""
STUDY = (
    MODEL
    + """
data points = npz("points.npz"): token: int, target: float

intervention half on line:
    layer[*].y *= 0.5

train base of line(p = 0.1) on points:
    loss = mean[b]((out - target) ^ 2)
    using adamw(lr = 0.02), batch 8, steps 10
    every 5 steps: evaluate
    expect loss < 100

train more of line(L = 2) from base fresh layer[1] on points:
    loss = mean[b]((out - target) ^ 2)
    using sgd(lr = 0.01), batch 8, steps 2
    only layer[1].*

experiment look of line with base on points:
    run clean = line
    run cut = clean with half
    gap = mean[b]((clean.out - cut.out) ^ 2)
    sweep effect over g in [0, 1]:
        run pushed = clean with layer[0].y *= g
        mean[b](pushed.out)
    show gap, effect
    plot line(effect, title = "Effect: of g")
    expect gap > {least}
"""
)


def folder(path: Path, least: float = 0) -> Path:
    """A spec with its data."""
    stream = np.random.default_rng(0)
    token = stream.integers(0, 5, 24)
    np.savez(path / "points.npz", token=token, target=token.astype(np.float32))
    return write(path, "study.nax", STUDY.replace("{least}", str(least)))


def test_a_file_is_run_from_training_to_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "out"
    assert main(["run", str(folder(tmp_path)), "--results", str(results)]) == 0
    said = capsys.readouterr().out
    assert said.index("train base") < said.index("train more") < said.index("experiment look")
    assert "2 of 2 expectations hold" in said
    assert load(results / "base" / "history.nc")["loss"].shape == (10,)
    look = load(results / "look" / "look.nc")
    assert look["effect"].dims == ("g",)
    assert look["g"].values.tolist() == [0, 1]
    assert look.attrs["expect_0"].startswith("gap > 0: True")
    assert (results / "look" / "effect__of_g.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (results / "look" / "effect__of_g.svg").read_bytes()


def test_results_say_what_was_run(tmp_path: Path) -> None:
    spec = folder(tmp_path, least=1e9)
    program = Program.load(spec, settings=["line.L=1"], seed=3)
    outcome = program.run("look", folder=tmp_path / "out")
    look = Record.of(load(tmp_path / "out" / "look" / "look.nc"))
    base = Record.of(load(tmp_path / "out" / "base" / "history.nc"))
    assert look is not None
    assert base is not None
    assert (look.kind, look.name, base.kind, base.name) == (
        "experiment",
        "look",
        "training",
        "base",
    )
    for record in (look, base):
        assert record.spec == spec.read_text(encoding="utf-8")
        assert (record.spec_name, record.uses) == ("study.nax", {})
        assert (record.seed, record.device, record.settings) == (3, "cpu", ("line.L=1",))
        assert record.versions["torch"] == torch.__version__
        assert {"neuraxis", "python", "numpy"} <= record.versions.keys()
        assert {"system", "processor", "cores", "threads"} <= record.machine.keys()
        assert datetime.fromisoformat(record.started) <= datetime.now(UTC)
        assert record.seconds > 0
        assert str(tmp_path) not in repr(replace(record, spec=""))
    (found,) = look.expectations
    assert (found.label, found.op, found.right, found.holds) == (
        "gap > 1000000000.0",
        ">",
        1e9,
        False,
    )
    assert found.left == outcome.expectations[0].left
    assert look.spec.splitlines()[found.line - 1].strip() == f"expect {found.label}"
    assert look.shown == tuple(outcome.shown)
    assert look.plots == (Drawn("line", "effect", "Effect: of g", "effect__of_g"),)
    assert look.how == outcome.how
    assert Record.of(outcome.dataset()) is None


def test_a_record_holds_the_files_that_a_spec_uses(tmp_path: Path) -> None:
    write(tmp_path, "parts.nax", MODEL)
    text = """
        use parts: line
        use models.gpt2: gpt2

        experiment e:
            \"""What it is about.\"""
            x = 1.0
            expect x < nan
        """
    program = Program.load(write(tmp_path, "e.nax", text))
    program.run("e", folder=tmp_path / "out")
    record = Record.of(load(tmp_path / "out" / "e" / "e.nc"))
    assert record is not None
    assert record.about == "What it is about."
    assert record.uses == {"parts.nax": (tmp_path / "parts.nax").read_text(encoding="utf-8")}
    (found,) = record.expectations
    assert not found.holds
    assert found.right is not None
    assert np.isnan(found.right)


def test_plots_of_one_title_are_two_files(tmp_path: Path) -> None:
    text = """
        experiment e:
            sweep a over g in [0, 1]:
                1.0 * g
            plot line(a, title = "One / two")
            plot bars(a, title = "one; two")
            plot bars(a)
        """
    Program.load(write(tmp_path, "e.nax", text)).run("e", folder=tmp_path / "out")
    names = {"one___two", "one__two", "a"}
    found = {file.name for file in (tmp_path / "out" / "e").glob("*.*")}
    assert found == {"e.nc", *(f"{name}.{kind}" for name in names for kind in ("png", "svg"))}
    text = text.replace("One / two", "one; two")
    Program.load(write(tmp_path, "e.nax", text)).run("e", folder=tmp_path / "again")
    found = {file.stem for file in (tmp_path / "again" / "e").glob("*.*")}
    assert found == {"e", "one__two", "one__two_2", "a"}


def test_a_failed_expectation_is_told_by_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = folder(tmp_path, least=1e9)
    assert main(["run", str(spec), "look", "--results", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().out
    assert "train base" in said
    assert "train more" not in said
    assert "FAILS  gap > 1000000000.0  at" in said
    assert "1 of 2 expectations hold" in said


def test_a_training_is_taken_up_again(tmp_path: Path) -> None:
    spec = folder(tmp_path)
    program = Program.load(spec)
    model = program.trained("base", folder=tmp_path / "out")
    again = program.trained("base", folder=tmp_path / "out", resume=True)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    longer = Program.from_text(
        spec.read_text(encoding="utf-8").replace("steps 10", "steps 12"), root=tmp_path
    )
    on = longer.trained("base", folder=tmp_path / "other", resume=True)
    assert not torch.equal(next(on.parameters()), next(model.parameters()))


def test_a_trained_model_is_in_the_form_that_measures(tmp_path: Path) -> None:
    program = Program.load(folder(tmp_path))
    model = program.trained("base", folder=tmp_path / "out")
    token = torch.tensor([0, 4, 2])
    assert torch.equal(model(token), model(token))
    history = load(tmp_path / "out" / "base" / "history.nc")
    data = program.library.dataset("points")
    whole = model(torch.from_numpy(data["token"].values)) - torch.from_numpy(data["target"].values)
    loss = float((whole**2).mean().detach())
    assert loss == pytest.approx(float(history["held.loss"][-1]), rel=1e-4)


def test_a_training_on_a_part_of_its_data(tmp_path: Path) -> None:
    """One example alone is seen in every batch; what is held back stays whole."""
    text = """
data points = npz("points.npz", held = 0.5): x: float

model m(x[b]) -> [b]:
    param w = 0
    return w + 0 * x

train one of m on points[b = 2..3]:
    loss = mean[b]((out - x) ^ 2)
    using sgd(lr = 0.5), batch 4, steps 1
    every 1 steps: evaluate
"""
    np.savez(tmp_path / "points.npz", x=np.arange(8, dtype=np.float32))
    program = Program.from_text(text, folder=tmp_path)
    data = program.library.dataset("points")
    found = program.trained("one", folder=tmp_path / "out")
    w = float(found.w.detach())
    assert w == float(data["x"].values[2])
    history = load(tmp_path / "out" / "one" / "history.nc")
    assert data.held is not None
    held = np.mean((data.held["x"].values - w) ** 2)
    assert float(history["held.loss"][-1]) == pytest.approx(held)
    assert history.attrs["evaluated_on"] == "held"


def test_weights_are_handed_on(tmp_path: Path) -> None:
    program = Program.load(folder(tmp_path))
    session = Session(program, tmp_path / "out", console=Console(file=io.StringIO()))
    more, base = session.weights("more"), session.weights("base")
    assert list(session.models) == ["base", "more"]
    kept = dict(base.named_parameters())
    for name, value in more.named_parameters():
        if not name.startswith("layer.1"):
            assert torch.equal(value, kept[name])


def test_weights_from_a_file(tmp_path: Path) -> None:
    text = (
        MODEL
        + """
weights small of line from "w.safetensors":
    seen.w = file["a"] as [d, vocab]
    layer[i].linear.b = file["b.{i}"]

data ones = npy("ones.npy"): n: int

experiment look of line with small on ones:
    run one = line(token = ones.n)
    show mean[b](one.seen[d = 0])
"""
    )
    a, b = torch.randn(2, 5), torch.randn(2)
    save_file({"a": a, "b.0": b}, tmp_path / "w.safetensors")
    np.save(tmp_path / "ones.npy", np.ones(3, np.int64))
    program = Program.from_text(text, folder=tmp_path)
    model = program.trained("small")
    same(model.seen.w.detach(), a.t())
    same(model.layer[0].linear.b.detach(), b)
    out = program.run("look", folder=tmp_path / "out")
    assert out.values["mean[b](one.seen[d = 0])"].item() == pytest.approx(float(a[0, 1]), abs=1e-6)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    program = Program.load(folder(tmp_path))
    with pytest.raises(SpecError, match="no training or experiment is called `loko`") as error:
        run_file(program, ["loko"], tmp_path / "out")
    assert error.value.diagnostics[0].hint == "did you mean `look`?"


def test_a_training_on_examples_of_several_lengths(tmp_path: Path) -> None:
    """The loss of a ragged batch is the mean over what exists, and so are its gradients."""
    rows = [{"x": [1.0, 2.0, 3.0]}, {"x": [4.0]}, {"x": [5.0, 6.0]}, {"x": [0.5, 1.5, 2.5]}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = """
model m(x[b, t of b]) -> [b, t]:
    param w = 1
    scan t:
        carry y = 0
        y = 0.5 * y + w * x
    return y

data rows = jsonl("rows.jsonl"): x[t of b]: float

train base of m on rows:
    loss = mean[b, t](out ^ 2)
    last = mean[b](out[t = -1])
    using sgd(lr = 0.01), batch 4, steps 1
"""
    program = Program.from_text(text, folder=tmp_path)
    model = program.trained("base", folder=tmp_path / "out")
    history = load(tmp_path / "out" / "base" / "history.nc")
    values, lasts = [], []
    for row in rows:
        y = 0.0
        for x in row["x"]:
            y = 0.5 * y + x
            values.append(y)
        lasts.append(y)
    loss = np.mean(np.square(values))
    assert history["loss"].item() == pytest.approx(loss, rel=1e-5)
    assert history["last"].item() == pytest.approx(np.mean(lasts), rel=1e-5)
    assert model.w.item() == pytest.approx(1 - 0.01 * 2 * loss, rel=1e-5)


# ---- several sets of weights

TWO = (
    MODEL
    + """
data points = npz("points.npz"): token: int, target: float

intervention half on line:
    layer[*].y *= 0.5

train small of line on points:
    loss = mean[b]((out - target) ^ 2)
    using adamw(lr = 0.02), batch 8, steps 2

train large of line[d = 3](L = 2) on points:
    loss = mean[b]((out - target) ^ 2)
    using adamw(lr = 0.02), batch 8, steps 3

experiment both of line with small on points:
    run teacher = line
    run student = line with large
    run cut = student with half
    run swapped = cut with layer[0].y *= 2
    run back = teacher with layer[0].y = layer[0].y
    gap = mean[b]((teacher.out - student.out) ^ 2)
    teacher_out = teacher.out
    student_out = student.out
    cut_out = cut.out
    sweep effect over g in [1, 0.5]:
        run pushed = student with layer[*].y *= g
        mean[b](pushed.out)
    sweep turned over l in layer:
        run turned = teacher with layer[l].y = 0
        mean[b](turned.out)
    expect all[b](back.out == teacher.out)

experiment apart on points:
    run a = line with small
    run big = line with large
    run c = line
    run e = line[d = 3]
    one = a.out
    two = big.out
    three = c.out
    four = e.out
"""
)


def test_runs_have_weights_of_their_own(tmp_path: Path) -> None:
    folder(tmp_path)
    program = Program.from_text(TWO, folder=tmp_path)
    session = Session(program, tmp_path / "out", console=Console(file=io.StringIO()))
    outcome = session.experiment("both")
    token = torch.from_numpy(program.library.dataset("points")["token"].values)
    with torch.no_grad():
        small, large = session.models["small"](token), session.models["large"](token)
        cut = session.models["large"].under("half")(token)
    values = {name: torch.tensor(found.values) for name, found in outcome.values.items()}
    same(values["teacher_out"], small)
    same(values["student_out"], large)
    same(values["cut_out"], cut)
    same(values["gap"], ((small - large) ** 2).mean())
    same(values["effect"], torch.stack([large.mean(), cut.mean()]))
    assert values["turned"].shape == (1,)
    assert all(found.holds for found in outcome.expectations)

    apart = session.experiment("apart")
    values = {name: torch.tensor(found.values) for name, found in apart.values.items()}
    same(values["one"], small)
    same(values["two"], large)
    with torch.no_grad():
        same(values["three"], program.model("line")(token))
        same(values["four"], program.model("line", d=3)(token))


SIZED = """
data rows = npy("rows.npy"): x[f]: float

model m[f = 6, h = 3](x[b, f]) -> [b, h]:
    y = linear[f -> h](x)
    return y

train fit of m on rows:
    loss = mean[b, h](y ^ 2)
    using sgd(lr = 0.1), batch 4, steps 2

experiment e of m with fit on rows:
    run a = m
    size = mean[b, h](a.y ^ 2)
"""


def test_what_a_file_holds_has_the_sizes_that_a_model_says(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((8, 6), np.float32))
    program = Program.from_text(SIZED, root=tmp_path)
    outcome = program.run("e", folder=tmp_path / "results")
    assert outcome.values["size"] > 0
    other = Program.from_text(SIZED.replace("f = 6", "f = 5"), root=tmp_path)
    with pytest.raises(SpecError, match="`m` wants 5 positions of `f` on `x`"):
        other.run("e", folder=tmp_path / "results")


def test_a_size_that_nothing_read_has(tmp_path: Path) -> None:
    """What is measured reads no value along `t`, and still runs so many steps."""
    text = """
data rows = npz("rows.npz"): x[t]: float, y: float

model m(x[b, t], y[b]) -> [b, t]:
    scan t:
        carry S[b] = 0
        S = 0.5 * S + y
        z = S + x
    return z

experiment e of m on rows:
    run a = m
    last = mean[b](a.S[t = -1])
"""
    np.savez(tmp_path / "rows.npz", x=np.zeros((2, 3), np.float32), y=np.ones(2, np.float32))
    outcome = Program.from_text(text, root=tmp_path).run("e", folder=tmp_path / "results")
    assert float(outcome.values["last"]) == 1.75
