"""Ctrl-C while something must not be left half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@dataclass(slots=True)
class Stop:
    """Whether the user has asked to stop."""

    asked: bool = False


@contextmanager
def deferred() -> Iterator[Stop]:
    """While this is open, the first Ctrl-C only asks; the second stops at once.

    Signals reach the main thread alone, so elsewhere nothing is changed; nor is it where they are
    ignored, as by `nohup`.
    """
    stop = Stop()

    def ask(_: int, __: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not main or before in (signal.SIG_IGN, None):
        yield stop
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
