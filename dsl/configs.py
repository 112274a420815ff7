"""The `config.json` beside a checkpoint: what it says of sizes and values, as a spec would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import syntax as s
from .files import DataError, find_files, find_folder

if TYPE_CHECKING:
    from pathlib import Path

    from .source import Span

NAME = "config.json"
MOST = 2**24  # bytes: one that is larger is no config

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def read_config(root: Path, place: str) -> Json:
    """What stands in the config beside the files of a checkpoint, or in its folder; None if there
    is none. Raises DataError."""
    try:
        folder = find_folder(root, place) or find_files(root, place)[0].parent
        (path,) = find_files(root, (folder / NAME).relative_to(root.resolve()).as_posix())
    except (DataError, ValueError):
        return None  # that there are no files is said where they are read
    try:
        if path.stat().st_size > MOST:
            raise DataError(f'"{NAME}" beside "{place}" is too large: more than {MOST} bytes')
        found: Json = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f'"{NAME}" beside "{place}" cannot be read: {reason}') from None
    if not isinstance(found, dict):
        raise DataError(f'"{NAME}" beside "{place}" holds no names')
    return found


def look_up(config: Json, path: str) -> Json:
    """What stands at `rope_parameters.rope_theta`, or at a place of a list, `layer_types.0`; None
    if nothing does."""
    for part in path.split("."):
        if isinstance(config, dict):
            config = config.get(part)
        elif isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            return None
    return config


def as_written(value: Json, span: Span) -> s.Expr:
    """The value as a spec writes it; of a list or a table, how many entries it has."""
    match value:
        case bool():
            return s.Name("true" if value else "false", span=span)
        case str():
            return s.Text(value, span=span)
        case list() | dict():
            return s.Number(len(value), span=span)
        case int() | float() if value < 0:
            return s.Unary("-", s.Number(-value, span=span), span=span)
        case int() | float():
            return s.Number(value, span=span)
    raise TypeError(value)


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no number")
