"""Python names for values: those of the spec where they are free."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED = frozenset(
    "torch nn F self Part super range zip len list tuple int float bool max min sum abs pow all any "
    "reversed slice round map filter type id input iter next hash set dict str print".split()
)


def identifier(text: str) -> str:
    """The text as a Python name."""
    name = re.sub(r"\W+", "_", text).strip("_") or "value"
    if name[0].isdigit():
        name = f"value_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def called(site: str) -> str:
    """What a value is called by its address: the last name in it; with a number, the one before too."""
    parts = re.sub(r"\[\d+\]", "", site).split(".")
    last = parts[-1]
    if last.isdigit() and len(parts) > 1:
        return f"{parts[-2]}_{last}"
    return last


class Names:
    """Which names are taken in one place."""

    def __init__(self, taken: Iterable[str] = (), between: str = "_") -> None:
        self.taken, self.between = set(taken), between

    def take(self, wanted: str) -> str:
        """A name like the wanted one; from now on it is taken."""
        base = name = identifier(wanted)
        count = 2
        while name in self.taken:
            name = f"{base}{self.between}{count}"
            count += 1
        self.taken.add(name)
        return name


def camel(text: str) -> str:
    """`cross_attn` as the name of a class."""
    return "".join(part[:1].upper() + part[1:] for part in identifier(text).split("_") if part)
