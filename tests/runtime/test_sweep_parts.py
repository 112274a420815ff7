"""Sweeps in parts: the same numbers, kept while they come, and gone on from."""

from __future__ import annotations

import os
import random
import signal
import time
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.runtime.small import same, write

from neuraxis.cli import main
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.experiment import run_experiment
from neuraxis.runtime.program import Program
from neuraxis.runtime.results import load
from neuraxis.runtime.session import Session
from neuraxis.runtime.sweeps import Running, Sweep
from neuraxis.runtime.sweeps.members import count
from neuraxis.runtime.sweeps.parts import split
from neuraxis.runtime.sweeps.progress import Lines
from neuraxis.runtime.sweeps.work import Work

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.sweeps.members import Box

SPEC = """
use models.gpt2: gpt2

data words = repeats(n = 2, t = 4, vocab = 8, held = 0)

experiment e of gpt2[d = 4, vocab = 8, ctx = 8, h = 2, k = 2, m = 8](L = 2) on words:
    run clean = gpt2
    run other = gpt2(tokens = (words.tokens + 1) % 8)
    measure size(r) = mean[b](r.logits[t = -1, vocab = 1])
    sweep effect over l in layer, p in t:
        run patched = other with layer[l].in.x[t = p] from clean
        size(patched) - size(other)
"""
MANY = """
data points = npz("points.npz"): x: float

model m[d = 4](x[b], L = 2) -> [b]:
    y = linear[-> d](x)
    repeat layer * L:
        y = tanh(linear[d -> d](y))
    return sum[d](y)

experiment e of m on points:
    run clean = m
    sweep effect over i in 0..100, j in 0..100:
        run pushed = clean with layer[0].y[d = 0] += 0.01 * i, layer[1].y *= 0.1 * j
        mean[b](pushed.out)
    expect effect[i = 0, j = 99] > effect[i = 0, j = 99] - 1
"""
PARTS = "12KiB"


def work(memory: int) -> Work:
    program = Program.from_text(SPEC)
    study = program.checked.experiments["e"]
    given = program.library.given(study)
    assert study.model is not None
    shared = program.model("gpt2", d=4, vocab=8, ctx=8, h=2, k=2, m=8, L=2)
    sweep = Sweep.of(study, study.sweeps[0], given.sizes)
    return Work(sweep, given.inputs, given.sizes, shared, seed=0, memory=memory)


def test_parts_share_what_is_the_same_and_their_code() -> None:
    whole, parts = work(1 << 30), work(4500)
    assert len(whole.boxes) == 1
    assert len(parts.boxes) > 2
    (everyone,) = whole.boxes
    wanted = whole.part(everyone)
    for box in parts.boxes:
        same(parts.part(box), wanted[tuple(slice(*span) for span in box)])
    assert parts._held.names  # both runs without writes are computed once
    assert len(parts._lowered) <= len(parts.boxes)


@pytest.mark.parametrize("most", [1, 2, 5, 7, 100])
def test_a_box_is_split_into_all_of_its_members(most: int) -> None:
    box = ((0, 3), (2, 9), (0, 4))
    parts = list(split(box, lambda part: count(part) <= most))
    assert all(count(part) <= most for part in parts)
    seen = np.zeros((3, 9, 4), int)
    for part in parts:
        seen[tuple(slice(*span) for span in part)] += 1
    assert (seen[:, 2:] == 1).all()
    assert not seen[:, :2].any()


def test_parts_are_as_large_as_fits() -> None:
    def fits(box: Box) -> bool:
        return sum(range(*box[0])) <= 10

    assert list(split(((0, 8),), fits)) == [((0, 5),), ((5, 6),), ((6, 7),), ((7, 8),)]


def folder(path: Path) -> Path:
    np.savez(path / "points.npz", x=np.arange(3, dtype=np.float32))
    return write(path, "many.nax", MANY)


def effect(out: Path) -> bytes:
    """What the sweep gave, to the bit; the file says besides when it was run."""
    return load(out / "e" / "e.nc")["effect"].values.tobytes()


