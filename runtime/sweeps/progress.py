"""How far a sweep is: a bar in a terminal, lines now and then elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

SECONDS = 5.0  # from one line to the next


class Progress(Protocol):
    """Is told how a sweep goes."""

    def start(self, name: str, done: int, total: int) -> None:
        """It begins, with so many of its members done."""

    def advance(self, count: int) -> None:
        """So many more members are done."""

    def stop(self) -> None:
        """It is over, one way or another."""

    def note(self, text: str) -> None:
        """Something that the user should see."""


class Silence:
    """Says nothing."""

    def start(self, name: str, done: int, total: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


SILENT: Progress = Silence()


def progress_on(console: Console) -> Progress:
    """A bar if the console is a terminal, else plain lines."""
    return Bar(console) if console.is_terminal else Lines(console)


class Lines:
    """A line every few seconds: what ends sooner says nothing, unless it goes on from earlier."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.name, self.first, self.done, self.total = "", 0, 0, 0
        self.began = self.said = 0.0

    def start(self, name: str, done: int, total: int) -> None:
        """Say where it goes on."""
        self.name, self.first, self.done, self.total = name, done, done, total
        self.began = self.said = self.clock()
        if done:
            self._say(f"{done} of {total} members are done already")

    def advance(self, count: int) -> None:
        """Say so, if there was silence for long enough."""
        self.done += count
        now = self.clock()
        if now - self.said >= SECONDS:
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            rest = timedelta(seconds=round(left))
            self._say(f"{self.done} of {self.total} members, {rest} left")
            self.said = now

    def stop(self) -> None:
        """Nothing: what follows says enough."""

    def note(self, text: str) -> None:
        """A line."""
        self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(f"{self.name}: {text}", markup=False, highlight=False, soft_wrap=True)


class Bar:
    """A bar with the members that are done, and the time that is left."""

    def __init__(self, console: Console) -> None:
        self.console, self.name = console, ""
        self.bars: Bars | None = None

    def start(self, name: str, done: int, total: int) -> None:
        """Show the bar."""
        self.name = name
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("members"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.bars.add_task(name, total=total, completed=done)
        self.bars.start()

    def advance(self, count: int) -> None:
        """Move the bar on."""
        if self.bars is not None:
            self.bars.advance(self.bars.task_ids[0], count)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(f"{self.name}: {text}", markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away: a table follows."""
        if self.bars is not None:
            self.bars.stop()
