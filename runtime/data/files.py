"""The bytes of a file that a spec names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl.files import DataError

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """All of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f'"{path.name}" cannot be read: {error.strerror}') from None
