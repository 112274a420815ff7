from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from tests.runtime.lessons import drawn, lesson, lowered, points

from neuraxis.dsl.program import Output
from neuraxis.dsl.source import GENERATED
from neuraxis.runtime.training import progress_on, train
from neuraxis.runtime.training.expectations import expectation
from neuraxis.runtime.training.progress import Bar, Lines, Moment

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_every_few_seconds() -> None:
    file, clock = io.StringIO(), Clock()
    lines = progress_on(Console(file=file, width=40), clock)
    assert isinstance(lines, Lines)
    lines.start("base", 0, 5000)
    for step in range(1, 14):
        clock.now += 1
        lines.step(Moment(step, 2.5, 3e-4, 4096, "tokens"))
        if step == 7:
            lines.held(7, {"loss": 2.25, "bits [x]": 3.25})
    lines.stop()
    assert file.getvalue() == (
        "base: from step 0 to 5000\n"
        "base: step 5/5000  loss 2.500  lr 0.0003  4.1k tokens/s  1:23:15 left\n"
        "base: step 7  held out: loss 2.250  bits [x] 3.250\n"
        "base: step 12/5000  loss 2.500  lr 0.0003  4.1k tokens/s  1:23:08 left\n"
        "base: step 13/5000  loss 2.500  lr 0.0003  4.1k tokens/s  1:23:07 left\n"
    )


def test_a_training_that_has_nothing_to_do_says_little() -> None:
    file = io.StringIO()
    lines = progress_on(Console(file=file))
    lines.start("base", 3, 3)
    lines.stop()
    assert file.getvalue() == "base: from step 3 to 3\n"


def test_speed_is_that_of_late() -> None:
    file, clock = io.StringIO(), Clock()
    lines = progress_on(Console(file=file), clock)
    lines.start("base", 0, 100)
    for step in range(1, 41):
        clock.now += 10 if step <= 20 else 0.5
        lines.step(Moment(step, 1.0, 0.1, 1, "examples"))
    assert file.getvalue().splitlines()[-1].endswith("2 examples/s  0:30 left")


def test_a_terminal_has_a_bar() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, color_system=None)
    bar = progress_on(console)
    assert isinstance(bar, Bar)
    bar.start("base", 2, 4)
    bar.step(Moment(3, 2.5, 3e-4, 32, "examples"))
    bar.held(3, {"loss": 2.25})
    bar.step(Moment(4, 2.4, 3e-4, 32, "examples"))
    bar.stop()
    text = file.getvalue()
    assert "step 3  held out: loss 2.250" in text
    assert "4/4" in text
    assert "loss 2.400  lr 0.0003" in text
    assert "examples/s" in text


def test_a_training_tells_how_it_goes(tmp_path: Path) -> None:
    training = lesson("using sgd(lr = 0.05), batch 8, steps 4", "every 2 steps: evaluate")
    own, file = drawn(training), io.StringIO()
    progress = progress_on(Console(file=file))
    functions = lowered(training, own)
    train(training, functions, own, points(), folder=tmp_path, progress=progress)
    lines = file.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "base: from step 0 to 4",
        "base: step 2",
        "base: step 4",
    ]


@pytest.mark.parametrize(
    ("op", "sides", "holds"),
    [
        ("<", [1, 2], True),
        ("<", [2, 2], False),
        ("<=", [2, 2], True),
        (">", [2, 1], True),
        (">=", [1, 2], False),
        ("==", [1, 1], True),
        ("!=", [1, 1], False),
        ("<", [float("nan"), 1], False),
        ("", [1.0], True),
        ("", [0.9], False),
    ],
)
def test_expectations_are_judged(op: str, sides: list[float], *, holds: bool) -> None:
    found = expectation(Output("expect", "x", ("a",) * len(sides), GENERATED, op), sides)
    assert found.holds is holds
    assert found.left is sides[0]
    assert found.right is (sides[1] if len(sides) == 2 else None)
