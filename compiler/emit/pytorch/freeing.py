"""Lets go of what a call of the spec needed for itself, where the next one begins.

A function holds its variables until it returns. Without gradients that would be most of the memory
that a model needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .writer import Line

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_ASSIGNED = re.compile(r"((?:[^\W\d]\w*, )*[^\W\d]\w*),? = ")
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*(?![\w=])")


def freed(lines: Sequence[Line], places: Container[str], *, lean: bool = False) -> list[Line]:
    """The statements of a function, with a `del` before each part in `places` that follows others:
    of variables of earlier parts that nothing reads any more. If `lean`, before each statement."""
    last = {name: at for at, line in enumerate(lines) for name in _NAME.findall(line.text)}
    made: dict[str, None] = {}
    found: list[Line] = []
    part = ""
    for at, line in enumerate(lines):
        if not line.depth:
            if lean or (line.part != part and line.part in places):
                gone = [name for name in made if last[name] < at]
                if gone:
                    found.append(Line(f"del {', '.join(gone)}", 0, part))
                made = {name: None for name in made if name not in gone}
            part = line.part
            assigned = _ASSIGNED.match(line.text)
            if assigned and (lean or line.part) and ".shape" not in line.text:
                made |= dict.fromkeys(assigned[1].split(", "))
        found.append(line)
    return found