def test_parts_are_labelled_and_gone_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, out = folder(tmp_path), tmp_path / "out"
    command = ["run", str(spec), "--results", str(out), "--memory", PARTS]
    assert main(command) == 0
    wanted = effect(out)
    parts = sorted((out / "e" / "parts" / "effect").glob("*.nc"))
    assert len(parts) > 10
    part = load(parts[3])["effect"]
    whole = load(out / "e" / "e.nc")["effect"]
    assert part.dims == ("i", "j")
    assert (whole.sel(i=part.i, j=part.j) == part).all()
    written = {path: path.stat().st_mtime_ns for path in parts}
    for lost in parts[2::2]:
        lost.unlink()
    (out / "e" / "e.nc").unlink()
    capsys.readouterr()
    assert main([*command, "--resume"]) == 0
    assert "members are done already" in capsys.readouterr().out
    assert effect(out) == wanted
    for path, at in written.items():
        assert (path.stat().st_mtime_ns == at) is (path not in parts[2::2])


def test_only_the_very_same_sweep_is_gone_on_from(tmp_path: Path) -> None:
    spec, out = folder(tmp_path), tmp_path / "out"
    Program.load(spec).run("e", folder=out)
    Program.load(spec).run("e", folder=out, resume=True)
    spec.write_text(MANY.replace("0.01 * i", "0.02 * i"), encoding="utf-8")
    with pytest.raises(SpecError, match="`effect` was computed with another spec"):
        Program.load(spec).run("e", folder=out, resume=True)
    with pytest.raises(SpecError, match="another spec and other weights and another seed"):
        Program.load(spec, seed=1).run("e", folder=out, resume=True)
    np.savez(tmp_path / "points.npz", x=np.ones(3, np.float32))
    spec.write_text(MANY, encoding="utf-8")
    with pytest.raises(SpecError, match="computed with other data"):
        Program.load(spec).run("e", folder=out, resume=True)
    Program.load(spec).run("e", folder=out)


class Stops:
    """Presses Ctrl-C after the third part."""

    done = 0

    def start(self, name: str, done: int, total: int) -> None:
        assert (name, done, total) == ("effect", 0, 10_000)

    def advance(self, count: int) -> None:
        self.done += 1
        if self.done == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    def stop(self) -> None:
        pass


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    program = Program.load(folder(tmp_path))
    study = program.checked.experiments["e"]
    with pytest.raises(KeyboardInterrupt):
        run_experiment(
            study,
            program.model("m"),
            program.library,
            how=Running(memory=12 << 10, folder=tmp_path / "kept", progress=Stops()),
        )
    assert len(list((tmp_path / "kept" / "parts" / "effect").glob("*.nc"))) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin as copies")
def test_a_sweep_killed_at_any_time_and_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    program = Program.load(folder(tmp_path))
    torch.set_num_threads(1)

    def start(name: str) -> int:
        child = os.fork()
        if not child:
            try:
                console = Console(file=StringIO())
                how = Running(memory=12 << 10)
                out = tmp_path / name
                Session(program, out, resume=True, console=console, sweeps=how).experiment("e")
            finally:
                os._exit(0)
        return child

    began = time.monotonic()
    os.waitpid(start("alone"), 0)
    took = time.monotonic() - began
    wanted = effect(tmp_path / "alone")
    parts = len(list((tmp_path / "alone" / "e" / "parts" / "effect").glob("*.nc")))
    chance = random.Random(0)
    killed = []
    for _ in range(10):
        child = start("killed")
        time.sleep(chance.uniform(0.1, 0.4) * took)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed.append(len(list((tmp_path / "killed" / "e" / "parts" / "effect").glob("*.nc"))))
    assert any(0 < there < parts for there in killed), killed
    os.waitpid(start("killed"), 0)
    assert effect(tmp_path / "killed") == wanted


def test_lines_say_how_many_are_done_and_what_is_left() -> None:
    now, file = [0.0], StringIO()
    lines = Lines(Console(file=file), lambda: now[0])
    lines.start("effect", 100, 1100)
    for _ in range(3):
        now[0] += 4
        lines.advance(100)
    lines.stop()
    assert file.getvalue().splitlines() == [
        "effect: 100 of 1100 members are done already",
        "effect: 300 of 1100 members, 0:00:32 left",
    ]


def test_memory_is_said_in_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(folder(tmp_path)), "--memory", "much"])
    assert "`much` is no size; write 2GiB or 500MB" in capsys.readouterr().err
