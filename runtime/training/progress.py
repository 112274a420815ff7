"""How far a training is: a bar in a terminal, lines now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from .. import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console
    from rich.progress import TaskID

SECONDS = 5.0  # from one line to the next, and the window over which speed is measured


@dataclass(frozen=True, slots=True)
class Moment:
    """One step done: how many there are by now, and how much it has read of what."""

    step: int
    loss: float | None  # of a training without one
    rate: float
    count: int
    unit: str  # tokens, examples


class Progress(Protocol):
    """Is told how a training goes."""

    def start(self, name: str, step: int, total: int) -> None:
        """It begins, at a step of so many."""

    def step(self, moment: Moment) -> None:
        """A step is done."""

    def held(self, step: int, values: Mapping[str, float]) -> None:
        """The held-out part was evaluated."""

    def stop(self) -> None:
        """It is over, one way or another."""


class Silence:
    """Says nothing."""

    def start(self, name: str, step: int, total: int) -> None:
        """Nothing."""

    def step(self, moment: Moment) -> None:
        """Nothing."""

    def held(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


SILENT: Progress = Silence()


def progress_on(console: Console, clock: Callable[[], float] = time.monotonic) -> Progress:
    """A bar if the console is a terminal, else plain lines."""
    return Bar(console, clock) if console.is_terminal else Lines(console, clock)


@dataclass(slots=True)
class Speed:
    """How much is done in a second, of late."""

    clock: Callable[[], float]
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def start(self) -> None:
        """Begin to measure."""
        self.total = 0
        self.seen.clear()
        self.seen.append((self.clock(), 0))

    def add(self, count: int) -> float:
        """So much more is done; gives what a second brings."""
        self.total += count
        now = self.clock()
        self.seen.append((now, self.total))
        while len(self.seen) > 2 and self.seen[1][0] < now - SECONDS:
            self.seen.popleft()
        since, before = self.seen[0]
        return (self.total - before) / max(now - since, 1e-9)


class Lines:
    """A line every few seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.speed, self.steps = Speed(clock), Speed(clock)
        self.name, self.total, self.said = "", 0, 0.0
        self.waiting = ""

    def start(self, name: str, step: int, total: int) -> None:
        """Say where it begins."""
        self.name, self.total, self.said, self.waiting = name, total, self.clock(), ""
        self.speed.start()
        self.steps.start()
        self._say(f"from step {step} to {total}")

    def step(self, moment: Moment) -> None:
        """Say so, if there was silence for long enough."""
        speed = self.speed.add(moment.count)
        left = (self.total - moment.step) / max(self.steps.add(1), 1e-9)
        self.waiting = (
            f"step {moment.step}/{self.total}  {_numbers(moment)}"
            f"  {_speed(speed, moment.unit)}  {_duration(left)} left"
        )
        if self.clock() - self.said >= SECONDS:
            self._say(self.waiting)

    def held(self, step: int, values: Mapping[str, float]) -> None:
        """Say what was found."""
        self._say(f"step {step}  {_held(values)}")

    def stop(self) -> None:
        """Say where it ends."""
        if self.waiting:
            self._say(self.waiting)

    def _say(self, text: str) -> None:
        self.said, self.waiting = self.clock(), ""
        self.console.print(f"{self.name}: {text}", markup=False, highlight=False, soft_wrap=True)


class Bar:
    """A bar with what is known at the moment; what was evaluated stays above it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = Speed(clock)
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self.task: TaskID | None = None

    def start(self, name: str, step: int, total: int) -> None:
        """Show the bar."""
        self.speed.start()
        self.task = self.bars.add_task(name, total=total, completed=step, numbers="")
        self.bars.start()

    def step(self, moment: Moment) -> None:
        """Move the bar on."""
        speed = _speed(self.speed.add(moment.count), moment.unit)
        if self.task is not None:
            numbers = f"{_numbers(moment)}  {speed}"
            self.bars.update(self.task, completed=moment.step, numbers=numbers)

    def held(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line above the bar."""
        self.bars.console.print(f"step {step}  {_held(values)}", markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the bar as it is."""
        self.bars.stop()


def _numbers(moment: Moment) -> str:
    if moment.loss is None:
        return f"lr {moment.rate:.3g}"
    return f"loss {labels.number(moment.loss)}  lr {moment.rate:.3g}"


def _held(values: Mapping[str, float]) -> str:
    return "held out: " + "  ".join(f"{name} {labels.number(v)}" for name, v in values.items())


def _speed(speed: float, unit: str) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if speed >= size:
            return f"{speed / size:.3g}{letter} {unit}/s"
    return f"{speed:.3g} {unit}/s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
