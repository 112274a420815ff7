"""What a source is asked for: its options, where files may be, which fields, which seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...dsl.files import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...dsl.signatures import FieldSignature, Value
    from .tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Request:
    """One `data` statement, its options complete and of the right kinds."""

    source: str
    options: Mapping[str, Value]
    root: Path
    seed: int
    fields: tuple[FieldSignature, ...] = ()
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)

    def whole(self, option: str) -> int:
        """An option that is a whole number."""
        value = self.options[option]
        assert isinstance(value, int), option
        return value

    def maybe_whole(self, option: str) -> int | None:
        """An option that is a whole number, if it was given."""
        return None if self.options[option] is None else self.whole(option)

    def number(self, option: str) -> float:
        """An option that is a number."""
        value = self.options[option]
        assert isinstance(value, int | float), option
        return float(value)

    def text(self, option: str) -> str:
        """An option that is a text."""
        value = self.options[option]
        assert isinstance(value, str), option
        return value

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokeniser that the spec calls by this name."""
        if name not in self.tokenizers:
            raise DataError(f"no tokeniser is called `{name}`")
        return self.tokenizers[name]
