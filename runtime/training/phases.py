"""Which phase a training is in, and when that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...dsl.program import CheckedTraining, Phase
    from .history import History


class Phases:
    """The phases of a training, one after another, and then what is said outside of them.

    `now` is the number of the present one, `since` the step with which it began.
    """

    def __init__(self, training: CheckedTraining) -> None:
        self.rows: tuple[Phase, ...] = (*training.phases, training.course)
        self.now, self.since = 0, 0
        self._skip(0)

    @property
    def over(self) -> bool:
        """Whether the last one has ended."""
        return self.now == len(self.rows)

    @property
    def current(self) -> Phase:
        """The present one."""
        return self.rows[self.now]

    def advance(self, step: int, history: History) -> bool:
        """Go on to the next, after so many steps, if the present one is over; whether it was."""
        if self.over or not self._has_ended(step, history):
            return False
        self.now, self.since = self.now + 1, step
        self._skip(step)
        return True

    def _has_ended(self, step: int, history: History) -> bool:
        end, when = self.current.end, self.current.when
        if end is not None and step >= end:
            return True
        # what was measured before it began says nothing of it
        return when is not None and step > self.since and history.holds(when, step)

    def _skip(self, step: int) -> None:
        """Pass by those that end before they would begin."""
        while not self.over and self.current.end is not None and self.current.end <= step:
            self.now += 1
