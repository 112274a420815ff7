"""Trying several things, so that each says what is wrong in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .values import HaltError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Attempts:
    """Things tried one after another, all of them even if one fails."""

    def __init__(self) -> None:
        self.failed = False

    def at(self, part: Callable[[], T]) -> T | None:
        """What the part gives, None if it has reported a mistake."""
        try:
            return part()
        except HaltError:
            self.failed = True
            return None
